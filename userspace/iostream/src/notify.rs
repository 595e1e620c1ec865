// SPDX-License-Identifier: MIT OR Apache-2.0

//! Waking the other side, and how long to wait for it.
//!
//! All ends wait in the same way. First they look a bounded number of times: a busy other side
//! answers within that time, and no system call is needed. Then they arm, that is, they publish the
//! position at which they want to be woken, and look once more. Only then do they sleep in poll(2).
//!
//! A wait whose time is over looks once more before it says so. With a timeout of zero it does all
//! of this without sleeping: poll(2) is still called, since some ends only the kernel knows.

use std::time::{Duration, Instant};

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

    /// The time that is left, which may be none at all, or `None` if there is no limit.
    pub(crate) fn left(self) -> Option<Duration> {
        self.0
            .map(|end| end.saturating_duration_since(Instant::now()))
    }

    /// Whether no time is left.
    pub(crate) fn is_over(self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
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
        for never in [None, Some(Duration::MAX)] {
            let never = Deadline::after(never);
            assert_eq!((never.left(), never.is_over()), (None, false));
        }
        let now = Deadline::after(Some(Duration::ZERO));
        assert_eq!((now.left(), now.is_over()), (Some(Duration::ZERO), true));
        let later = Deadline::after(Some(Duration::from_secs(60)));
        assert!(matches!(later.left(), Some(left) if left.as_secs() >= 50));
        assert!(!later.is_over());
    }
}
