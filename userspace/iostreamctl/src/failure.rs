// SPDX-License-Identifier: MIT OR Apache-2.0

//! How the command fails: with one sentence, and an exit code for scripts.

use std::io;
use std::path::{Path, PathBuf};

use iostream::{BuiltIn, Error, OpenError, StreamMode};

use crate::surroundings::{what_permits, why_missing};
use crate::sysfs::System;

/// The reason why the command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The device reported an error.
    #[error("{}", explain(device, source))]
    Device {
        /// The path of the device.
        device: PathBuf,
        /// The error.
        source: OpenError,
    },
    /// A file could not be used.
    #[error("{what}: {source}")]
    File {
        /// The name of the file.
        what: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The output took a part of the data and then failed.
    #[error("{what}: {source}: the last {bytes} bytes that were taken are not written")]
    NotWritten {
        /// The name of the output.
        what: String,
        /// The error of the system.
        source: io::Error,
        /// How many bytes were taken from the device, and are lost.
        bytes: u64,
    },
    /// The request makes no sense for this device or this file.
    #[error("{0}")]
    Usage(String),
    /// The data that arrived differ from those that were sent.
    #[error("{0}")]
    Mismatch(String),
    /// No data moved in the given time.
    #[error("nothing moved for {0} seconds: raise --timeout, or look with `iostreamctl watch`")]
    TimedOut(f64),
    /// A request was not answered in the given time.
    #[error(
        "no answer to request {request} in {seconds} seconds: raise --timeout, or look with \
         `iostreamctl watch`"
    )]
    NoAnswer {
        /// The number of the request; the first is 1.
        request: u64,
        /// How long it was waited for.
        seconds: f64,
    },
    /// A node did not reach a state in the given time.
    #[error("{} is {is}: it was not {wanted} in time", .node.display())]
    NotInState {
        /// The path of the node.
        node: PathBuf,
        /// The state that was waited for.
        wanted: String,
        /// The state that it has.
        is: String,
    },
    /// The installation is not in order; what is wrong has been said.
    #[error("{0}")]
    Unsound(String),
    /// Nobody has the stream open.
    #[error(
        "nobody has {} open: a stream runs only while a program such as `iostreamctl cat` has it open",
        .0.display()
    )]
    NotOpen(PathBuf),
    /// The state of a stream is not this user's to set.
    #[error("only root may set the state of {}, by its file in /sys", .0.display())]
    NotRoot(PathBuf),
    /// The state of a stream cannot be set from here.
    #[error(
        "the state of {} cannot be set here: a service's or container's settings make /sys read-only",
        .0.display()
    )]
    ReadOnly(PathBuf),
    /// The reader of a pipe is gone.
    #[error("the reader of the output is gone")]
    BrokenPipe,
    /// A signal of this number asked the command to end; 0 if another of its threads has failed.
    #[error("interrupted")]
    Interrupted(u8),
    /// A signal of this number came during a call of the system that does not return.
    #[error(
        "ended by signal {0} within a call that does not return: data that were taken may be lost"
    )]
    Stuck(u8),
    /// The output did not take all data in the time that a signal leaves.
    #[error("ended by signal {signal}: the output did not take the last {bytes} bytes")]
    Unwritten {
        /// The number of the signal.
        signal: u8,
        /// How many bytes were taken from the device, and are lost.
        bytes: u64,
    },
}

/// The result of a function of the command.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// The exit code, as `--help` lists it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Device {
                source: OpenError::Other(error),
                ..
            } => match error {
                Error::Permission(_) => 4,
                Error::Busy(_) => 5,
                Error::Gone => 6,
                Error::Corrupt | Error::Stale | Error::BadDescriptor { .. } => 7,
                Error::LimitExceeded { .. }
                | Error::Quota
                | Error::Overflow
                | Error::RateTooHigh
                | Error::OutOfMemory => 8,
                Error::TimedOut => 9,
                Error::Interrupted => 1,
                Error::InvalidArgument(_)
                | Error::TooLarge { .. }
                | Error::NoQueue(_)
                | Error::NotAStream
                | Error::Unsupported(_)
                | Error::WrongMode { .. } => 2,
                _ => 1,
            },
            Self::Device { source, .. } => match source {
                OpenError::NotFound { .. } | OpenError::NotADevice { .. } => 3,
                OpenError::Permission { .. } => 4,
                _ => 1,
            },
            Self::File { .. } | Self::NotWritten { .. } | Self::NotOpen(_) | Self::Unsound(_) => 1,
            Self::NotRoot(_) | Self::ReadOnly(_) => 4,
            Self::Usage(_) => 2,
            Self::Mismatch(_) => 7,
            Self::TimedOut(_) | Self::NoAnswer { .. } | Self::NotInState { .. } => 9,
            Self::BrokenPipe => 141,
            Self::Interrupted(signal) | Self::Stuck(signal) | Self::Unwritten { signal, .. } => {
                128 + signal
            }
        }
    }

    /// The failure for an error of a file. A broken pipe has a failure of its own, and a failure that
    /// was wrapped as an error is itself.
    pub fn of_file(what: &str, source: io::Error) -> Self {
        let source = match source.downcast() {
            Ok(failure) => return failure,
            Err(source) => source,
        };
        if source.kind() == io::ErrorKind::BrokenPipe {
            return Self::BrokenPipe;
        }
        Self::File {
            what: what.to_owned(),
            source,
        }
    }

    /// The failure for an error of the output file.
    pub fn of_output(source: io::Error) -> Self {
        Self::of_file("output", source)
    }

    /// The failure for an error of standard output.
    pub fn of_stdout(source: io::Error) -> Self {
        Self::of_file("standard output", source)
    }
}

