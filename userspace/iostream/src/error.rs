// SPDX-License-Identifier: MIT OR Apache-2.0

//! The errors of this crate.

mod opening;

use std::io;

use rustix::io::Errno;

pub use opening::OpenError;

use crate::{Direction, StreamMode, StreamState};

/// The reason why an operation failed.
///
/// Each variant corresponds to one errno, which [`Error::errno`] returns. An error converts into an
/// [`io::Error`] and stays its source.
///
/// The value is small and has nothing to drop, since each look at a queue may return one: it has at
/// most 24 bytes. What fails with the path of a file is an [`OpenError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No entry waits (`ENODATA`).
    #[error("no entry waits")]
    Empty,
    /// The queue is full: the entry does not fit until the other side releases others (`ENOSPC`).
    #[error("the queue is full until the other side releases entries")]
    Full,
    /// The buffer is shorter than the entry, which stays in the queue (`ENOBUFS`).
    #[error("the next entry has {needed} bytes, more than the buffer holds")]
    TooSmall {
        /// The length of the entry in bytes.
        needed: usize,
    },
    /// The entry can never fit (`EMSGSIZE`).
    #[error("the entry is too large: this queue takes up to {max} bytes")]
    TooLarge {
        /// The length of the longest entry that the queue can hold, in bytes.
        max: usize,
    },
    /// The entry is no value of the type: it has another length (`EILSEQ`).
    #[error("the next entry has {found} bytes, a value of the type has {needed}")]
    WrongLength {
        /// The size of the type in bytes.
        needed: usize,
        /// The length of the entry in bytes.
        found: usize,
    },
    /// An argument is invalid (`EINVAL`).
    #[error("{0}")]
    InvalidArgument(&'static str),
    /// The other side stored an invalid position or header (`EBADMSG`).
    #[error("the queue is corrupt: a position or header is invalid; reset it")]
    Corrupt,
    /// The driver is gone (`ENODEV`).
    #[error("the device is gone: its driver was removed or its hardware unplugged")]
    Gone,

    /// The value was made before a fork, in the parent process, which keeps it (`ECHILD`).
    ///
    /// A child inherits the descriptor of a device, but not the memory of ends and streams. Open
    /// them after forking: see [the crate's documentation](crate#fork).
    #[error("this was opened before a fork, by the parent process: open the device again")]
    Forked,
    /// Someone else has reset the queue (`ESTALE`).
    #[error("the queue was reset since this handle was made; renew the handle")]
    Stale,
    /// The timeout was over first (`ETIMEDOUT`).
    #[error("nothing happened in the given time")]
    TimedOut,
    /// A signal came first (`EINTR`).
    #[error("interrupted by a signal")]
    Interrupted,
    /// A [`Waker`](crate::Waker) ended the wait (`ECANCELED`).
    #[error("the wait was cancelled")]
    Cancelled,
    /// There is no tokio runtime here whose reactor could watch the device (`ESRCH`).
    #[error("there is no tokio runtime here: call this in a task, or enter a runtime first")]
    NoRuntime,
    /// What was asked for is in use (`EBUSY`).
    #[error("{0}")]
    Busy(&'static str),
    /// The caller lacks permission for this system call (`EACCES`).
    #[error("no permission for {0}")]
    Permission(&'static str),
    /// The session's queues are not set up yet (`EBADFD`).
    #[error("the session has no queues yet: set it up first")]
    NotSetUp,
    /// The session's queues are set up already (`EALREADY`).
    #[error("the session is set up already: open the device again for another one")]
    AlreadySetUp,
    /// The session has no queue in this direction (`ENXIO`).
    #[error("the session has no {0} queue")]
    NoQueue(Direction),
    /// The device does not support this call (`ENOTTY`).
    #[error("this device has no {0}: only /dev/iostream has endpoints to set up and run")]
    Unsupported(&'static str),
    /// The bytes of a queue or the entries of a batch are above the limit (`E2BIG`).
    #[error("{asked} is above the limit of {limit}: ask for less")]
    LimitExceeded {
        /// The number that was asked for; of several queues, that of the largest.
        asked: u64,
        /// The largest number that is allowed.
        limit: u64,
    },
    /// The queues and buffers of this user together would take more memory than the module allows,
    /// or the sources by timer of this user would make more entries (`EDQUOT`).
    #[error("the user's limit for all sessions together is used up: close other sessions")]
    Quota,
    /// The capacity does not fit in 64 bits (`EOVERFLOW`).
    #[error("the capacity overflows: ask for fewer or smaller entries")]
    Overflow,
    /// The endpoint cannot make entries at this rate (`ERANGE`).
    #[error("the source has no such rate: ask for fewer entries a second")]
    RateTooHigh,
    /// The machine or the control group is out of memory (`ENOMEM`).
    #[error("out of memory: free some, raise the control group's limit, or ask for less")]
    OutOfMemory,

    /// The device has no stream (`ENOTTY`).
    #[error("the device has queues of entries and no stream: open it as a session")]
    NotAStream,
    /// The stream has another mode than the program asked for (`EPROTOTYPE`).
    #[error(
        "the stream's mode is {is}, not {wanted}: open it with that mode, or change its mode first"
    )]
    WrongMode {
        /// The stream's mode.
        is: StreamMode,
        /// The mode that the program asked for.
        wanted: StreamMode,
    },
    /// The stream is in this state already (`EALREADY`).
    #[error("the stream is {0} already")]
    AlreadyInState(StreamState),
    /// The stream is stopped (`EBADFD`).
    #[error("the stream is stopped: start it first")]
    NotRunning,
    /// The stream of this buffer was dropped (`ESHUTDOWN`).
    #[error("the buffer's stream is closed")]
    Closed,
    /// A range is not within the buffer (`ERANGE`).
    #[error("bytes {start} to {end} are out of range: there are {max}")]
    OutOfRange {
        /// The first byte of the range.
        start: usize,
        /// The byte after the last byte of the range.
        end: usize,
        /// How many bytes there are.
        max: u32,
    },
    /// A type does not fit in the control data or in the control area (`EMSGSIZE`).
    #[error("the type takes {needed} bytes, the control data have {found}")]
    ControlSize {
        /// The size of the type in bytes.
        needed: usize,
        /// The size of the control data, or of the control area, in bytes.
        found: usize,
    },
    /// The kernel sent an invalid descriptor (`EPROTO`).
    #[error("the kernel sent an invalid descriptor: buffer {buffer} {why}")]
    BadDescriptor {
        /// The id of the buffer that the descriptor names.
        buffer: u32,
        /// What is wrong with the descriptor.
        why: &'static str,
    },
    /// Too many notices to the driver are waiting (`EAGAIN`).
    #[error("too many notices wait for the driver: try again later")]
    TooManyNotices,
    /// The driver does not offer this (`EOPNOTSUPP`).
    #[error("the driver has no {0}")]
    NotOffered(&'static str),

    /// The device speaks another version of the protocol (`EPROTO`).
    #[error("the device speaks version {found}, this program version {known}: update the older")]
    Version {
        /// What the device says.
        found: u32,
        /// What this crate knows.
        known: u32,
    },
    /// The device describes itself wrongly, or is not of the kind that the call needs (`EPROTO`).
    #[error("{0}")]
    Mismatch(&'static str),
    /// A system call failed for another reason.
    #[error("{call} failed: {}", io::Error::from_raw_os_error(*.errno))]
    Os {
        /// The name of the system call or ioctl.
        call: &'static str,
        /// Its errno.
        errno: i32,
    },
}

/// The result of an operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The errno that corresponds to this error.
    pub fn errno(&self) -> i32 {
        let errno = match self {
            Self::Empty => Errno::NODATA,
            Self::Full => Errno::NOSPC,
            Self::TooSmall { .. } => Errno::NOBUFS,
            Self::TooLarge { .. } => Errno::MSGSIZE,
            Self::WrongLength { .. } => Errno::ILSEQ,
            Self::InvalidArgument(_) => Errno::INVAL,
            Self::Corrupt => Errno::BADMSG,
            Self::Gone => Errno::NODEV,
            Self::Forked => Errno::CHILD,
            Self::Stale => Errno::STALE,
            Self::TimedOut => Errno::TIMEDOUT,
            Self::Interrupted => Errno::INTR,
            Self::Cancelled => Errno::CANCELED,
            Self::NoRuntime => Errno::SRCH,
            Self::Busy(_) => Errno::BUSY,
            Self::Unsupported(_) | Self::NotAStream => Errno::NOTTY,
            Self::Permission(_) => Errno::ACCESS,
            Self::NotSetUp => Errno::BADFD,
            Self::AlreadySetUp => Errno::ALREADY,
            Self::NoQueue(_) => Errno::NXIO,
            Self::LimitExceeded { .. } => Errno::TOOBIG,
            Self::Quota => Errno::DQUOT,
            Self::Overflow => Errno::OVERFLOW,
            Self::RateTooHigh => Errno::RANGE,
            Self::OutOfMemory => Errno::NOMEM,
            Self::WrongMode { .. } => Errno::PROTOTYPE,
            Self::AlreadyInState(_) => Errno::ALREADY,
            Self::NotRunning => Errno::BADFD,
            Self::Closed => Errno::SHUTDOWN,
            Self::OutOfRange { .. } => Errno::RANGE,
            Self::ControlSize { .. } => Errno::MSGSIZE,
            Self::TooManyNotices => Errno::AGAIN,
            Self::NotOffered(_) => Errno::OPNOTSUPP,
            Self::Version { .. } | Self::Mismatch(_) | Self::BadDescriptor { .. } => Errno::PROTO,
            Self::Os { errno, .. } => return *errno,
        };
        errno.raw_os_error()
    }

    /// The error for an errno of a system call that does not ask an iostream device.
    pub(crate) fn of_call(call: &'static str, errno: Errno) -> Self {
        match errno {
            Errno::INTR => Self::Interrupted,
            Errno::NOMEM => Self::OutOfMemory,
            Errno::ACCESS | Errno::PERM => Self::Permission(call),
            errno => Self::Os {
                call,
                errno: errno.raw_os_error(),
            },
        }
    }

    /// The error for an errno that means the same for each ioctl and mapping of a device. What one
    /// call means by others, its caller knows.
    pub(crate) fn of_device_call(call: &'static str, errno: Errno) -> Self {
        match errno {
            Errno::NODEV => Self::Gone,
            Errno::BADMSG => Self::Corrupt,
            Errno::TIMEDOUT => Self::TimedOut,
            Errno::BADFD => Self::NotSetUp,
            Errno::NOTTY => Self::Unsupported(call),
            Errno::DQUOT => Self::Quota,
            errno => Self::of_call(call, errno),
        }
    }

    /// The error for an errno of a call that the driver answers. Most are the driver's own.
    pub(crate) fn of_driver(call: &'static str, errno: Errno) -> Self {
        match errno {
            Errno::NODEV => Self::Gone,
            Errno::NOTTY => Self::NotAStream,
            Errno::TIMEDOUT => Self::TimedOut,
            Errno::INTR => Self::Interrupted,
            errno => Self::Os {
                call,
                errno: errno.raw_os_error(),
            },
        }
    }

    /// The error for an errno of `IOSTREAM_IOC_STREAM`.
    pub(crate) fn of_stream_call(errno: Errno) -> Self {
        match errno {
            Errno::NOTTY => Self::NotAStream,
            errno => Self::of_device_call("IOSTREAM_IOC_STREAM", errno),
        }
    }

    /// The error for an errno of a call on one queue.
    pub(crate) fn of_queue_call(call: &'static str, errno: Errno, direction: Direction) -> Self {
        match errno {
            Errno::NXIO => Self::NoQueue(direction),
            errno => Self::of_device_call(call, errno),
        }
    }
}

impl From<iostream_ring::Error> for Error {
    #[inline]
    fn from(error: iostream_ring::Error) -> Self {
        match error {
            iostream_ring::Error::Empty => Self::Empty,
            iostream_ring::Error::Full => Self::Full,
            iostream_ring::Error::TooLarge { max } => Self::TooLarge { max: max as usize },
            iostream_ring::Error::TooSmall { needed } => Self::TooSmall {
                needed: needed as usize,
            },
            iostream_ring::Error::Corrupt => Self::Corrupt,
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        use io::ErrorKind;
        let kind = match &error {
            Error::Empty | Error::Full | Error::TooManyNotices => ErrorKind::WouldBlock,
            Error::TooSmall { .. }
            | Error::TooLarge { .. }
            | Error::InvalidArgument(_)
            | Error::Overflow
            | Error::OutOfRange { .. }
            | Error::ControlSize { .. }
            | Error::RateTooHigh => ErrorKind::InvalidInput,
            Error::WrongLength { .. }
            | Error::Corrupt
            | Error::Mismatch(_)
            | Error::BadDescriptor { .. } => ErrorKind::InvalidData,
            Error::Gone => ErrorKind::NotConnected,
            Error::Closed => ErrorKind::BrokenPipe,
            Error::Stale => ErrorKind::StaleNetworkFileHandle,
            Error::TimedOut => ErrorKind::TimedOut,
            Error::Interrupted => ErrorKind::Interrupted,
            Error::Busy(_) | Error::AlreadySetUp => ErrorKind::ResourceBusy,
            Error::NoQueue(_)
            | Error::Unsupported(_)
            | Error::NotAStream
            | Error::WrongMode { .. }
            | Error::NotOffered(_)
            | Error::Version { .. } => ErrorKind::Unsupported,
            Error::Permission(_) => ErrorKind::PermissionDenied,
            Error::Quota => ErrorKind::QuotaExceeded,
            Error::OutOfMemory => ErrorKind::OutOfMemory,
            Error::Forked
            | Error::NotSetUp
            | Error::LimitExceeded { .. }
            | Error::AlreadyInState(_)
            // Not `Interrupted`, after which `std::io` tries again.
            | Error::Cancelled
            | Error::NoRuntime
            | Error::NotRunning => ErrorKind::Other,
            Error::Os { errno, .. } => io::Error::from_raw_os_error(*errno).kind(),
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn seven() -> [Error; 7] {
        [
            Error::Empty,
            Error::Full,
            Error::TooSmall { needed: 9 },
            Error::TooLarge { max: 8 },
            Error::InvalidArgument("x"),
            Error::Corrupt,
            Error::Gone,
        ]
    }

    #[test]
    fn the_seven_cases_have_seven_errnos_and_sentences() {
        let errnos: HashSet<i32> = seven().iter().map(Error::errno).collect();
        let sentences: HashSet<String> = seven().iter().map(Error::to_string).collect();
        assert_eq!((errnos.len(), sentences.len()), (7, 7));
    }

    /// Each look at a queue may return an error.
    #[test]
    fn an_error_is_small_and_copied() {
        fn is_copy<T: Copy>() -> bool {
            !std::mem::needs_drop::<T>()
        }
        assert!(is_copy::<Error>());
        assert!(size_of::<Error>() <= 24, "{}", size_of::<Error>());
        assert!(size_of::<Result<usize>>() <= 24);
    }

    #[test]
    fn an_io_error_keeps_the_variant_as_its_source() {
        for error in seven() {
            let io = io::Error::from(error);
            let inner = io.get_ref().and_then(|e| e.downcast_ref::<Error>());
            assert_eq!(inner, Some(&error));
        }
        assert_eq!(
            io::Error::from(Error::Full).kind(),
            io::ErrorKind::WouldBlock
        );
    }

    #[test]
    fn an_errno_finds_its_variant_and_back() {
        for errno in [
            Errno::NODEV,
            Errno::BADMSG,
            Errno::TIMEDOUT,
            Errno::INTR,
            Errno::BADFD,
            Errno::NOTTY,
            Errno::DQUOT,
            Errno::NOMEM,
            Errno::ACCESS,
            Errno::IO,
            Errno::FAULT,
        ] {
            let error = Error::of_device_call("x", errno);
            assert_eq!(error.errno(), errno.raw_os_error());
        }
        let error = Error::of_queue_call("x", Errno::NXIO, Direction::Input);
        assert_eq!(error, Error::NoQueue(Direction::Input));
    }

    #[test]
    fn an_errno_that_a_call_does_not_know_stays_a_number() {
        // Each of them means something for one ioctl only, or for ioctls only.
        for errno in [Errno::BUSY, Errno::RANGE, Errno::ALREADY, Errno::OVERFLOW] {
            let call = "IOSTREAM_IOC_QUEUE";
            let number = errno.raw_os_error();
            let error = Error::Os {
                call,
                errno: number,
            };
            assert_eq!(Error::of_device_call(call, errno), error);
        }
        assert!(matches!(
            Error::of_call("fstat", Errno::NODEV),
            Error::Os { .. }
        ));
    }
}
