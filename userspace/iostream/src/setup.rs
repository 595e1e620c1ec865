// SPDX-License-Identifier: MIT OR Apache-2.0

//! The queues and the endpoint to ask of `/dev/iostream`.

use std::path::Path;

use iostream_ring::{occupied_bytes, uapi};
use rustix::io::Errno;

use crate::{BuiltIn, Endpoint, Error, OpenError, Result, Session};

/// The capacity of each queue of the predefined set-ups.
const DEFAULT_BYTES: u64 = 256 * 1024;

/// A capacity, in the unit in which it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Capacity {
    Bytes(u64),
    Entries(u64, u32),
}

impl Capacity {
    /// The capacity in bytes, including the overhead of entries.
    fn bytes(self) -> Result<u64> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Entries(entries, size) => entries
                .checked_mul(occupied_bytes(size))
                .ok_or(Error::Overflow),
        }
    }
}

/// The queues and the endpoint to ask of `/dev/iostream` for a session.
///
/// # Examples
///
/// ```no_run
/// use iostream::Setup;
///
/// # fn main() -> std::io::Result<()> {
/// // A thousand entries of 64 to 1500 bytes a second, in a queue that holds a hundred of them.
/// let session = Setup::source(64, 1500)
///     .rate(1000)
///     .output_entries(100, 1500)
///     .open()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    endpoint: Endpoint,
    output: Option<Capacity>,
    input: Option<Capacity>,
    overwrite: bool,
    source_min_bytes: u32,
    source_max_bytes: u32,
    source_rate: u64,
}

