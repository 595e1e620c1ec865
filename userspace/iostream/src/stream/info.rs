// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a device tells of its stream, and what stops it.

use std::fmt;
use std::time::Duration;

use iostream_ring::uapi;

use crate::notify::timeout_ns;
use crate::{Result, StreamMode};

/// Whether a stream runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamState {
    /// It does not.
    Stopped,
    /// It does.
    Running,
    /// The driver pauses; what is queued stays.
    Suspended,
}

impl StreamState {
    /// Of a value of iostream.h; what is not known does not run.
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

/// What the kernel counts of a stream in one session. Nothing that a process writes changes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCounters {
    /// Buffers that the driver sent.
    pub sent: u64,
    /// Buffers that came from this process, returned ones included.
    pub received: u64,
    /// Descriptors that a stop discarded, in both directions.
    pub discarded: u64,
    /// Descriptors that named no buffer.
    pub rejected_id: u64,
    /// Descriptors of a buffer that this process did not have.
    pub rejected_owner: u64,
    /// Descriptors with a range out of bounds.
    pub rejected_range: u64,
    /// Descriptors with unknown flags.
    pub rejected_flags: u64,
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
        }
    }
}

/// Geometry, state and counters of a stream, from the kernel's own record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamInfo {
    /// Who fills the buffers.
    pub mode: StreamMode,
    /// Whether it runs.
    pub state: StreamState,
    /// Buffers that there are in this session.
    pub buffers: u32,
    /// Buffers that there can be in this session.
    pub max_buffers: u32,
    /// The size of a buffer's data area.
    pub data_bytes: u32,
    /// The size of a buffer's control area, which may be 0.
    pub control_bytes: u32,
    /// The driver's format tag, four characters, if it gives one.
    pub format: Option<[u8; 4]>,
    /// Raised when buffers are added; starts at 1.
    pub generation: u64,
    /// The driver's words about it.
    pub description: String,
    /// What the kernel counts.
    pub counters: StreamCounters,
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
            // The first character is the lowest byte, as V4L2 and DRM have it.
            format: (raw.format != 0).then(|| raw.format.to_le_bytes()),
            generation: raw.generation,
            description: String::from_utf8_lossy(words.unwrap_or_default()).into_owned(),
            counters: raw.counters.into(),
        })
    }
}

/// What becomes of what is queued when a stream is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stop {
    /// It is discarded.
    #[default]
    Discard,
    /// The driver first takes all that this process sent.
    Drain {
        /// For how long to wait for that; `None`: for ever. The stream goes on if it is over.
        timeout: Option<Duration>,
    },
}

impl Stop {
    /// Flags and nanoseconds, as iostream.h has them.
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
            (StreamMode::InputOutput, StreamState::Running)
        );
        raw.mode = 3;
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
