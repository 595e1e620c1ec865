// SPDX-License-Identifier: MIT OR Apache-2.0

//! Ctrl-C: the first one asks the command to stop, the second one kills it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::{Failure, Result};

/// How long to wait before checking for Ctrl-C again.
pub const SLICE: Duration = Duration::from_millis(20);

/// Whether to stop, because of a signal or because another thread has failed.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    signal: Arc<AtomicBool>,
    failed: Arc<AtomicBool>,
}

impl Stop {
    /// A flag that SIGINT and SIGTERM set.
    pub fn on_signals() -> Result<Self> {
        let stop = Self::default();
        for signal in [SIGINT, SIGTERM] {
            // The order matters: the second signal finds the flag set by the first.
            flag::register_conditional_default(signal, stop.signal.clone())
                .and_then(|_| flag::register(signal, stop.signal.clone()))
                .map_err(|error| Failure::of_file("signal handler", error))?;
        }
        Ok(stop)
    }

    /// Fails once it is time to stop.
    pub fn check(&self) -> Result<()> {
        if self.is_set() {
            return Err(Failure::Interrupted);
        }
        Ok(())
    }

    /// Whether it is time to stop.
    pub fn is_set(&self) -> bool {
        self.signal.load(Ordering::Relaxed) || self.failed.load(Ordering::Relaxed)
    }

    /// Stops the other threads of this run.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Sleeps. Fails once it is time to stop.
    pub fn sleep(&self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        loop {
            self.check()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(SLICE));
        }
    }
}

/// Fails if nothing has moved for too long.
pub struct Patience {
    limit: Option<Duration>,
    moved: Instant,
}

impl Patience {
    /// Starts with a limit, or without one if it is `None`.
    pub fn new(limit: Option<Duration>) -> Self {
        Self {
            limit,
            moved: Instant::now(),
        }
    }

    /// Starts again, because something has moved.
    pub fn renew(&mut self) {
        if self.limit.is_some() {
            self.moved = Instant::now();
        }
    }

    /// Fails if the limit is reached.
    pub fn check(&self) -> Result<()> {
        match self.limit {
            Some(limit) if self.moved.elapsed() >= limit => {
                Err(Failure::TimedOut(limit.as_secs_f64()))
            }
            _ => Ok(()),
        }
    }
}
