// SPDX-License-Identifier: GPL-2.0

//! What can go wrong at the kernel's end of a queue.

use kernel::{error, prelude::*};

/// Why an operation on a queue did nothing. Each has an errno of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// No entry waits (`ENODATA`).
    Empty,
    /// The entry does not fit until the consumer releases others (`ENOSPC`).
    Full,
    /// The entry can never fit (`EMSGSIZE`).
    TooLarge {
        /// The longest entry of this queue in bytes.
        max: u32,
    },
    /// The buffer is shorter than the entry, which stays (`ENOBUFS`).
    TooSmall {
        /// Bytes that the next entry needs.
        needed: u32,
    },
    /// An argument is out of range (`EINVAL`).
    Invalid,
    /// The process stored a position or header that cannot be right (`EBADMSG`).
    Corrupt,
    /// The node was removed (`ENODEV`).
    Gone,
    /// Nobody has the node open (`ENOTCONN`).
    NotOpen,
    /// The stream is stopped (`ESHUTDOWN`).
    Stopped,
    /// The queue was reset, or the session ended, since the reservation was made (`ESTALE`).
    Stale,
    /// A signal ended the wait (`EINTR`).
    Interrupted,
    /// The time-out ended the wait (`ETIMEDOUT`).
    TimedOut,
}

impl From<Error> for error::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Empty => ENODATA,
            Error::Full => ENOSPC,
            Error::TooLarge { .. } => EMSGSIZE,
            Error::TooSmall { .. } => ENOBUFS,
            Error::Invalid => EINVAL,
            Error::Corrupt => EBADMSG,
            Error::Gone => ENODEV,
            Error::NotOpen => ENOTCONN,
            Error::Stopped => ESHUTDOWN,
            Error::Stale => ESTALE,
            Error::Interrupted => EINTR,
            Error::TimedOut => ETIMEDOUT,
        }
    }
}
