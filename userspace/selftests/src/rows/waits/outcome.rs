// SPDX-License-Identifier: MIT OR Apache-2.0

//! How a wait ended, and how it should have.

use iostream::Error;
use rustix::event::PollFlags;
use rustix::io::Errno;

/// How one wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// These events are reported.
    Events(PollFlags),
    /// The call succeeded, the callback ran, or the eventfd is readable.
    Done,
    /// The call failed.
    Failed(Errno),
    /// The time-out of the wait itself ended it.
    TimedOut,
}

impl Outcome {
    /// The outcome of a system call.
    pub fn of_call<T>(result: Result<T, Errno>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(Errno::TIMEDOUT) => Self::TimedOut,
            Err(errno) => Self::Failed(errno),
        }
    }

    /// The outcome of a call of the crate, with the errno that the error stands for.
    ///
    /// # Panics
    ///
    /// If the error is none that ends a wait.
    pub fn of_library<T>(result: Result<T, Error>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(Error::TimedOut) => Self::TimedOut,
            Err(Error::Gone) => Self::Failed(Errno::NODEV),
            Err(Error::Stale) => Self::Failed(Errno::STALE),
            Err(Error::NotRunning | Error::Closed) => Self::Failed(Errno::SHUTDOWN),
            Err(Error::Interrupted) => Self::Failed(Errno::INTR),
            Err(error) => panic!("the crate's wait: {error:?}"),
        }
    }
}

/// What a cell expects.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// One of these events, from means that report events.
    pub events: PollFlags,
    /// The outcome of other means.
    pub other: Outcome,
}

impl Expected {
    /// Whether a wait ended as expected.
    pub fn is_met_by(&self, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Events(events) => events.intersects(self.events),
            other => other == self.other,
        }
    }
}
