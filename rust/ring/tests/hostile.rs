// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! A peer that stores any value: no panic, no access outside the data, each event counted once.
//!
//! The test memory asserts the bounds of each access, and the build profile checks for overflow.

#![cfg(not(loom))]

mod common;

use common::{geometry, pair_at, Mem, Which};
use iostream_ring::{occupied_bytes, Consumer, Error, Header, OverwriteReader, Producer};

const SIZE: u64 = 64;

/// Values around every boundary of a position, near `at` and anywhere.
fn values(at: u64) -> Vec<u64> {
    let mut values = vec![
        u64::MAX,
        1 << 31,
        (1 << 32) - 1,
        1 << 32,
        1 << 63,
        (1 << 63) - 1,
    ];
    for base in [0, at] {
        for step in [
            0,
            1,
            8,
            SIZE - 8,
            SIZE - 1,
            SIZE,
            SIZE + 1,
            SIZE + 8,
            2 * SIZE,
            1 << 31,
        ] {
            values.push(base.wrapping_add(step));
            values.push(base.wrapping_sub(step));
        }
        values.extend((0..16).map(|residue| base.wrapping_add(residue)));
    }
    values
}

fn starts() -> impl Iterator<Item = u64> {
    (0..SIZE)
        .step_by(8)
        .chain([1 << 31, 1 << 32, 1 << 40])
        .chain((0..9).map(|i| 0u64.wrapping_sub(i * 8)))
}

#[test]
fn consumer_position_of_any_value() {
    let mut cases = 0;
    for pos in starts() {
        for used in 0..=4u64 {
            for value in values(pos) {
                let (mem, mut producer, _consumer) = pair_at(geometry(SIZE), pos);
                for _ in 0..used {
                    producer.push(&[1; 8]).unwrap();
                }
                producer.publish();
                mem.set(Which::ConsumerPos, value);
                let moved = value.wrapping_sub(pos);
                let legal = value % 8 == 0 && moved <= used * 16;
                for _ in 0..3 {
                    if legal {
                        assert_eq!(producer.room(), Ok(SIZE - used * 16 + moved));
                    } else {
                        assert_eq!(producer.room(), Err(Error::Corrupt));
                        assert_eq!(producer.can_push(0, 1), Err(Error::Corrupt));
                        assert_eq!(producer.arm_room(SIZE), Err(Error::Corrupt));
                    }
                }
                assert_eq!(producer.corrupt_events(), u64::from(!legal), "{value:#x}");
                // After a repair the ring works; the same damage again is a new event.
                if !legal {
                    mem.set(Which::ConsumerPos, pos);
                    producer.room().unwrap();
                    mem.set(Which::ConsumerPos, value);
                    assert_eq!(producer.room(), Err(Error::Corrupt));
                    assert_eq!(producer.corrupt_events(), 2);
                }
                // Only the bytes that were known to be free are free.
                let known = SIZE - used * 16 + if legal { moved } else { 0 };
                let expected = match (known >= 16, legal) {
                    (true, _) => Ok(()),
                    (false, true) => Err(Error::Full),
                    (false, false) => Err(Error::Corrupt),
                };
                assert_eq!(producer.push(&[2; 8]), expected);
                producer.publish();
                producer.must_wake();
                producer.must_wake_full();
                cases += 1;
            }
        }
    }
    println!("consumer_position_of_any_value: {cases} cases");
}

/// An entry that was committed and not published cannot have been consumed.
#[test]
fn consumer_position_beyond_what_was_published() {
    for (shown, hidden) in [(0, 1), (1, 1), (2, 2), (0, 4)] {
        let (mem, mut producer, _consumer) = pair_at(geometry(SIZE), 0);
        for _ in 0..shown {
            producer.push(&[1; 8]).unwrap();
        }
        producer.publish();
        for _ in 0..hidden {
            producer.push(&[1; 8]).unwrap();
        }
        mem.set(Which::ConsumerPos, 16 * shown + 8);
        assert_eq!(producer.room(), Err(Error::Corrupt));
        mem.set(Which::ConsumerPos, 16 * shown);
        assert_eq!(producer.room(), Ok(SIZE - 16 * hidden));
    }
}

#[test]
fn producer_position_of_any_value() {
    let mut cases = 0;
    for pos in starts() {
        for used in 0..=4u64 {
            for value in values(pos) {
                let (mem, mut producer, mut consumer) = pair_at(geometry(SIZE), pos);
                for _ in 0..used {
                    producer.push(&[1; 8]).unwrap();
                }
                producer.publish();
                consumer.available().unwrap();
                mem.set(Which::ProducerPos, value);
                // The position must not go back, nor more than a lap ahead.
                let moved = value.wrapping_sub(pos);
                let legal = value % 8 == 0 && moved >= used * 16 && moved <= SIZE;
                for _ in 0..3 {
                    let expected = if legal {
                        Ok(moved)
                    } else {
                        Err(Error::Corrupt)
                    };
                    assert_eq!(consumer.available(), expected, "{value:#x}");
                }
                assert_eq!(consumer.corrupt_events(), u64::from(!legal), "{value:#x}");
                assert!(consumer.known_bytes() <= SIZE);
                // The entries that were known before are still whole.
                for _ in 0..used {
                    assert_eq!(consumer.pop(&mut [0; 64]).unwrap().len(), 8);
                }
                if !legal {
                    assert_eq!(consumer.peek(), Err(Error::Corrupt));
                    assert_eq!(consumer.arm(), Err(Error::Corrupt));
                }
                consumer.publish();
                consumer.must_wake();
                cases += 1;
            }
        }
    }
    println!("producer_position_of_any_value: {cases} cases");
}

