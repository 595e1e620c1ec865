// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a clause is, and how much of it a run tries.

use std::panic::{catch_unwind, resume_unwind};
use std::sync::OnceLock;
use std::time::Duration;

/// The exit status of a clause that cannot be tried here; the last line that it printed says why.
pub const SKIPPED: i32 = 77;

/// One clause of the contract. It passes if `run` returns.
#[derive(Clone, Copy)]
pub struct Clause {
    /// `ROW/clause`.
    pub name: &'static str,
    /// Panics, or ends the process with a status that is not zero, if the clause does not hold.
    pub run: fn(),
    /// After this long, stretched by [`limit`], the clause has failed: it hangs.
    pub timeout_seconds: u64,
}

impl Clause {
    /// A clause with the usual time-out.
    pub const fn new(name: &'static str, run: fn()) -> Self {
        Self::slow(name, 60, run)
    }

    /// A clause that may take longer.
    pub const fn slow(name: &'static str, timeout_seconds: u64, run: fn()) -> Self {
        Self {
            name,
            run,
            timeout_seconds,
        }
    }

    /// Runs the clause in this process, and exits if it was skipped.
    ///
    /// # Panics
    ///
    /// As the clause does.
    pub fn run_here(&self) {
        let done = catch_unwind(self.run);
        if let Some(why) = WHY.get() {
            println!("{why}");
            std::process::exit(SKIPPED);
        }
        done.unwrap_or_else(|panic| resume_unwind(panic));
    }
}

/// Why this process's clause was skipped.
static WHY: OnceLock<String> = OnceLock::new();

/// Ends a clause that cannot be tried here. It unwinds, so that what the clause has set up in the
/// kernel is taken back.
pub fn skip(why: &str) -> ! {
    let _ = WHY.set(why.into());
    resume_unwind(Box::new("skipped"))
}

/// How much of a full count this run tries.
pub fn count(full: u64) -> u64 {
    if long() {
        full
    } else {
        full / 10
    }
}

/// Whether this is the long run.
pub fn long() -> bool {
    std::env::var_os("LONG").is_some_and(|value| !value.is_empty())
}

/// Which part of a long run this one is, and of how many parts: `LONG` is `2/8`, or the run is the
/// only part. `None` for a short run.
///
/// # Panics
///
/// If `LONG` has a `/`, and is no such part.
pub fn share() -> Option<(usize, usize)> {
    let value = std::env::var("LONG")
        .ok()
        .filter(|value| !value.is_empty())?;
    let Some((part, of)) = value.split_once('/') else {
        return Some((1, 1));
    };
    let number = |text: &str| text.parse().ok().filter(|number| *number > 0);
    let (part, of) = number(part).zip(number(of)).expect("LONG is PART/PARTS");
    assert!(part <= of, "LONG is PART/PARTS");
    Some((part, of))
}

/// A limit for what hangs, stretched by `PATIENCE`: a kernel that checks itself is slow.
///
/// Each limit of the selftests comes from here. It is far beyond what a busy machine needs.
pub fn limit(seconds: u64) -> Duration {
    let given = std::env::var("PATIENCE").unwrap_or_default();
    let patience = given.parse().unwrap_or(1).max(1);
    Duration::from_secs(seconds) * patience
}
