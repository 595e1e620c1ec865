// SPDX-License-Identifier: MIT OR Apache-2.0

//! How long a cache line takes from one processor to the other, which tells the machine's state.

use std::sync::atomic::{AtomicU64, Ordering::*};
use std::time::Instant;

use crate::{pin_to, Result};

/// Turns whose time is taken together, and how often.
const TURNS: u64 = 500;
const ROUNDS: u64 = 20;

/// On lines of its own.
#[repr(align(128))]
struct Ball(AtomicU64);

/// Nanoseconds: the least of some rounds, in which processors 0 and 1 hand a word to and fro.
///
/// # Errors
///
/// There is one processor.
pub fn line_ns() -> Result<f64> {
    let ball = Ball(AtomicU64::new(0));
    std::thread::scope(|scope| {
        // Before one of them waits for another that gave up.
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
        // A thread of its own, too: the caller stays where it was.
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