#[test]
fn wake_words_of_any_value() {
    let mut cases = 0;
    for pos in starts() {
        for value in values(pos) {
            let (mem, mut producer, mut consumer) = pair_at(geometry(SIZE), pos);
            for _ in 0..20 {
                mem.set(Which::ConsumerWake, value);
                mem.set(Which::ProducerWake, value);
                producer.push(&[1; 8]).unwrap();
                producer.publish();
                producer.must_wake();
                producer.must_wake_full();
                consumer.pop(&mut [0; 8]).unwrap();
                consumer.publish();
                consumer.must_wake();
            }
            assert_eq!(producer.corrupt_events() + consumer.corrupt_events(), 0);
            cases += 1;
        }
    }
    println!("wake_words_of_any_value: {cases} cases");
}

fn lengths() -> Vec<u32> {
    let mut lens = vec![
        u32::MAX,
        u32::MAX - 7,
        u32::MAX - 8,
        u32::MAX - 15,
        1 << 31,
        (1 << 31) - 1,
    ];
    lens.extend(0..=2 * SIZE as u32 + 1);
    lens
}

#[test]
fn headers_of_any_value() {
    let mut cases = 0;
    for pos in starts() {
        for waiting in (8..=SIZE).step_by(8) {
            for len in lengths() {
                for (flags, lost) in [(0, 0), (1, 7), (!0, !0), (!1, 7)] {
                    let (mem, _producer, mut consumer) = pair_at(geometry(SIZE), pos);
                    let header = Header { len, flags, lost };
                    let at = (pos % SIZE) as usize;
                    mem.data(at).store_relaxed(header.to_word());
                    mem.set(Which::ProducerPos, pos.wrapping_add(waiting));
                    let legal = occupied_bytes(len) <= waiting;
                    for _ in 0..3 {
                        match consumer.peek() {
                            Ok(entry) => {
                                assert!(legal);
                                assert_eq!(entry.len(), len as usize);
                                let lost = if flags & 1 != 0 { lost } else { 0 };
                                assert_eq!(entry.lost_before(), lost);
                            }
                            Err(error) => assert!(!legal && error == Error::Corrupt),
                        }
                        // A valid position in between does not make the header a new event.
                        assert_eq!(consumer.available(), Ok(waiting));
                    }
                    assert_eq!(consumer.corrupt_events(), u64::from(!legal), "{len}");
                    let popped = consumer.pop(&mut [0; 2 * SIZE as usize]);
                    assert_eq!(popped.is_ok(), legal);
                    assert!(!consumer.release());
                    cases += 1;
                }
            }
        }
    }
    println!("headers_of_any_value: {cases} cases");
}

/// The same damage to a later entry, after a good one, is a new event.
#[test]
fn same_header_again_is_a_new_event() {
    let (mem, mut producer, mut consumer) = pair_at(geometry(SIZE), 0);
    for events in 1..4 {
        producer.push(&[1; 8]).unwrap();
        producer.publish();
        let word = mem.data(consumer.published_pos() as usize);
        let good = word.load_relaxed();
        word.store_relaxed(u64::MAX);
        assert_eq!(consumer.peek(), Err(Error::Corrupt));
        assert_eq!(consumer.peek(), Err(Error::Corrupt));
        assert_eq!(consumer.corrupt_events(), events);
        word.store_relaxed(good);
        consumer.pop(&mut [0; 8]).unwrap();
        consumer.publish();
    }
}

/// The peer changes a header after the check: the checked copy is used.
#[test]
fn header_changed_after_the_check() {
    for len in lengths() {
        let (mem, mut producer, mut consumer) = pair_at(geometry(SIZE), 0);
        producer.push(&[5; 8]).unwrap();
        producer.push(&[6; 8]).unwrap();
        producer.publish();
        consumer.peek().unwrap();
        let header = Header {
            len,
            flags: 0,
            lost: 0,
        };
        mem.data(0).store_relaxed(header.to_word());
        let mut buffer = [0; 8];
        assert_eq!(consumer.pop(&mut buffer).unwrap().len(), 8);
        assert_eq!(consumer.pop(&mut buffer).unwrap().len(), 8);
        assert_eq!(buffer, [6; 8]);
        assert_eq!(consumer.corrupt_events(), 0);
    }
}

