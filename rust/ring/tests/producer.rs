// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! The producing side: reservations, batches, losses, room.

#![cfg(not(loom))]

mod common;

use common::{geometry, pair, pair_at, Mem, Which};
use iostream_ring::{Consumer, Error, Memory, Producer};

fn pop(consumer: &mut Consumer<Mem>) -> Result<Vec<u8>, Error> {
    let mut buffer = [0; 64];
    let entry = consumer.pop(&mut buffer)?;
    consumer.publish();
    Ok(buffer[..entry.len()].to_vec())
}

/// Fills a reservation in place.
fn fill(producer: &Producer<Mem>, offset: usize, bytes: &[u8]) {
    // SAFETY: The test memory checks the bounds; this is the producer.
    unsafe { producer.memory().write(offset, bytes.as_ptr(), bytes.len()) };
}

#[test]
fn too_large_carries_the_max() {
    for (size, max) in [(64, 56), (4096, 4088)] {
        let (mem, mut producer, _consumer) = pair(size);
        let before = mem.snapshot();
        assert_eq!(
            producer.push(&vec![1; max as usize + 1]),
            Err(Error::TooLarge { max })
        );
        assert_eq!(producer.reserve(max + 1), Err(Error::TooLarge { max }));
        assert_eq!(producer.reserve(u32::MAX), Err(Error::TooLarge { max }));
        assert_eq!(mem.snapshot(), before);
        assert_eq!(producer.push(&vec![1; max as usize]), Ok(()));
    }
}

#[test]
fn full_writes_nothing() {
    let (mem, mut producer, mut consumer) = pair(64);
    producer.push(&[7; 40]).unwrap();
    producer.publish();
    let before = mem.snapshot();
    assert_eq!(producer.push(&[9; 9]), Err(Error::Full));
    assert_eq!(producer.reserve(9), Err(Error::Full));
    producer.publish();
    assert_eq!(mem.snapshot(), before);
    // An entry that fits is still accepted.
    producer.push(&[9; 8]).unwrap();
    assert_eq!(producer.push(b""), Err(Error::Full));
    producer.publish();
    assert_eq!(pop(&mut consumer), Ok(vec![7; 40]));
    assert_eq!(pop(&mut consumer), Ok(vec![9; 8]));
    assert_eq!(pop(&mut consumer), Err(Error::Empty));
}

#[test]
fn batch_is_seen_at_its_publication() {
    let (_, mut producer, mut consumer) = pair(64);
    producer.push(b"a").unwrap();
    producer.push(b"b").unwrap();
    assert_eq!(pop(&mut consumer), Err(Error::Empty));
    assert_eq!(producer.published_pos(), 0);
    producer.publish();
    assert_eq!(producer.published_pos(), 32);
    assert_eq!(pop(&mut consumer), Ok(b"a".to_vec()));
    assert_eq!(pop(&mut consumer), Ok(b"b".to_vec()));
    assert_eq!(pop(&mut consumer), Err(Error::Empty));
}

#[test]
fn forgotten_reservation_changes_nothing() {
    let (mem, mut producer, mut consumer) = pair(64);
    let before = mem.snapshot();
    assert_eq!(producer.reserve(56), Ok(8));
    assert_eq!(mem.snapshot(), before);
    producer.publish();
    assert_eq!(mem.snapshot(), before);
    assert_eq!(producer.room(), Ok(64));
    producer.push(b"after").unwrap();
    producer.publish();
    assert_eq!(pop(&mut consumer), Ok(b"after".to_vec()));
    assert_eq!(pop(&mut consumer), Err(Error::Empty));
}

#[test]
fn commit_may_be_shorter_than_the_reservation() {
    for pos in (0..64).step_by(8) {
        for len in 0..=56 {
            let (_, mut producer, mut consumer) = pair_at(geometry(64), pos);
            let offset = producer.reserve(56).unwrap();
            fill(&producer, offset, &[3; 56]);
            producer.commit(len).unwrap();
            producer.publish();
            assert_eq!(producer.room(), Ok(64 - common::occupied(&[len])));
            assert_eq!(pop(&mut consumer), Ok(vec![3; len as usize]));
            assert_eq!(pop(&mut consumer), Err(Error::Empty));
        }
    }
}

#[test]
fn commit_without_room_is_refused() {
    let (mem, mut producer, _consumer) = pair(64);
    let before = mem.snapshot();
    assert_eq!(producer.commit(57), Err(Error::Full));
    assert_eq!(producer.commit(u32::MAX), Err(Error::Full));
    assert_eq!(mem.snapshot(), before);
    producer.push(&[0; 40]).unwrap();
    producer.publish();
    let before = mem.snapshot();
    // Sixteen bytes are left, so the entry is longer than any that could have been reserved.
    assert_eq!(producer.reserve(8), Ok(56));
    assert_eq!(producer.commit(9), Err(Error::Full));
    assert_eq!(mem.snapshot(), before);
    producer.commit(8).unwrap();
    assert_eq!(producer.commit(0), Err(Error::Full));
}

