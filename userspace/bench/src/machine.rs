// SPDX-License-Identifier: MIT OR Apache-2.0

//! Processors and clocks.

use std::time::Duration;

use rustix::thread::{sched_setaffinity, CpuSet};

/// A result whose error is shown to the user.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Pins the calling thread to one processor.
///
/// # Errors
///
/// There is no such processor.
pub fn pin_to(processor: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(processor);
    Ok(sched_setaffinity(None, &set)?)
}

/// The rate of `count` in `time`, in units a second.
pub fn rate_of(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// Measurements of about the same length: the last one decides how much the next one does.
pub struct Sized {
    count: u64,
    target: Duration,
}

/// The intended length of one measurement of a pair, and of a point of a curve.
const PAIR: Duration = Duration::from_millis(400);
const POINT: Duration = Duration::from_millis(100);

impl Sized {
    /// The first measurement, the warm-up, does `count`.
    pub fn new(count: u64) -> Self {
        Self {
            count,
            target: PAIR,
        }
    }

    /// The shorter measurements of a point of a curve.
    pub fn quick(count: u64) -> Self {
        Self {
            count,
            target: POINT,
        }
    }

    /// The rate of `run`, which does the number that it is given and returns the time that it took.
    ///
    /// # Errors
    ///
    /// The error of `run`.
    pub fn rate(&mut self, run: impl FnOnce(u64) -> Result<Duration>) -> Result<f64> {
        let rate = rate_of(self.count, run(self.count)?);
        let next = rate * self.target.as_secs_f64();
        self.count = (next as u64).clamp(100, 50_000_000);
        Ok(rate)
    }
}
