// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Compares the ring with a simple model, over all small sizes, positions, contents and operations.

#![cfg(not(loom))]

mod common;

use common::model::Model;
use common::{pair_at, Mem};
use iostream_ring::{Consumer, Error, Geometry, Producer};

const SIZES: [u64; 8] = [8, 16, 24, 32, 40, 48, 56, 64];

/// A ring and the model of it, in the same state.
struct Both {
    mem: Mem,
    producer: Producer<Mem>,
    consumer: Consumer<Mem>,
    model: Model,
}

impl Both {
    fn new(geometry: Geometry, pos: u64) -> Self {
        let (mem, producer, consumer) = pair_at(geometry, pos);
        let model = Model::new(geometry.data_bytes(), geometry.max_entry_bytes());
        Self {
            mem,
            producer,
            consumer,
            model,
        }
    }

    fn push(&mut self, len: u32) -> Result<(), Error> {
        let bytes = self.model.bytes(len);
        let before = self.mem.snapshot();
        let got = self.producer.push(&bytes);
        assert_eq!(got, self.model.push(&bytes), "push {len}");
        if got.is_err() {
            assert_eq!(self.mem.snapshot(), before, "a refused push wrote");
        }
        got
    }

    fn pop(&mut self, buffer_len: usize) -> Result<usize, Error> {
        let mut buffer = vec![0xee; buffer_len];
        let before = self.mem.snapshot();
        let got = self.consumer.pop(&mut buffer);
        assert_eq!(self.mem.snapshot(), before, "a pop wrote");
        match (got, self.model.pop(buffer_len)) {
            (Ok(entry), Ok(expected)) => {
                assert_eq!(&buffer[..entry.len()], expected);
                assert!(buffer[entry.len()..].iter().all(|b| *b == 0xee));
                assert_eq!(entry.lost_before(), 0);
                Ok(entry.len())
            }
            (got, expected) => {
                assert_eq!(got.err(), expected.clone().err(), "pop {expected:?}");
                assert!(buffer.iter().all(|b| *b == 0xee), "a refused pop wrote");
                Err(got.unwrap_err())
            }
        }
    }

    fn show(&mut self) {
        self.producer.publish();
        self.model.publish_producer();
    }

    fn free(&mut self) {
        self.consumer.publish();
        self.model.publish_consumer();
    }

    fn check_sums(&mut self) {
        assert_eq!(self.producer.room(), Ok(self.model.room()));
        assert_eq!(self.consumer.available(), Ok(self.model.available()));
        assert_eq!(self.producer.corrupt_events(), 0);
        assert_eq!(self.consumer.corrupt_events(), 0);
    }
}

/// All positions at which a ring of `size` bytes is tried: each residue, early and before the wrap
/// of 64 bits.
fn starts(size: u64) -> impl Iterator<Item = u64> {
    let words = size / 8;
    (0..words)
        .map(|i| i * 8)
        .chain((1..=words + 1).map(|i| 0u64.wrapping_sub(i * 8)))
}

/// Calls `visit` with each sequence of entry lengths that fits into `size` bytes.
fn each_content(size: u64, max: u32, lens: &mut Vec<u32>, visit: &mut impl FnMut(&[u32])) {
    visit(lens);
    for len in 0..=max {
        if common::occupied(lens) + common::occupied(&[len]) <= size {
            lens.push(len);
            each_content(size, max, lens, visit);
            lens.pop();
        }
    }
}

