// SPDX-License-Identifier: MIT OR Apache-2.0

//! Waking the other side, and how long to wait for it.
//!
//! All ends wait in the same way. First they look a bounded number of times: a busy other side
//! answers within that time, and no system call is needed. Then they arm, that is, they publish the
//! position at which they want to be woken, and look once more. Only then do they sleep in poll(2).

use std::time::{Duration, Instant};

use crate::{Error, Result};

/// Whether a publication wakes the other side of the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Wake {
    /// Wake it if it sleeps and waits for this publication.
    #[default]
    Normal,
    /// Let it sleep. The next publication that is not suppressed wakes it for this one as well.
    Suppress,
    /// Notify it in any case, with a system call.
    Force,
}

/// When a wait is to end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// After `timeout`. Never, if it is `None` or more than the clock can represent.
    pub(crate) fn after(timeout: Option<Duration>) -> Self {
        Self(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    /// The time that is left, or `None` if there is no limit.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if no time is left.
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

/// A timeout as ioctls take it: nanoseconds, where 0 means no limit.
pub(crate) fn timeout_ns(timeout: Option<Duration>) -> u64 {
    timeout.map_or(0, |time| {
        u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1)
    })
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
