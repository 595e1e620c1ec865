// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a device reports about its stream, and how a stream is stopped.

use std::fmt;
use std::time::Duration;

use iostream_ring::uapi;

use super::clock::Clock;
use crate::notify::timeout_ns;
use crate::{Result, StreamMode};

/// Whether a stream runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamState {
    /// The stream does not run.
    Stopped,
    /// The stream runs.
    Running,
    /// The driver pauses; queued buffers stay queued.
    Suspended,
}

impl StreamState {
    /// The state of a value of iostream.h. A stream in an unknown state does not run.
    pub(crate) fn from_raw(raw: u64) -> Self {
        match u32::try_from(raw) {
            Ok(uapi::IOSTREAM_STATE_RUNNING) => Self::Running,
            Ok(uapi::IOSTREAM_STATE_SUSPENDED) => Self::Suspended,
            _ => Self::Stopped,
        }
    }
}

impl fmt::Display for StreamState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Stopped => "stopped",
            Self::Running => "running",
            Self::Suspended => "suspended",
        })
    }
}

/// The kernel's counters of a stream in one session. Nothing that a process writes changes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamCounters {
    /// Buffers that the driver sent.
    pub sent: u64,
    /// Buffers that came from this process, including those that it returned.
    pub received: u64,
    /// Descriptors that a stop discarded, in both directions.
    pub discarded: u64,
    /// Descriptors that named no buffer.
    pub rejected_id: u64,
    /// Descriptors of a buffer that was not with this process.
    pub rejected_owner: u64,
    /// Descriptors with a range out of bounds.
    pub rejected_range: u64,
    /// Descriptors with a flag or a field that must be zero.
    pub rejected_flags: u64,
    /// Frames that the driver reported lost.
    pub lost: u64,
}

impl From<uapi::iostream_stream_counters> for StreamCounters {
    fn from(raw: uapi::iostream_stream_counters) -> Self {
        Self {
            sent: raw.sent,
            received: raw.received,
            discarded: raw.discarded,
            rejected_id: raw.rejected_id,
            rejected_owner: raw.rejected_owner,
            rejected_range: raw.rejected_range,
            rejected_flags: raw.rejected_flags,
            lost: raw.lost,
        }
    }
}

/// The geometry and state of a stream, as the kernel has recorded them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamInfo {
    /// The side that fills the buffers.
    pub mode: StreamMode,
    /// Whether the stream runs.
    pub state: StreamState,
    /// How many buffers there are in this session.
    pub buffers: u32,
    /// How many buffers there can be in this session.
    pub max_buffers: u32,
    /// The size of a buffer's data area in bytes.
    pub data_bytes: u32,
    /// The size of a buffer's control area in bytes, which may be 0.
    pub control_bytes: u32,
    /// The clock of the timestamps.
    pub clock: Clock,
    /// The driver's format tag, four characters, if it has one.
    pub format: Option<[u8; 4]>,
    /// Starts at 1, and is raised when buffers are added.
    pub generation: u64,
    /// The driver's description of the stream.
    pub description: String,
}

impl StreamInfo {
    pub(crate) fn new(raw: &uapi::iostream_stream) -> Result<Self> {
        let words = raw.description.split(|byte| *byte == 0).next();
        Ok(Self {
            mode: StreamMode::from_raw(raw.mode)?,
            state: StreamState::from_raw(raw.state.into()),
            buffers: raw.buffers,
            max_buffers: raw.max_buffers,
            data_bytes: raw.data_bytes,
            control_bytes: raw.control_bytes,
            clock: Clock::from_raw(raw.clock)?,
            // The first character is the lowest byte, as in V4L2 and DRM.
            format: (raw.format != 0).then(|| raw.format.to_le_bytes()),
            generation: raw.generation,
            description: String::from_utf8_lossy(words.unwrap_or_default()).into_owned(),
        })
    }
}

/// What a stop does with queued buffers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// Discards them.
    #[default]
    Discard,
    /// Waits until the driver has taken all buffers that this process sent.
    Drain {
        /// How long to wait, or `None` to wait without limit. If the time is over, the stream keeps
        /// running.
        timeout: Option<Duration>,
    },
}

impl Stop {
    /// The flags and nanoseconds of iostream.h.
    pub(crate) fn raw(self) -> (u32, u64) {
        match self {
            Self::Discard => (0, 0),
            Self::Drain { timeout } => (uapi::IOSTREAM_STOP_DRAIN, timeout_ns(timeout)),
        }
    }
}

/// What a stop discarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Discarded {
    /// Buffers that this process had not taken yet.
    pub output: u64,
    /// Buffers that the driver had not taken yet.
    pub input: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::stream_loopback::no_stream;

    #[test]
    fn words_and_format_are_read() {
        let mut raw = uapi::iostream_stream {
            mode: 2,
            state: 1,
            format: 0x5659_5559,
            ..no_stream()
        };
        raw.description[..5].copy_from_slice(b"a\xffb\0c");
        let info = StreamInfo::new(&raw).unwrap();
        assert_eq!(info.description, "a\u{fffd}b");
        assert_eq!(info.format, Some(*b"YUYV"));
        assert_eq!(
            (info.mode, info.state),
            (StreamMode::Duplex, StreamState::Running)
        );
        raw.mode = 3;
        assert!(StreamInfo::new(&raw).is_err());
        raw.mode = 2;
        raw.clock = 2;
        assert!(StreamInfo::new(&raw).is_err());
    }

    #[test]
    fn a_drain_of_no_time_is_not_endless() {
        let drain = |timeout| Stop::Drain { timeout }.raw();
        assert_eq!(drain(None), (1, 0));
        assert_eq!(drain(Some(Duration::ZERO)), (1, 1));
        assert_eq!(drain(Some(Duration::MAX)), (1, u64::MAX));
        assert_eq!(Stop::Discard.raw(), (0, 0));
    }
}
