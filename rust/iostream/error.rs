// SPDX-License-Identifier: GPL-2.0

//! The errors of the kernel's end of a queue.

use kernel::{error, prelude::*};

/// Says in the kernel's log why what a driver asks for is refused, and gives the error. insmod shows
/// the errno alone, and another one for `EEXIST`.
macro_rules! refused {
    ($error:expr, $($text:tt)*) => {{
        ::kernel::pr_err!($($text)*);
        $error
    }};
}
pub(crate) use refused;

/// Why an operation on a queue did nothing. Each reason has an errno of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The queue holds no entry (`ENODATA`).
    Empty,
    /// The entry does not fit until the consumer has released others (`ENOSPC`).
    Full,
    /// The entry does not fit even into an empty queue (`EMSGSIZE`).
    TooLarge {
        /// The longest entry that this queue takes, in bytes.
        max: u32,
    },
    /// The buffer is shorter than the entry, which stays in the queue (`ENOBUFS`).
    TooSmall {
        /// The length of the next entry in bytes.
        needed: u32,
    },
    /// An argument is out of range (`EINVAL`).
    Invalid,
    /// The process stored an invalid position or header (`EBADMSG`).
    Corrupt,
    /// The node was removed (`ENODEV`).
    Gone,
    /// Nobody has the node open, or the client is just resetting the queue (`ENOTCONN`).
    NotOpen,
    /// The stream is stopped (`ESHUTDOWN`).
    Stopped,
    /// The queue was reset, or the session ended, after the reservation was made, the entry was
    /// looked at or the buffer was taken (`ESTALE`).
    Stale,
    /// A signal ended the wait, or the driver, or the end of the kernel thread that waits (`EINTR`).
    Interrupted,
    /// The wait reached its time-out (`ETIMEDOUT`).
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