#[test]
fn resume_on_any_words() {
    let mut cases = 0;
    for own in values(0) {
        for peer in values(own) {
            let mem = Mem::new(SIZE);
            mem.set(Which::ProducerPos, own);
            mem.set(Which::ConsumerPos, peer);
            // SAFETY: One at a time, on memory of the right size.
            if let Ok(mut producer) = unsafe { Producer::resume(mem.clone(), geometry(SIZE)) } {
                assert!(producer.room().unwrap() <= SIZE);
                let _ = producer.push(&[1; 8]);
            }
            mem.set(Which::ConsumerPos, own);
            mem.set(Which::ProducerPos, peer);
            // SAFETY: The only consumer, on memory of the right size.
            if let Ok(mut consumer) = unsafe { Consumer::resume(mem.clone(), geometry(SIZE)) } {
                assert!(consumer.available().unwrap() <= SIZE);
                let _ = consumer.pop(&mut [0; 64]);
            }
            cases += 1;
        }
    }
    println!("resume_on_any_words: {cases} cases");
}

/// Invalid words of the producer of an overwriting ring: each is counted once per event.
#[test]
fn overwriting_reader_reports_each_event_once() {
    let mem = Mem::new(SIZE);
    // SAFETY: The only producer and the only reader, on zeroed memory of the right size.
    let (mut producer, mut reader) = unsafe {
        (
            Producer::new(mem.clone(), geometry(SIZE), true),
            OverwriteReader::new(mem.clone(), geometry(SIZE)),
        )
    };
    let mut buffer = [0; 64];
    for round in 0..3u64 {
        producer.push(&[1; 8]).unwrap();
        producer.publish();
        let (head, header) = (mem.get(Which::ProducerPos), mem.data(16 * round as usize));
        let good = header.load_relaxed();
        // An entry that reaches beyond the position; one longer than any.
        for (i, len) in [9, SIZE].into_iter().enumerate() {
            header.store_relaxed(len);
            for _ in 0..3 {
                assert_eq!(reader.read(&mut buffer), Err(Error::Corrupt));
            }
            assert_eq!(reader.corrupt_events(), 4 * round + 1 + i as u64);
        }
        header.store_relaxed(good);
        // A position that is no multiple of 8; one more than a lap ahead.
        for (i, pos) in [head + 1, head + 2 * SIZE].into_iter().enumerate() {
            mem.set(Which::ProducerPos, pos);
            for _ in 0..3 {
                assert_eq!(reader.read(&mut buffer), Err(Error::Corrupt));
                assert_eq!(reader.available(), Err(Error::Corrupt));
            }
            assert_eq!(reader.corrupt_events(), 4 * round + 3 + i as u64);
        }
        mem.set(Which::ProducerPos, head);
        assert_eq!(reader.read(&mut buffer).unwrap().len, 8);
    }
    // The same damage again after a good entry is a new event.
    for events in 13..15 {
        producer.push(&[1; 8]).unwrap();
        producer.publish();
        let header = mem.data((mem.get(Which::ConsumerPos) % SIZE) as usize);
        let good = header.load_relaxed();
        header.store_relaxed(9);
        assert_eq!(reader.read(&mut buffer), Err(Error::Corrupt));
        assert_eq!(reader.corrupt_events(), events);
        header.store_relaxed(good);
        assert_eq!(reader.read(&mut buffer).unwrap().len, 8);
    }
}

/// Any words in an overwriting ring: no endless loop, no access outside the data, never more than
/// all.
#[test]
fn overwriting_words_of_any_value() {
    let mut cases = 0;
    for pos in [0, 8, 56, 1 << 32] {
        for head in values(pos) {
            for oldest in values(pos) {
                for len in [0, 8, 56, 57, u32::MAX] {
                    let mem = Mem::at(SIZE, pos);
                    let header = Header {
                        len,
                        flags: 0,
                        lost: 0,
                    };
                    for offset in (0..SIZE as usize).step_by(8) {
                        mem.data(offset).store_relaxed(header.to_word());
                    }
                    mem.set(Which::ProducerPos, head);
                    mem.set(Which::OldestPos, oldest);
                    // SAFETY: The only reader, on memory of the right size.
                    let mut reader = unsafe { OverwriteReader::new(mem.clone(), geometry(SIZE)) };
                    let mut buffer = [0; 64];
                    for _ in 0..10 {
                        match reader.read(&mut buffer) {
                            Ok(read) => assert_eq!(read.len, len as usize),
                            Err(Error::Corrupt) => assert_eq!(reader.corrupt_events(), 1),
                            Err(error) => assert_eq!(error, Error::Empty),
                        }
                        let _ = reader.arm();
                        if let Ok(bytes) = reader.available() {
                            assert!(bytes <= SIZE);
                        }
                    }
                    cases += 1;
                }
            }
        }
    }
    println!("overwriting_words_of_any_value: {cases} cases");
}