#[test]
fn loss_is_told_by_the_next_entries() {
    const MAX: u16 = u16::MAX;
    for (reported, told) in [
        (&[1][..], [1, 0, 0]),
        (&[2, 3], [5, 0, 0]),
        (&[65_534], [65_534, 0, 0]),
        (&[65_535], [MAX, 0, 0]),
        (&[65_536], [MAX, 1, 0]),
        (&[65_535, 100_000], [MAX, MAX, 34_465]),
        (&[u64::MAX, u64::MAX], [MAX, MAX, MAX]),
    ] {
        let (_, mut producer, mut consumer) = pair(64);
        producer.push(b"before").unwrap();
        for entries in reported {
            producer.report_lost(*entries);
        }
        // A reservation that is given up leaves the report for the next entry.
        producer.reserve(8).unwrap();
        producer.push(b"gap").unwrap();
        producer.reserve(8).unwrap();
        producer.commit(1).unwrap();
        producer.push_and_publish(b"after").unwrap();
        let first = consumer.peek().unwrap().lost_before();
        assert_eq!(first, 0);
        consumer.release();
        for expected in told {
            assert_eq!(consumer.peek().unwrap().lost_before(), expected);
            consumer.release();
        }
    }
}

#[test]
fn room_and_can_push() {
    let (_, mut producer, mut consumer) = pair(64);
    assert_eq!(producer.room(), Ok(64));
    for (len, count, fits) in [
        (0, 8, true),
        (0, 9, false),
        (8, 4, true),
        (8, 5, false),
        (1, 4, true),
        (9, 2, true),
        (9, 3, false),
        (56, 1, true),
        (57, 1, false),
        (57, 0, true),
        (u32::MAX, 1, false),
        (0, u64::MAX, false),
        (8, u64::MAX / 16, false),
        (8, u64::MAX / 16 + 1, false),
        (8, 0, true),
    ] {
        assert_eq!(producer.can_push(len, count), Ok(fits), "{count} of {len}");
    }
    producer.push(&[0; 16]).unwrap();
    assert_eq!(producer.room(), Ok(40), "committed counts");
    assert_eq!(producer.can_push(8, 2), Ok(true));
    assert_eq!(producer.can_push(8, 3), Ok(false));
    producer.publish();
    pop(&mut consumer).unwrap();
    assert_eq!(producer.can_push(8, 4), Ok(true), "looks afresh");
}

#[test]
fn high_water_is_the_most_that_was_there() {
    let (_, mut producer, mut consumer) = pair(64);
    assert_eq!(producer.high_water_bytes(), 0);
    producer.push(&[0; 8]).unwrap();
    assert_eq!(producer.high_water_bytes(), 0, "not published");
    producer.publish();
    assert_eq!(producer.high_water_bytes(), 16);
    // The ring wraps many times, but never holds more than 16 bytes at once.
    for _ in 0..20 {
        pop(&mut consumer).unwrap();
        producer.push(&[0; 8]).unwrap();
        producer.publish();
        assert_eq!(producer.high_water_bytes(), 16);
    }
    producer.push(&[0; 40]).unwrap();
    producer.publish();
    assert_eq!(producer.high_water_bytes(), 64);
    pop(&mut consumer).unwrap();
    assert_eq!(producer.high_water_bytes(), 64);
}

#[test]
fn known_bytes_are_those_of_the_last_look() {
    let (_, mut producer, mut consumer) = pair(64);
    producer.push(&[0; 8]).unwrap();
    producer.push(&[0; 16]).unwrap();
    producer.publish();
    assert_eq!(consumer.known_bytes(), 0, "not looked at");
    consumer.available().unwrap();
    assert_eq!(consumer.known_bytes(), 40);
    consumer.peek().unwrap();
    consumer.release();
    assert_eq!(consumer.known_bytes(), 40, "not published");
    consumer.publish();
    assert_eq!(consumer.known_bytes(), 24);
}

#[test]
fn resume_goes_on_where_it_was() {
    let mut cases = 0;
    for pos in (0..64)
        .step_by(8)
        .chain((1..8).map(|i| u64::MAX - i * 8 + 1))
    {
        for used in 0..=4u64 {
            let (mem, mut first, mut consumer) = pair_at(geometry(64), pos);
            for i in 0..used {
                first.push(&[i as u8; 8]).unwrap();
            }
            first.publish();
            // The entry is committed and not published: it is gone with its producer.
            if used < 4 {
                first.push(b"unseen").unwrap();
            }
            drop(first);
            // SAFETY: The first producer is gone.
            let mut second = unsafe { Producer::resume(mem.clone(), geometry(64)) }.unwrap();
            assert_eq!(second.room(), Ok(64 - used * 16));
            if used < 4 {
                second.push(b"second").unwrap();
                second.publish();
            }
            for i in 0..used {
                assert_eq!(pop(&mut consumer), Ok(vec![i as u8; 8]));
            }
            if used < 4 {
                assert_eq!(pop(&mut consumer), Ok(b"second".to_vec()));
            }
            assert_eq!(pop(&mut consumer), Err(Error::Empty));
            cases += 1;
        }
    }
    println!("resume_goes_on_where_it_was: {cases} cases");
}

#[test]
fn resume_refuses_what_cannot_be() {
    for (pos, peer) in [
        (1, 0),
        (7, 0),
        (8, 1),
        (72, 0),
        (0, 8),
        (0, 72),
        (8, u64::MAX - 62),
    ] {
        let mem = Mem::new(64);
        mem.set(Which::ProducerPos, pos);
        mem.set(Which::ConsumerPos, peer);
        // SAFETY: There is no other producer.
        let got = unsafe { Producer::resume(mem, geometry(64)) };
        assert_eq!(got.err(), Some(Error::Corrupt), "{pos}, {peer}");
    }
}
