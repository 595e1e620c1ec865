// SPDX-License-Identifier: MIT OR Apache-2.0

//! Waiting, and how long.
//!
//! Each end waits in the same way. It looks a bounded number of times, since a side that is busy
//! answers within that time and then no system call is needed. It arms: publishes the position at
//! which it wants to be woken, and looks once more. Only then it sleeps in poll(2).

use std::time::{Duration, Instant};

use crate::{Error, Result};

/// How often an end looks before it sleeps, unless told otherwise: some microseconds.
pub(crate) const DEFAULT_SPIN: u32 = 256;

/// What a publication does about a sleeping other side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Wake {
    /// Wake it if it sleeps and waits for this.
    #[default]
    Normal,
    /// Leave it asleep. The next publication that is not suppressed wakes it for this one, too.
    Suppress,
    /// Notify it in any case, by a system call.
    Force,
}

/// When a wait is to end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// After `timeout`; `None`, or more than the clock can count: never.
    pub(crate) fn after(timeout: Option<Duration>) -> Self {
        Self(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    /// The time that is left; `None`: for ever.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if none is.
    pub(crate) fn left(self) -> Result<Option<Duration>> {
        let Some(end) = self.0 else {
            return Ok(None);
        };
        match end.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => Ok(Some(left)),
            _ => Err(Error::TimedOut),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_ends_or_does_not() {
        assert_eq!(Deadline::after(None).left(), Ok(None));
        assert_eq!(Deadline::after(Some(Duration::MAX)).left(), Ok(None));
        let now = Deadline::after(Some(Duration::ZERO));
        assert_eq!(now.left(), Err(Error::TimedOut));
        let later = Deadline::after(Some(Duration::from_secs(60))).left();
        assert!(matches!(later, Ok(Some(left)) if left.as_secs() >= 50));
    }
}
