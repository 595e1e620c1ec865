// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Models of overwriting: each entry that the reader returns is whole and in order, and gaps are
//! exact.

#![cfg(loom)]

mod loom_common;

use iostream_ring::sync::{leave_out, Barrier, Weak};
use iostream_ring::Error;
use loom::thread;
use loom_common::{model, overwriting_pair, Which};

/// The ordering that a model lacks.
#[derive(Clone, Copy)]
enum Without {
    Nothing,
    Writer(Barrier),
    Reader(Barrier),
    Word(Which, Weak),
}

/// Puts `count` entries of three words, header included, into the ring, and reads `reads` times.
fn pass(words: usize, count: u64, batch: u64, reads: usize, without: Without) {
    model(3, move || {
        let weak = match without {
            Without::Word(which, weak) => Some((which, weak)),
            _ => None,
        };
        let (mut producer, mut reader) = overwriting_pair(words, weak);
        let writer = thread::spawn(move || {
            if let Without::Writer(barrier) = without {
                leave_out(barrier);
            }
            for i in 1..=count {
                let word = i.to_ne_bytes();
                let entry: Vec<u8> = word.iter().chain(&word).copied().collect();
                producer.push(&entry).unwrap();
                if i % batch == 0 || i == count {
                    producer.publish();
                }
            }
        });
        if let Without::Reader(barrier) = without {
            leave_out(barrier);
        }
        let mut buffer = [0; 16];
        let mut pos = 0;
        for _ in 0..reads {
            match reader.read(&mut buffer) {
                Ok(read) => {
                    let first = u64::from_ne_bytes(buffer[..8].try_into().unwrap());
                    let second = u64::from_ne_bytes(buffer[8..].try_into().unwrap());
                    assert_eq!(read.len, 16, "wrong");
                    assert_eq!(first, second, "wrong: torn");
                    pos += read.gap.bytes + 24;
                    assert_eq!(first * 24, pos, "wrong: out of order or not accounted");
                }
                Err(error) => assert_eq!(error, Error::Empty, "wrong"),
            }
        }
        writer.join().unwrap();
    });
}

#[test]
fn one_slot() {
    pass(3, 3, 1, 2, Without::Nothing);
}

#[test]
fn entries_that_wrap() {
    pass(4, 3, 1, 2, Without::Nothing);
}

#[test]
fn two_slots() {
    pass(6, 3, 1, 2, Without::Nothing);
}

#[test]
fn batch_larger_than_the_ring() {
    pass(3, 3, 3, 2, Without::Nothing);
}

#[test]
#[should_panic(expected = "wrong")]
fn control_without_the_write_barrier() {
    pass(3, 2, 1, 1, Without::Writer(Barrier::Write));
}

#[test]
#[should_panic(expected = "wrong")]
fn control_without_the_read_barrier() {
    pass(3, 2, 1, 1, Without::Reader(Barrier::Read));
}

#[test]
#[should_panic(expected = "wrong")]
fn control_producer_position_without_release() {
    pass(3, 2, 1, 1, Without::Word(Which::ProducerPos, Weak::Release));
}

#[test]
#[should_panic(expected = "wrong")]
fn control_producer_position_without_acquire() {
    pass(3, 2, 1, 1, Without::Word(Which::ProducerPos, Weak::Acquire));
}

#[test]
#[should_panic(expected = "wrong")]
fn control_oldest_position_without_release() {
    pass(3, 2, 1, 1, Without::Word(Which::OldestPos, Weak::Release));
}

#[test]
#[should_panic(expected = "wrong")]
fn control_oldest_position_without_acquire() {
    pass(3, 2, 1, 1, Without::Word(Which::OldestPos, Weak::Acquire));
}
