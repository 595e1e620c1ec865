// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a device tells of itself, its queues and its endpoint.

use std::fmt;

use iostream_ring::uapi;

use crate::{Error, Result};

/// Which way entries travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the kernel to this process.
    Output,
    /// From this process to the kernel.
    Input,
}

impl Direction {
    /// The value as iostream.h has it.
    pub(crate) const fn raw(self) -> u32 {
        match self {
            Self::Output => uapi::IOSTREAM_OUTPUT,
            Self::Input => uapi::IOSTREAM_INPUT,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Output => "output",
            Self::Input => "input",
        })
    }
}

/// What the kernel counts of one queue since it was made. Nothing that a process writes changes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Entries that the kernel's end produced or consumed.
    pub entries: u64,
    /// Their bytes, without headers and padding.
    pub bytes: u64,
    /// Times that the process was woken, through poll or eventfd.
    pub wakeups_sent: u64,
    /// Publications at which nobody had to be woken.
    pub wakeups_suppressed: u64,
    /// Calls with which the process woke the kernel's end.
    pub notifications: u64,
    /// Enqueues of the kernel's end that found no room.
    pub full: u64,
    /// Entries lost: declared so by the driver, or overwritten.
    pub lost: u64,
    /// Positions or headers of the process that could not be right.
    pub corrupt: u64,
    /// The most bytes that were ever in the queue.
    pub high_water_bytes: u64,
}

impl From<uapi::iostream_counters> for Counters {
    fn from(raw: uapi::iostream_counters) -> Self {
        Self {
            entries: raw.entries,
            bytes: raw.bytes,
            wakeups_sent: raw.wakeups_sent,
            wakeups_suppressed: raw.wakeups_suppressed,
            notifications: raw.notifications,
            full: raw.full,
            lost: raw.lost,
            corrupt: raw.corrupt,
            high_water_bytes: raw.high_water_bytes,
        }
    }
}

/// Geometry and counters of one queue, from the kernel's own record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueInfo {
    /// Which way it goes.
    pub direction: Direction,
    /// Whether a full queue loses its oldest entries.
    pub overwrite: bool,
    /// Capacity, overhead of entries included, in whole pages.
    pub data_bytes: u64,
    /// The longest entry.
    pub max_entry_bytes: u32,
    /// The size of a page.
    pub page_bytes: u32,
    /// Raised by each reset; starts at 1.
    pub generation: u64,
    /// Bits of what the queue can do beyond version 1.
    pub features: u64,
    /// What the kernel counts.
    pub counters: Counters,
}

impl QueueInfo {
    pub(crate) fn new(direction: Direction, raw: &uapi::iostream_queue) -> Self {
        Self {
            direction,
            overwrite: raw.flags & uapi::IOSTREAM_QUEUE_OVERWRITE != 0,
            data_bytes: raw.data_bytes,
            max_entry_bytes: raw.max_entry_bytes,
            page_bytes: raw.page_bytes,
            generation: raw.generation,
            features: raw.features,
            counters: raw.counters.into(),
        }
    }
}

/// A device's name, version and limits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// The node's name.
    pub name: String,
    /// Bits of what the device can do beyond version 1.
    pub features: u64,
    /// The largest queue, overhead of entries included.
    pub max_queue_bytes: u64,
    /// The largest sum of all queues.
    pub max_total_bytes: u64,
}

impl DeviceInfo {
    /// Refuses a version that this crate does not know.
    pub(crate) fn new(raw: &uapi::iostream_version) -> Result<Self> {
        if raw.version != uapi::IOSTREAM_VERSION {
            return Err(Error::Version {
                found: raw.version,
                known: uapi::IOSTREAM_VERSION,
            });
        }
        let name = raw.name.split(|&byte| byte == 0).next().unwrap_or_default();
        Ok(Self {
            name: String::from_utf8_lossy(name).into_owned(),
            features: raw.features,
            max_queue_bytes: raw.max_queue_bytes,
            max_total_bytes: raw.max_total_bytes,
        })
    }
}

/// Who serves the kernel's side of a session of `/dev/iostream`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// What comes in goes out.
    Echo,
    /// Numbered, checksummed entries come out.
    Source,
    /// What comes in is checked and counted.
    Sink,
}

impl Endpoint {
    pub(crate) const fn raw(self) -> u32 {
        match self {
            Self::Echo => uapi::IOSTREAM_ENDPOINT_ECHO,
            Self::Source => uapi::IOSTREAM_ENDPOINT_SOURCE,
            Self::Sink => uapi::IOSTREAM_ENDPOINT_SINK,
        }
    }

    fn from_raw(raw: u32) -> Option<Self> {
        [Self::Echo, Self::Source, Self::Sink]
            .into_iter()
            .find(|endpoint| endpoint.raw() == raw)
    }
}

/// What the endpoint of `/dev/iostream` has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointStats {
    /// Which one it is.
    pub endpoint: Endpoint,
    /// Entries made, checked or echoed.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Sink: entries whose record was wrong.
    pub bad: u64,
    /// Sink: sequence numbers that did not come.
    pub missed: u64,
    /// Source by timer: entries for which there was no room.
    pub dropped: u64,
}

impl EndpointStats {
    pub(crate) fn new(raw: &uapi::iostream_endpoint) -> Result<Self> {
        Ok(Self {
            endpoint: Endpoint::from_raw(raw.endpoint).ok_or(Error::Mismatch(
                "the device has an endpoint of an unknown kind",
            ))?,
            entries: raw.entries,
            bytes: raw.bytes,
            bad: raw.bad,
            missed: raw.missed,
            dropped: raw.dropped,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_ends_at_the_zero_byte_or_with_the_field() {
        let mut raw = uapi::iostream_version {
            version: uapi::IOSTREAM_VERSION,
            ..Default::default()
        };
        raw.name[..4].copy_from_slice(b"echo");
        assert_eq!(DeviceInfo::new(&raw).unwrap().name, "echo");
        raw.name = [b'x'; 32];
        assert_eq!(DeviceInfo::new(&raw).unwrap().name.len(), 32);
    }

    #[test]
    fn another_version_is_refused() {
        let raw = uapi::iostream_version {
            version: uapi::IOSTREAM_VERSION + 1,
            ..Default::default()
        };
        assert!(matches!(DeviceInfo::new(&raw), Err(Error::Version { .. })));
    }
}
