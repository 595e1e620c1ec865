// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Entries of one length without headers: they arrive unchanged, and no position is inside an
//! entry.

#![cfg(not(loom))]

mod common;

use common::{geometry, pair_of, Mem, Pair, Random, Which};
use iostream_ring::{Consumer, Error, Memory, Producer, Slots};

const SIZE: u64 = 64;
type Sixteen = Slots<16>;

/// Both sides of an empty ring at position `pos`.
fn pair_at(pos: u64) -> Pair<Sixteen> {
    pair_of(geometry(SIZE), pos)
}

/// Positions to start at: each offset, and around the end of 64 bits.
fn starts() -> impl Iterator<Item = u64> {
    let last = (1..=5).map(|i| 0_u64.wrapping_sub(16 * i));
    (0..SIZE).step_by(16).chain(last)
}

fn item(number: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_ne_bytes());
    bytes[8..].copy_from_slice(&(!number).to_ne_bytes());
    bytes
}

#[test]
fn arrive_in_order_at_every_position() {
    for pos in starts() {
        let (mem, mut producer, mut consumer) = pair_at(pos);
        let (mut sent, mut received) = (0, 0);
        for lap in 0..40 {
            for _ in 0..=lap % 4 {
                match producer.push(&item(sent)) {
                    Ok(()) => sent += 1,
                    Err(error) => assert_eq!((error, sent - received), (Error::Full, 4)),
                }
            }
            producer.publish();
            for _ in 0..=(lap + 2) % 3 {
                match consumer.pop_array() {
                    Ok(bytes) => {
                        assert_eq!(bytes, item(received));
                        received += 1;
                    }
                    Err(error) => assert_eq!((error, sent), (Error::Empty, received)),
                }
            }
            consumer.publish();
            let used = mem
                .get(Which::ProducerPos)
                .wrapping_sub(mem.get(Which::ConsumerPos));
            assert_eq!(used, 16 * (sent - received));
        }
        assert!(received > 40);
    }
}

#[test]
fn peek_leaves_it_and_release_takes_it() {
    let (_, mut producer, mut consumer) = pair_at(48);
    assert!(!consumer.release(), "there is none");
    producer.push(&item(1)).unwrap();
    producer.push(&item(2)).unwrap();
    producer.publish();
    for number in [1, 2] {
        for _ in 0..2 {
            let entry = consumer.peek().unwrap();
            assert_eq!((entry.len(), entry.lost_before()), (16, 0));
            assert_eq!(consumer.peek_array(), Ok(item(number)));
        }
        assert!(consumer.release());
    }
    assert_eq!(consumer.peek(), Err(Error::Empty));
    assert!(!consumer.release());
}

#[test]
fn drain_takes_them_all() {
    for pos in starts() {
        let (_, mut producer, mut consumer) = pair_at(pos);
        (0..4).for_each(|number| producer.push(&item(number)).unwrap());
        producer.publish();
        let mut next = 0;
        let drained = consumer.drain(10, |memory, entry| {
            let mut bytes = [0; 16];
            // SAFETY: The entry was checked.
            unsafe { memory.read(entry.offset(), bytes.as_mut_ptr(), entry.len()) };
            assert_eq!(bytes, item(next));
            next += 1;
            true
        });
        assert_eq!(
            (drained.entries, drained.bytes, drained.error),
            (4, 64, None)
        );
    }
}

#[test]
fn in_place_and_in_a_row() {
    let (_, mut producer, mut consumer) = pair_at(32);
    let mut head = producer.head();
    for number in 0..4 {
        // SAFETY: The head came from this producer, which does nothing else meanwhile.
        let offset = unsafe { head.place(producer.memory(), 16) }.unwrap();
        // SAFETY: `place` made room for as many bytes there.
        unsafe { producer.write(offset, &item(number)) };
    }
    // SAFETY: The head came from this producer, which does nothing else meanwhile.
    assert_eq!(unsafe { head.place(producer.memory(), 16) }, None, "full");
    // SAFETY: The head came from this producer, which does nothing else meanwhile.
    unsafe { producer.set_head(head) };
    producer.publish();
    (0..4).for_each(|number| assert_eq!(consumer.pop_array(), Ok(item(number))));
}

#[test]
fn no_other_length_goes_in() {
    let (_, mut producer, _) = pair_at(0);
    for len in [0, 1, 8, 15, 17, 24, 32, 64] {
        let error = Err(Error::TooLarge { max: 16 });
        assert_eq!(producer.push(&vec![0; len]), error, "{len} bytes");
        assert_eq!(producer.reserve(len as u32).map(drop), error);
        assert_eq!(producer.committed_pos(), 0);
    }
}

#[test]
fn no_position_is_between_two() {
    for start in starts() {
        for ahead in (0..=SIZE + 16).filter(|ahead| ahead % 16 != 0 || *ahead > SIZE) {
            let (mem, mut producer, mut consumer) = pair_at(start);
            mem.set(Which::ProducerPos, start.wrapping_add(ahead));
            assert_eq!(
                consumer.pop_array::<16>(),
                Err(Error::Corrupt),
                "{ahead} ahead"
            );
            assert_eq!(consumer.peek(), Err(Error::Corrupt));
            assert_eq!(consumer.corrupt_events(), 1, "once");
            (0..4).for_each(|number| producer.push(&item(number)).unwrap());
            producer.publish();
            mem.set(Which::ConsumerPos, start.wrapping_add(ahead));
            assert_eq!(producer.push(&item(4)), Err(Error::Corrupt));
            assert_eq!(consumer.pop_array(), Ok(item(0)), "right again");
        }
    }
}

