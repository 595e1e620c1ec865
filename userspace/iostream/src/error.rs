// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can go wrong, each its own variant.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::{Direction, StreamMode, StreamState};

/// Why an operation did nothing.
///
/// Each variant stands for one errno, told by [`Error::errno`], and converts into an
/// [`io::Error`] whose source it stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No entry waits (`ENODATA`).
    #[error("no entry waits")]
    Empty,
    /// The entry does not fit until the other side releases others (`ENOSPC`).
    #[error("the queue is full until the other side releases entries")]
    Full,
    /// The buffer is shorter than the entry, which stays where it is (`ENOBUFS`).
    #[error("the next entry has {needed} bytes, more than the buffer holds")]
    TooSmall {
        /// Bytes that the entry needs.
        needed: usize,
    },
    /// The entry can never fit (`EMSGSIZE`).
    #[error("the entry is too large: this queue takes up to {max} bytes")]
    TooLarge {
        /// The longest entry of the queue in bytes.
        max: usize,
    },
    /// An argument that makes no sense (`EINVAL`).
    #[error("{0}")]
    InvalidArgument(&'static str),
    /// The other side stored a position or a header that cannot be right (`EBADMSG`).
    #[error("the queue is corrupt: a position or header cannot be right; reset it")]
    Corrupt,
    /// The driver is gone (`ENODEV`).
    #[error("the device is gone: its driver was removed or its hardware unplugged")]
    Gone,

    /// The queue was reset behind this handle's back (`ESTALE`).
    #[error("the queue was reset since this handle was made; renew the handle")]
    Stale,
    /// The time given was over first (`ETIMEDOUT`).
    #[error("nothing happened in the time given")]
    TimedOut,
    /// A signal came first (`EINTR`).
    #[error("interrupted by a signal")]
    Interrupted,
    /// Someone else has what was asked for (`EBUSY`).
    #[error("{0}")]
    Busy(&'static str),
    /// The file is not an iostream device (`ENOTTY`).
    #[error("{} is not an iostream device", .path.display())]
    NotADevice {
        /// The file that was opened.
        path: PathBuf,
    },
    /// There is no such device (`ENOENT`).
    #[error("{} does not exist: is the module loaded, the driver bound?", .path.display())]
    NotFound {
        /// The file that was to be opened.
        path: PathBuf,
    },
    /// The caller may not do this (`EACCES`).
    #[error("no permission for {what}")]
    Permission {
        /// The file or the call.
        what: PathBuf,
    },
    /// The session's queues were not set up yet (`EBADFD`).
    #[error("the session has no queues yet: set it up first")]
    NotSetUp,
    /// The session's queues were set up before (`EALREADY`).
    #[error("the session is set up already: open the device once more for another")]
    AlreadySetUp,
    /// The session has no queue in this direction (`ENXIO`).
    #[error("the session has no {0} queue")]
    NoQueue(Direction),
    /// The device has no such call (`ENOTTY`).
    #[error("this device has no {0}: only /dev/iostream has endpoints to set up and run")]
    Unsupported(&'static str),
    /// More than is allowed: bytes of one queue, entries of one batch (`E2BIG`).
    #[error("{asked} is above the limit of {limit}: ask for less")]
    LimitExceeded {
        /// What was asked for: of several queues, the largest.
        asked: u64,
        /// What is allowed.
        limit: u64,
    },
    /// All queues together would take more than the module allows (`EDQUOT`).
    #[error("the limit for all queues together is used up: close other sessions")]
    Quota,
    /// A capacity beyond what can be counted (`EOVERFLOW`).
    #[error("the capacity overflows: ask for fewer or smaller entries")]
    Overflow,
    /// The endpoint makes entries at no such rate (`ERANGE`).
    #[error("the source has no such rate: ask for fewer entries a second")]
    RateTooHigh,
    /// No memory, or none left in the control group (`ENOMEM`).
    #[error("out of memory: free some, raise the control group's limit, or ask for less")]
    OutOfMemory,

    /// The device has no stream (`ENOTTY`).
    #[error("the device has queues of entries and no stream: open it as a session")]
    NotAStream,
    /// The stream's mode is another than the program's (`EPROTOTYPE`).
    #[error(
        "the stream's mode is {is}, not {wanted}: open it as what it is, or change its mode first"
    )]
    WrongMode {
        /// The stream's.
        is: StreamMode,
        /// The one that was to be opened.
        wanted: StreamMode,
    },
    /// The stream is in this state before (`EALREADY`).
    #[error("the stream is {0} already")]
    AlreadyInState(StreamState),
    /// The stream is stopped (`EBADFD`).
    #[error("the stream is stopped: start it first")]
    NotRunning,
    /// The stream was dropped, and with it the way back of this buffer (`ESHUTDOWN`).
    #[error("the buffer's stream is closed")]
    Closed,
    /// Bytes that are not in the buffer (`ERANGE`).
    #[error("bytes {start} to {end} are out of range: there are {max}")]
    OutOfRange {
        /// The first byte.
        start: usize,
        /// The byte after the last.
        end: usize,
        /// How many there are.
        max: usize,
    },
    /// The control data do not hold the type, or the type does not fit there (`EMSGSIZE`).
    #[error("the type takes {needed} bytes, the control data have {found}")]
    ControlSize {
        /// Bytes of the type.
        needed: usize,
        /// Bytes of control data, or of the control area where it is written.
        found: usize,
    },
    /// The kernel sent a buffer that cannot be (`EPROTO`).
    #[error("the kernel sent a descriptor that cannot be: buffer {buffer} {why}")]
    BadDescriptor {
        /// The id that it names.
        buffer: u32,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The driver has been told too often and did not come to it yet (`EAGAIN`).
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
    /// The device contradicts itself, or is of another kind than the call needs (`EPROTO`).
    #[error("{0}")]
    Mismatch(&'static str),
    /// A system call failed in a way that says no more.
    #[error("{call} failed: {}", io::Error::from_raw_os_error(*.errno))]
    Os {
        /// The system call or ioctl.
        call: &'static str,
        /// Its errno.
        errno: i32,
    },
}

/// The result of this crate's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The errno that stands for this error, as the kernel would have given it.
    pub fn errno(&self) -> i32 {
        let errno = match self {
            Self::Empty => Errno::NODATA,
            Self::Full => Errno::NOSPC,
            Self::TooSmall { .. } => Errno::NOBUFS,
            Self::TooLarge { .. } => Errno::MSGSIZE,
            Self::InvalidArgument(_) => Errno::INVAL,
            Self::Corrupt => Errno::BADMSG,
            Self::Gone => Errno::NODEV,
            Self::Stale => Errno::STALE,
            Self::TimedOut => Errno::TIMEDOUT,
            Self::Interrupted => Errno::INTR,
            Self::Busy(_) => Errno::BUSY,
            Self::NotADevice { .. } | Self::Unsupported(_) => Errno::NOTTY,
            Self::NotFound { .. } => Errno::NOENT,
            Self::Permission { .. } => Errno::ACCESS,
            Self::NotSetUp => Errno::BADFD,
            Self::AlreadySetUp => Errno::ALREADY,
            Self::NoQueue(_) => Errno::NXIO,
            Self::LimitExceeded { .. } => Errno::TOOBIG,
            Self::Quota => Errno::DQUOT,
            Self::Overflow => Errno::OVERFLOW,
            Self::RateTooHigh => Errno::RANGE,
            Self::OutOfMemory => Errno::NOMEM,
            Self::NotAStream => Errno::NOTTY,
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

    /// What an errno of `call` means where nothing more is known.
    pub(crate) fn of_call(call: &'static str, errno: Errno) -> Self {
        match errno {
            Errno::NODEV => Self::Gone,
            Errno::BADMSG => Self::Corrupt,
            Errno::TIMEDOUT => Self::TimedOut,
            Errno::INTR => Self::Interrupted,
            Errno::BUSY => {
                Self::Busy("the endpoint is busy: another thread or its timer drives it")
            }
            Errno::BADFD => Self::NotSetUp,
            Errno::ALREADY => Self::AlreadySetUp,
            Errno::NOTTY => Self::Unsupported(call),
            Errno::DQUOT => Self::Quota,
            Errno::OVERFLOW => Self::Overflow,
            Errno::RANGE => Self::RateTooHigh,
            Errno::NOMEM => Self::OutOfMemory,
            Errno::ACCESS | Errno::PERM => Self::Permission { what: call.into() },
            errno => Self::Os {
                call,
                errno: errno.raw_os_error(),
            },
        }
    }

    /// What the errno of a call means that the driver answers: most are the driver's own.
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

    /// What the errno of `IOSTREAM_IOC_STREAM` means.
    pub(crate) fn of_stream_call(errno: Errno) -> Self {
        match errno {
            Errno::NOTTY => Self::NotAStream,
            errno => Self::of_call("IOSTREAM_IOC_STREAM", errno),
        }
    }

    /// As [`Self::of_call`], for a call that concerns one queue.
    pub(crate) fn of_queue_call(call: &'static str, errno: Errno, direction: Direction) -> Self {
        match errno {
            Errno::NXIO => Self::NoQueue(direction),
            errno => Self::of_call(call, errno),
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
            Error::Corrupt | Error::Mismatch(_) | Error::BadDescriptor { .. } => {
                ErrorKind::InvalidData
            }
            Error::Gone => ErrorKind::NotConnected,
            Error::Closed => ErrorKind::BrokenPipe,
            Error::Stale => ErrorKind::StaleNetworkFileHandle,
            Error::TimedOut => ErrorKind::TimedOut,
            Error::Interrupted => ErrorKind::Interrupted,
            Error::Busy(_) | Error::AlreadySetUp => ErrorKind::ResourceBusy,
            Error::NotADevice { .. }
            | Error::NoQueue(_)
            | Error::Unsupported(_)
            | Error::NotAStream
            | Error::WrongMode { .. }
            | Error::NotOffered(_)
            | Error::Version { .. } => ErrorKind::Unsupported,
            Error::NotFound { .. } => ErrorKind::NotFound,
            Error::Permission { .. } => ErrorKind::PermissionDenied,
            Error::Quota => ErrorKind::QuotaExceeded,
            Error::OutOfMemory => ErrorKind::OutOfMemory,
            Error::NotSetUp
            | Error::LimitExceeded { .. }
            | Error::AlreadyInState(_)
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

    #[test]
    fn an_io_error_keeps_the_variant_as_its_source() {
        for error in seven() {
            let io = io::Error::from(error.clone());
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
            Errno::BUSY,
            Errno::BADFD,
            Errno::ALREADY,
            Errno::NOTTY,
            Errno::DQUOT,
            Errno::OVERFLOW,
            Errno::RANGE,
            Errno::NOMEM,
            Errno::ACCESS,
            Errno::IO,
            Errno::FAULT,
        ] {
            assert_eq!(Error::of_call("x", errno).errno(), errno.raw_os_error());
        }
        let error = Error::of_queue_call("x", Errno::NXIO, Direction::Input);
        assert_eq!(error, Error::NoQueue(Direction::Input));
    }
}
