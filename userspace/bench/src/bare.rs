// SPDX-License-Identifier: MIT OR Apache-2.0

//! A plain ring of words and two positions. No header, check, count or wake-up; threads of one process that
//! trust each other. It tells how fast the machine moves cache lines just now; it is no limit.

use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicU64, Ordering::*};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::{pin_to, Result};

/// Words of the ring: 512 KiB.
const RING_WORDS: usize = 65536;

/// On cache lines of its own.
#[repr(align(128))]
#[derive(Default)]
struct Position(AtomicU64);

/// How it is driven.
#[derive(Clone, Copy, Debug)]
pub struct Bare {
    /// Items a publication.
    pub batch: u64,
    /// Pauses between two looks of who waits.
    pub pauses: u32,
}

impl Bare {
    /// The time in which `count` items of `WORDS` words go from processor 0 to processor 1.
    ///
    /// # Errors
    ///
    /// There is one processor; what arrived is not what was sent.
    pub fn run<const WORDS: usize>(self, count: u64) -> Result<Duration> {
        let items = (RING_WORDS / WORDS) as u64;
        let ring: Vec<AtomicU64> = std::iter::repeat_with(AtomicU64::default)
            .take(items as usize * WORDS)
            .collect();
        let (produced, consumed) = (Position::default(), Position::default());
        let both = Barrier::new(2);
        pin_to(1)?;
        let (sum, time) = std::thread::scope(|scope| -> Result<(u64, Duration)> {
            let producer = scope.spawn(|| -> Result<()> {
                pin_to(0)?;
                both.wait();
                self.produce::<WORDS>(count, items, &ring, &produced.0, &consumed.0);
                Ok(())
            });
            both.wait();
            let begun = Instant::now();
            let sum = self.consume::<WORDS>(count, &ring, &produced.0, &consumed.0);
            let time = begun.elapsed();
            producer.join().map_err(|_| "the producer panicked")??;
            Ok((sum, time))
        })?;
        if sum != (u128::from(count) * u128::from(count.saturating_sub(1)) / 2) as u64 {
            return Err("what arrived is not what was sent".into());
        }
        Ok(time)
    }

    fn produce<const WORDS: usize>(
        self,
        count: u64,
        items: u64,
        ring: &[AtomicU64],
        produced: &AtomicU64,
        consumed: &AtomicU64,
    ) {
        let (mut at, mut taken, mut left) = (0, 0, self.batch);
        for number in 0..count {
            while number - taken == items {
                produced.store(number, Release);
                taken = consumed.load(Acquire);
                if number - taken == items {
                    self.pause();
                }
            }
            for (word, place) in ring[at..at + WORDS].iter().enumerate() {
                place.store(number.wrapping_add(word as u64), Relaxed);
            }
            at += WORDS;
            if at == ring.len() {
                at = 0;
            }
            left -= 1;
            if left == 0 {
                produced.store(number + 1, Release);
                left = self.batch;
            }
        }
        produced.store(count, Release);
    }

    /// Returns the sum of the first words.
    fn consume<const WORDS: usize>(
        self,
        count: u64,
        ring: &[AtomicU64],
        produced: &AtomicU64,
        consumed: &AtomicU64,
    ) -> u64 {
        let (mut at, mut number, mut sum, mut rest) = (0, 0, 0_u64, 0_u64);
        while number < count {
            let known = produced.load(Acquire);
            if known == number {
                self.pause();
                continue;
            }
            while number < known {
                let item = &ring[at..at + WORDS];
                sum = sum.wrapping_add(item[0].load(Relaxed));
                for place in &item[1..] {
                    rest = rest.wrapping_add(place.load(Relaxed));
                }
                at += WORDS;
                if at == ring.len() {
                    at = 0;
                }
                number += 1;
                if number % 512 == 0 {
                    consumed.store(number, Release);
                }
            }
            consumed.store(number, Release);
        }
        black_box(rest);
        sum
    }

    fn pause(self) {
        for _ in 0..self.pauses {
            spin_loop();
        }
    }
}