impl Setup {
    /// A set-up without queues. Setting the capacity of a queue adds it.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            output: None,
            input: None,
            overwrite: false,
            source_min_bytes: 0,
            source_max_bytes: 0,
            source_rate: 0,
        }
    }

    /// A set-up in which the kernel sends back what comes in, with two queues of 256 KiB.
    pub fn echo() -> Self {
        Self::new(Endpoint::Echo)
            .output_bytes(DEFAULT_BYTES)
            .input_bytes(DEFAULT_BYTES)
    }

    /// A set-up in which the kernel makes entries of `min_bytes` to `max_bytes` bytes, with a queue
    /// of 256 KiB. Each entry has a number and a checksum.
    pub fn source(min_bytes: u32, max_bytes: u32) -> Self {
        Self::new(Endpoint::Source)
            .output_bytes(DEFAULT_BYTES)
            .source_sizes(min_bytes, max_bytes)
    }

    /// A set-up in which the kernel checks and counts what comes in, with a queue of 256 KiB.
    pub fn sink() -> Self {
        Self::new(Endpoint::Sink).input_bytes(DEFAULT_BYTES)
    }

    /// Asks for an output queue of `bytes` bytes, including the overhead of entries.
    pub fn output_bytes(mut self, bytes: u64) -> Self {
        self.output = Some(Capacity::Bytes(bytes));
        self
    }

    /// Asks for an output queue that holds `entries` entries of `size` bytes.
    pub fn output_entries(mut self, entries: u64, size: u32) -> Self {
        self.output = Some(Capacity::Entries(entries, size));
        self
    }

    /// Asks for an input queue of `bytes` bytes, including the overhead of entries.
    pub fn input_bytes(mut self, bytes: u64) -> Self {
        self.input = Some(Capacity::Bytes(bytes));
        self
    }

    /// Asks for an input queue that holds `entries` entries of `size` bytes.
    pub fn input_entries(mut self, entries: u64, size: u32) -> Self {
        self.input = Some(Capacity::Entries(entries, size));
        self
    }

    /// Sets whether the output queue overwrites its oldest entries when it is full.
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Sets the lengths of the shortest and the longest entry that the source makes, in bytes.
    pub fn source_sizes(mut self, min_bytes: u32, max_bytes: u32) -> Self {
        self.source_min_bytes = min_bytes;
        self.source_max_bytes = max_bytes;
        self
    }

    /// Sets how many entries the source makes in a second, with a timer. With 0 it makes entries
    /// only in [`BuiltIn::run`]. All sources by timer of a user together can be as fast as one.
    ///
    /// The source makes its entries when the processors have nothing else to do. If it is late, it
    /// makes up for a tenth of a second.
    pub fn rate(mut self, entries_per_second: u64) -> Self {
        self.source_rate = entries_per_second;
        self
    }

    /// Opens `/dev/iostream` and sets it up.
    ///
    /// # Errors
    ///
    /// Those of [`Session::open`] and [`BuiltIn::set_up`].
    pub fn open(&self) -> Result<BuiltIn, OpenError> {
        self.open_at(BuiltIn::PATH)
    }

    /// Opens the built-in device at another path and sets it up.
    ///
    /// # Errors
    ///
    /// Those of [`Session::open`] and [`BuiltIn::set_up`].
    pub fn open_at(&self, path: impl AsRef<Path>) -> Result<BuiltIn, OpenError> {
        Ok(BuiltIn::set_up(Session::open(path)?, self)?)
    }

    /// The argument of `IOSTREAM_IOC_SETUP`. Only an overflow is an error here; the kernel checks
    /// the rest.
    pub(crate) fn request(&self) -> Result<uapi::iostream_setup> {
        let mut flags = 0;
        if self.output.is_some() {
            flags |= uapi::IOSTREAM_SETUP_OUTPUT;
        }
        if self.input.is_some() {
            flags |= uapi::IOSTREAM_SETUP_INPUT;
        }
        if self.overwrite {
            flags |= uapi::IOSTREAM_SETUP_OVERWRITE;
        }
        Ok(uapi::iostream_setup {
            flags,
            endpoint: self.endpoint.raw(),
            output_bytes: self.output.map_or(Ok(0), Capacity::bytes)?,
            input_bytes: self.input.map_or(Ok(0), Capacity::bytes)?,
            source_min_bytes: self.source_min_bytes,
            source_max_bytes: self.source_max_bytes,
            source_rate: self.source_rate,
            ..Default::default()
        })
    }

    /// The error for an errno of `IOSTREAM_IOC_SETUP` with this request.
    pub(crate) fn explain(&self, errno: Errno, limit: u64) -> Error {
        match errno {
            Errno::INVAL => Error::InvalidArgument(self.reason()),
            Errno::TOOBIG => {
                let asked = |capacity: Option<Capacity>| capacity.map_or(Ok(0), Capacity::bytes);
                let output = asked(self.output).unwrap_or(u64::MAX);
                let input = asked(self.input).unwrap_or(u64::MAX);
                Error::LimitExceeded {
                    asked: output.max(input),
                    limit,
                }
            }
            Errno::ALREADY => Error::AlreadySetUp,
            Errno::OVERFLOW => Error::Overflow,
            Errno::RANGE => Error::RateTooHigh,
            errno => Error::of_device_call("IOSTREAM_IOC_SETUP", errno),
        }
    }

    fn smaller_output(&self) -> bool {
        let bytes = |capacity: Option<Capacity>| capacity.and_then(|c| c.bytes().ok());
        bytes(self.output) < bytes(self.input)
    }

    /// The likely reason why the kernel refused the request as invalid.
    fn reason(&self) -> &'static str {
        let zero = |capacity: Option<Capacity>| capacity.is_some_and(|c| c.bytes() == Ok(0));
        let (output, input) = (self.output.is_some(), self.input.is_some());
        let has_its_queues = match self.endpoint {
            Endpoint::Echo => output && input,
            Endpoint::Source => output && !input,
            Endpoint::Sink => input && !output,
        };
        if !output && !input {
            "the set-up asks for no queue: give the capacity of at least one"
        } else if zero(self.output) || zero(self.input) {
            "a queue cannot have a capacity of zero"
        } else if !has_its_queues {
            "wrong queues for the endpoint: echo wants both, a source output, a sink input"
        } else if self.endpoint == Endpoint::Echo && self.smaller_output() {
            "the output queue of an echo must be as large as its input queue"
        } else if self.overwrite && !output {
            "only an output queue can overwrite"
        } else if self.endpoint == Endpoint::Source {
            "the source's range of sizes is empty, below 16 bytes, or does not fit the queue"
        } else {
            "the kernel refused the set-up as invalid"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_follow_the_queues_that_were_named() {
        let request = Setup::echo().request().unwrap();
        assert_eq!(request.flags, 3);
        assert_eq!(request.endpoint, uapi::IOSTREAM_ENDPOINT_ECHO);
        let request = Setup::sink().input_bytes(0).request().unwrap();
        assert_eq!((request.flags, request.input_bytes), (2, 0));
        let request = Setup::source(16, 32).overwrite(true).request().unwrap();
        assert_eq!(request.flags, 5);
    }

    #[test]
    fn entries_are_counted_with_their_overhead() {
        let request = Setup::sink().input_entries(10, 1).request().unwrap();
        assert_eq!(request.input_bytes, 160);
        let huge = Setup::sink().input_entries(u64::MAX, 1);
        assert_eq!(huge.request().unwrap_err(), Error::Overflow);
    }

    #[test]
    fn a_refusal_says_what_was_wrong() {
        let reason = |setup: Setup| match setup.explain(Errno::INVAL, 0) {
            Error::InvalidArgument(reason) => reason,
            other => panic!("{other}"),
        };
        assert!(reason(Setup::new(Endpoint::Echo)).contains("no queue"));
        assert!(reason(Setup::sink().input_bytes(0)).contains("zero"));
        assert!(reason(Setup::new(Endpoint::Echo).input_bytes(1)).contains("wants both"));
        assert!(reason(Setup::sink().output_bytes(1)).contains("wants both"));
        assert!(reason(Setup::echo().output_bytes(1)).contains("as large"));
        assert!(reason(Setup::sink().overwrite(true)).contains("overwrite"));
        assert!(reason(Setup::source(8, 4)).contains("sizes"));
        let error = Setup::sink().input_bytes(1 << 40).explain(Errno::TOOBIG, 9);
        assert_eq!(
            error,
            Error::LimitExceeded {
                asked: 1 << 40,
                limit: 9
            }
        );
    }
}