/// For each content of each small ring at each position: does each operation, then takes all
/// entries.
#[test]
fn every_state_and_operation() {
    let mut cases = 0u64;
    for size in SIZES {
        // Half of all cases have 64 bytes; one start in four keeps the usual run short.
        let all = size < 64 || std::env::var_os("LONG").is_some();
        let stride = if all { 1 } else { 4 };
        for pos in starts(size).step_by(stride) {
            let geometry = Geometry::from_description(size, size as u32 - 8).unwrap();
            let max = geometry.max_entry_bytes();
            each_content(size, max, &mut Vec::new(), &mut |lens| {
                let build = || {
                    let mut both = Both::new(geometry, pos);
                    for len in lens {
                        both.push(*len).unwrap();
                    }
                    both.show();
                    both
                };
                // Every push, even one that does not fit; then all entries come out in order.
                let mut both = build();
                both.check_sums();
                for len in 0..=max + 1 {
                    if both.push(len).is_ok() {
                        both.show();
                        cases += 1;
                        both = build();
                        continue;
                    }
                    cases += 1;
                }
                // Every buffer that is too small; then the exact one.
                for len in lens {
                    for short in 0..*len {
                        assert_eq!(
                            both.pop(short as usize),
                            Err(Error::TooSmall { needed: *len })
                        );
                        cases += 1;
                    }
                    assert_eq!(both.pop(*len as usize), Ok(*len as usize));
                    cases += 1;
                    // The entry is released and not published: the producer has no more room.
                    both.check_sums();
                    both.free();
                    both.check_sums();
                }
                assert_eq!(both.pop(64), Err(Error::Empty));
                cases += 1;
            });
        }
    }
    println!("every_state_and_operation: {cases} cases");
    assert!(cases > 1_000_000);
}

/// One step of a history.
#[derive(Clone, Copy, Debug)]
enum Step {
    Push(u32),
    Pop,
    Show,
    Free,
}

/// All histories of pushes, pops and both publications, to a depth, over lengths at the edges.
#[test]
fn every_history() {
    let mut cases = 0u64;
    for size in [8, 16, 24, 32, 40] {
        for pos in starts(size) {
            let geometry = Geometry::from_description(size, size as u32 - 8).unwrap();
            let max = geometry.max_entry_bytes();
            let mut steps = vec![Step::Pop, Step::Show, Step::Free];
            // The shortest and the longest entry of each number of words.
            steps.extend((0..=max).filter(|l| l % 8 <= 1).map(Step::Push));
            let mut digits = [0usize; 6];
            loop {
                let mut both = Both::new(geometry, pos);
                for digit in digits {
                    match steps[digit] {
                        Step::Push(len) => _ = both.push(len),
                        Step::Pop => _ = both.pop(size as usize),
                        Step::Show => both.show(),
                        Step::Free => both.free(),
                    }
                }
                both.check_sums();
                cases += 1;
                let Some(i) = digits.iter().rposition(|d| d + 1 < steps.len()) else {
                    break;
                };
                digits[i] += 1;
                digits[i + 1..].fill(0);
            }
        }
    }
    println!("every_history: {cases} cases");
    assert!(cases > 1_000_000);
}

/// Entries that end exactly with the data, at each position: the bug of xnu's `peek` (`>=`).
#[test]
fn exact_fit_at_the_end() {
    let mut cases = 0u64;
    for size in SIZES {
        for pos in starts(size) {
            let geometry = Geometry::from_description(size, size as u32 - 8).unwrap();
            // Moves both sides to the word after which an entry of `len` ends with the data.
            for len in 0..=geometry.max_entry_bytes() {
                let mut both = Both::new(geometry, pos);
                let goal = size - common::occupied(&[len]);
                while both.producer.published_pos() % size != goal && pos < u64::MAX / 2 {
                    both.push(0).unwrap();
                    both.show();
                    both.pop(0).unwrap();
                    both.free();
                }
                both.push(len).unwrap();
                both.show();
                assert_eq!(both.pop(len as usize), Ok(len as usize));
                assert_eq!(both.pop(64), Err(Error::Empty));
                both.free();
                both.push(0).unwrap();
                both.show();
                assert_eq!(both.pop(0), Ok(0));
                both.free();
                both.check_sums();
                cases += 1;
            }
        }
    }
    println!("exact_fit_at_the_end: {cases} cases");
}
