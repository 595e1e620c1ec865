// SPDX-License-Identifier: MIT OR Apache-2.0

//! The time that a cache line takes from one processor to the other: a measure of the machine's
//! state.

use std::sync::atomic::{AtomicU64, Ordering::*};
use std::time::Instant;

use crate::{pin_to, Result};

/// The turns of one round, and the number of rounds.
const TURNS: u64 = 500;
const ROUNDS: u64 = 20;

/// A word with cache lines of its own.
#[repr(align(128))]
struct Ball(AtomicU64);

/// The nanoseconds of one transfer, in the fastest of some rounds in which processors 0 and 1 pass
/// a word to and fro.
///
/// # Errors
///
/// The machine has only one processor.
pub fn line_ns() -> Result<f64> {
    let ball = Ball(AtomicU64::new(0));
    std::thread::scope(|scope| {
        // A thread that cannot be pinned must fail before the other one waits for it.
        let both = scope.spawn(|| pin_to(1).and_then(|()| pin_to(0)));
        both.join().map_err(|_| "a thread panicked")??;
        let back = scope.spawn(|| {
            let pinned = pin_to(1);
            for turn in 0..TURNS * ROUNDS {
                while ball.0.load(Acquire) != 2 * turn + 1 {}
                ball.0.store(2 * turn + 2, Release);
            }
            pinned
        });
        // Another thread, so that the caller's own processor does not change.
        let forth = scope.spawn(|| {
            pin_to(0)?;
            let mut least = f64::INFINITY;
            for round in 0..ROUNDS {
                let begun = Instant::now();
                for turn in round * TURNS..(round + 1) * TURNS {
                    ball.0.store(2 * turn + 1, Release);
                    while ball.0.load(Acquire) != 2 * turn + 2 {}
                }
                let each = begun.elapsed().as_secs_f64() * 1e9 / (2 * TURNS) as f64;
                least = least.min(each);
            }
            Ok(least)
        });
        let least = forth.join().map_err(|_| "a thread panicked")?;
        back.join().map_err(|_| "a thread panicked")??;
        least
    })
}
