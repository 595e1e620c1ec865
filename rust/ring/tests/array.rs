// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Entries of one length: `pop_array` does what `pop` does.

#![cfg(not(loom))]

mod common;

use common::{geometry, pair_at, Which};
use iostream_ring::{Error, Header};

const SIZE: u64 = 64;

#[test]
fn entries_of_the_length_arrive_at_every_position() {
    for pos in (0..SIZE).step_by(8).chain([0u64.wrapping_sub(24)]) {
        let (mem, mut producer, mut consumer) = pair_at(geometry(SIZE), pos);
        for lap in 0..9u64 {
            producer.push(&lap.to_ne_bytes()).unwrap();
            assert_eq!(
                consumer.pop_array::<8>(),
                Err(Error::Empty),
                "not published"
            );
            producer.publish();
            assert_eq!(consumer.pop_array(), Ok(lap.to_ne_bytes()));
            assert_eq!(consumer.pop_array::<8>(), Err(Error::Empty));
            consumer.publish();
            assert_eq!(mem.get(Which::ConsumerPos), mem.get(Which::ProducerPos));
        }
    }
}

#[test]
fn an_entry_of_another_length_stays() {
    for len in (0..=40usize).filter(|len| *len != 8) {
        let (_, mut producer, mut consumer) = pair_at(geometry(SIZE), 0);
        producer.push(&vec![7; len]).unwrap();
        producer.publish();
        let needed = len as u32;
        for _ in 0..2 {
            assert_eq!(consumer.pop_array::<8>(), Err(Error::TooSmall { needed }));
        }
        let mut bytes = [0; 40];
        assert_eq!(consumer.pop(&mut bytes).unwrap().len(), len);
        assert_eq!(consumer.corrupt_events(), 0);
    }
}

#[test]
fn an_entry_after_a_gap_is_taken_all_the_same() {
    let (_, mut producer, mut consumer) = pair_at(geometry(SIZE), 0);
    producer.report_lost(3);
    producer.push(&[1; 8]).unwrap();
    producer.push(&[2; 8]).unwrap();
    producer.publish();
    assert_eq!(consumer.pop_array(), Ok([1; 8]));
    assert_eq!(consumer.pop_array(), Ok([2; 8]));
}

#[test]
fn an_entry_that_was_looked_at_is_taken_once() {
    let (_, mut producer, mut consumer) = pair_at(geometry(SIZE), 0);
    producer.push(&[1; 8]).unwrap();
    producer.push(&[2; 8]).unwrap();
    producer.publish();
    consumer.peek().unwrap();
    assert_eq!(consumer.pop_array(), Ok([1; 8]));
    assert!(!consumer.release(), "it is gone");
    assert_eq!(consumer.pop_array(), Ok([2; 8]));
}

#[test]
fn nothing_but_whole_entries() {
    // As many bytes as the producer says, with a header that promises eight.
    for known in (0..=SIZE).step_by(8) {
        let (mem, _producer, mut consumer) = pair_at(geometry(SIZE), 0);
        mem.data(0).store_relaxed(Header::of(8).to_word());
        mem.set(Which::ProducerPos, known);
        let want = match known {
            0 => Err(Error::Empty),
            8 => Err(Error::Corrupt),
            _ => Ok([0; 8]),
        };
        assert_eq!(consumer.pop_array(), want, "{known}");
        assert_eq!(consumer.corrupt_events(), u64::from(known == 8));
    }
}