/// Adds the device to an error.
pub trait OnDevice<T> {
    /// Turns an error into a [`Failure::Device`].
    fn on(self, device: &Path) -> Result<T>;
}

impl<T, E: Into<OpenError>> OnDevice<T> for std::result::Result<T, E> {
    fn on(self, device: &Path) -> Result<T> {
        self.map_err(|source| Failure::Device {
            device: device.to_owned(),
            source: source.into(),
        })
    }
}

/// What is said of a stream that no command moves.
pub const IN_BOTH_DIRECTIONS: &str =
    "an input-output stream, whose client fills the buffers that it has emptied: `cat` and `feed` \
     cannot do both; socat can, or a program with the library's DuplexStream";

/// One sentence that says what is wrong and what to do.
fn explain(device: &Path, error: &OpenError) -> String {
    let name = device.display();
    match error {
        OpenError::NotFound { .. } => {
            format!("{name} {}", why_missing(device, &System::real()))
        }
        OpenError::NotADevice { is, .. } => format!(
            "{name} is not an iostream device but {is}: `iostreamctl list` shows the devices there \
             are"
        ),
        OpenError::Permission { .. } | OpenError::Other(Error::Permission(_)) => format!(
            "no permission for {name}: {}; `iostreamctl doctor` shows what is missing",
            what_permits(device)
        ),
        OpenError::Other(error) => explain_use(device, error),
        other => format!("{name}: {other}"),
    }
}

/// The sentence for an error of a device that was found.
fn explain_use(device: &Path, error: &Error) -> String {
    let name = device.display();
    match error {
        Error::Busy(_) => format!(
            "{name} is busy: another program has it open; `iostreamctl list`, run as root, shows which"
        ),
        Error::Gone => format!(
            "{name} is gone: its driver was removed or its hardware unplugged; load it again"
        ),
        Error::NoQueue(direction) => {
            format!("{name} has no {direction} queue: `iostreamctl info {name}` shows what it has")
        }
        Error::TooLarge { max } => format!(
            "an entry is too large for {name}, which takes up to {max} bytes{}",
            if device == Path::new(BuiltIn::PATH) {
                ": lower --entry-size or raise --queue-bytes"
            } else {
                ": lower --entry-size"
            }
        ),
        Error::LimitExceeded { limit, .. } => format!(
            "{name} allows {limit} bytes for one queue: lower --queue-bytes, or load the module \
             with a larger max_queue_bytes"
        ),
        Error::Quota => format!(
            "{name} has no memory left for queues of this user, or no entries a second for sources: \
             close other sessions, or load the module with a larger max_total_bytes"
        ),
        Error::RateTooHigh => format!("{name} cannot make so many entries a second: lower --rate"),
        Error::Unsupported(_) => format!(
            "{name} is a driver's device, which makes no entries on request: use recv, or the node {}",
            BuiltIn::PATH
        ),
        Error::NotAStream => {
            format!(
                "{name} has queues of entries and is not a stream: `iostreamctl recv` and `send` move \
                 entries, and only a stream is started, stopped and suspended"
            )
        }
        Error::WrongMode {
            is: StreamMode::Duplex,
            ..
        } => format!("{name} is {IN_BOTH_DIRECTIONS}"),
        Error::WrongMode { is, .. } => format!(
            "{name} is an {is} stream: `iostreamctl cat` reads output streams, and `iostreamctl feed` \
             fills input streams"
        ),
        Error::Version { .. } => {
            format!("{name}: {error}: build module and command from one source")
        }
        other => format!("{name}: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(path: &str, source: impl Into<OpenError>) -> Failure {
        let (device, source) = (PathBuf::from(path), source.into());
        Failure::Device { device, source }
    }

    #[test]
    fn a_missing_module_says_what_to_do() {
        let path = PathBuf::from("/dev/iostream");
        let failure = on("/dev/iostream", OpenError::NotFound { path });
        assert_eq!(
            failure.to_string(),
            "/dev/iostream does not exist: load the module with `modprobe iostream`"
        );
        assert_eq!(failure.exit_code(), 3);
    }

    #[test]
    fn codes_are_as_the_help_says() {
        let limit = Error::LimitExceeded { asked: 9, limit: 8 };
        let cases = [
            (on("x", Error::Busy("x")), 5),
            (on("x", Error::Gone), 6),
            (on("x", Error::Corrupt), 7),
            (on("x", limit), 8),
            (on("x", Error::Quota), 8),
            (on("x", Error::TimedOut), 9),
            (on("x", Error::NotSetUp), 1),
            (on("x", Error::Unsupported("source")), 2),
            (Failure::Usage(String::new()), 2),
            (Failure::Mismatch(String::new()), 7),
            (Failure::TimedOut(1.0), 9),
            (Failure::BrokenPipe, 141),
            (Failure::Interrupted(2), 130),
            (Failure::Stuck(15), 143),
            (
                Failure::Unwritten {
                    signal: 15,
                    bytes: 1,
                },
                143,
            ),
        ];
        for (failure, code) in cases {
            assert_eq!(failure.exit_code(), code, "{failure}");
        }
    }

    #[test]
    fn a_broken_pipe_is_not_a_file_error() {
        let pipe = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(matches!(Failure::of_stdout(pipe), Failure::BrokenPipe));
    }
}