#[test]
fn resume_wants_a_position_of_one() {
    for pos in [8, 15, 17, u64::MAX] {
        let mem = Mem::at(SIZE, pos);
        // SAFETY: One at a time, on memory of the right size.
        let consumer = unsafe { Consumer::<_, Sixteen>::resume_of(mem.clone(), geometry(SIZE)) };
        assert!(matches!(consumer.map(drop), Err(Error::Corrupt)), "{pos}");
        // SAFETY: The only producer, on memory of the right size.
        let producer = unsafe { Producer::<_, Sixteen>::resume_of(mem, geometry(SIZE)) };
        assert!(matches!(producer.map(drop), Err(Error::Corrupt)), "{pos}");
    }
}

#[test]
fn slices_take_as_many_as_there_are() {
    for pos in starts() {
        let (mem, mut producer, mut consumer) = pair_at(pos);
        let (mut sent, mut received) = (0_u64, 0_u64);
        for lap in 0..60 {
            let wanted = lap % 7;
            let bytes: Vec<u8> = (sent..sent + wanted).flat_map(item).collect();
            // A part of an entry at the end is left out.
            let bytes = [&bytes[..], &[7; 15][..lap as usize % 16]].concat();
            let room = 4 - (sent - received);
            match producer.push_slice(&bytes) {
                Ok(put) => {
                    assert_eq!(put as u64, wanted.min(room));
                    sent += put as u64;
                }
                Err(error) => assert_eq!((error, room), (Error::Full, 0)),
            }
            let before = mem.get(Which::ProducerPos);
            producer.publish();
            let shown = mem.get(Which::ProducerPos).wrapping_sub(before);
            assert_eq!(shown % 16, 0);

            let mut buffer = vec![9; (lap as usize % 5) * 16 + lap as usize % 16];
            let whole = buffer.len() as u64 / 16;
            match consumer.pop_slice(&mut buffer) {
                Ok(taken) => {
                    assert_eq!(taken as u64, whole.min(sent - received));
                    let (full, rest) = buffer.split_at(taken * 16);
                    for (bytes, number) in full.chunks(16).zip(received..) {
                        assert_eq!(bytes, item(number));
                    }
                    assert!(rest.iter().all(|byte| *byte == 9), "untouched");
                    received += taken as u64;
                }
                Err(error) => assert_eq!((error, sent), (Error::Empty, received)),
            }
            consumer.publish();
        }
        assert!(received > 40, "{received}");
    }
}

#[test]
fn slices_believe_no_position() {
    let (mem, mut producer, mut consumer) = pair_at(0);
    mem.set(Which::ProducerPos, 8);
    assert_eq!(consumer.pop_slice(&mut [0; 64]), Err(Error::Corrupt));
    mem.set(Which::ProducerPos, 80);
    assert_eq!(consumer.pop_slice(&mut [0; 64]), Err(Error::Corrupt));
    mem.set(Which::ProducerPos, 0);
    assert_eq!(producer.push_slice(&[1; 64]), Ok(4));
    producer.publish();
    mem.set(Which::ConsumerPos, 24);
    assert_eq!(producer.push_slice(&[1; 16]), Err(Error::Corrupt));
    mem.set(Which::ConsumerPos, 80);
    assert_eq!(producer.push_slice(&[1; 16]), Err(Error::Corrupt));
}

/// Slices and single entries take turns in a ring of several windows, against a counter of each side.
#[test]
fn slices_and_single_ones_take_turns() {
    const ROOM: u64 = 256;
    let mut random = Random::seeded("slices and single ones");
    for start in [0, 16 * (random.below(ROOM)), 0_u64.wrapping_sub(16 * 100)] {
        let (_, mut producer, mut consumer): Pair<Sixteen> = pair_of(geometry(16 * ROOM), start);
        let (mut sent, mut received) = (0_u64, 0_u64);
        for _ in 0..20_000 {
            let some = match random.below(4) {
                0 => random.below(ROOM),
                _ => 1 + random.below(4),
            };
            let (room, waiting) = (ROOM - (sent - received), sent - received);
            match random.below(4) {
                0 => match producer.push(&item(sent)) {
                    Ok(()) => sent += 1,
                    Err(error) => assert_eq!((error, room), (Error::Full, 0)),
                },
                1 => {
                    let bytes: Vec<u8> = (sent..sent + some).flat_map(item).collect();
                    match producer.push_slice(&bytes) {
                        Ok(put) => {
                            assert_eq!(put as u64, some.min(room));
                            sent += put as u64;
                        }
                        Err(error) => assert_eq!((error, room), (Error::Full, 0)),
                    }
                }
                2 => match consumer.pop_array() {
                    Ok(bytes) => {
                        assert_eq!(bytes, item(received));
                        received += 1;
                    }
                    Err(error) => assert_eq!((error, waiting), (Error::Empty, 0)),
                },
                _ => {
                    let mut buffer = vec![0; 16 * some as usize];
                    match consumer.pop_slice(&mut buffer) {
                        Ok(taken) => {
                            assert_eq!(taken as u64, some.min(waiting));
                            for (bytes, number) in buffer.chunks(16).take(taken).zip(received..) {
                                assert_eq!(bytes, item(number));
                            }
                            received += taken as u64;
                        }
                        Err(error) => assert_eq!((error, waiting), (Error::Empty, 0)),
                    }
                }
            }
            producer.publish();
            consumer.publish();
        }
        assert!(received > 10_000, "{received}");
    }
}
