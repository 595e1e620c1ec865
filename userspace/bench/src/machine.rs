// SPDX-License-Identifier: MIT OR Apache-2.0

//! Processors and clocks.

use std::time::Duration;

use rustix::thread::{sched_setaffinity, CpuSet};

/// Whatever went wrong, said to who started the benchmark.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Has the calling thread run on this processor alone.
///
/// # Errors
///
/// There is no such processor.
pub fn pin_to(processor: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(processor);
    Ok(sched_setaffinity(None, &set)?)
}

/// So many in that time, a second.
pub fn rate_of(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// Measures for about as long each time: how much is to be done follows from the last time.
pub struct Sized {
    count: u64,
    target: Duration,
}

/// How long one measurement of a pair is to take, and of a point of a curve.
const PAIR: Duration = Duration::from_millis(400);
const POINT: Duration = Duration::from_millis(100);

impl Sized {
    /// The first time, which is the warm-up's, does `count`.
    pub fn new(count: u64) -> Self {
        Self {
            count,
            target: PAIR,
        }
    }

    /// As [`Self::new`], for a point of a curve.
    pub fn quick(count: u64) -> Self {
        Self {
            count,
            target: POINT,
        }
    }

    /// The rate of `run`, which does as much as it is told and returns how long that took.
    ///
    /// # Errors
    ///
    /// What `run` returns.
    pub fn rate(&mut self, run: impl FnOnce(u64) -> Result<Duration>) -> Result<f64> {
        let rate = rate_of(self.count, run(self.count)?);
        let next = rate * self.target.as_secs_f64();
        self.count = (next as u64).clamp(100, 50_000_000);
        Ok(rate)
    }
}
