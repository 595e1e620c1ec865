// SPDX-License-Identifier: GPL-2.0

//! The ring's errors as a driver sees them.

use super::{Counter, Queue};
use crate::{error::Error, ring, sync::atomic::Relaxed};

impl From<ring::Error> for Error {
    fn from(error: ring::Error) -> Self {
        match error {
            ring::Error::Empty => Error::Empty,
            ring::Error::Full => Error::Full,
            ring::Error::TooLarge { max } => Error::TooLarge { max },
            ring::Error::TooSmall { needed } => Error::TooSmall { needed },
            ring::Error::Corrupt => Error::Corrupt,
        }
    }
}

impl Queue {
    /// Converts an error of the ring. If it says that the peer is corrupt, updates the counter of
    /// corrupt events from the end's own count, `corrupt_events`.
    #[cold]
    pub(crate) fn report(&self, error: ring::Error, corrupt_events: u64) -> Error {
        if error == ring::Error::Corrupt {
            let before = self.corrupt_before_reset.load(Relaxed);
            self.counter(Counter::Corrupt)
                .store(before.wrapping_add(corrupt_events), Relaxed);
        }
        error.into()
    }
}
