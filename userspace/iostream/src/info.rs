// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a device reports about itself, its queues and its endpoint.

use std::fmt;

use iostream_ring::uapi;

use crate::{Error, Result};

/// The direction in which entries move, in the words of iostream.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the kernel to this process.
    Output,
    /// From this process to the kernel.
    Input,
}

impl Direction {
    /// The value of iostream.h.
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

/// The kernel's counters of one queue since it was made. Nothing that a process writes changes
/// them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Entries that the kernel's end has produced or consumed.
    pub entries: u64,
    /// The bytes of these entries, without headers and padding.
    pub bytes: u64,
    /// How often the process was woken, through poll or an eventfd.
    pub wakeups_sent: u64,
    /// Publications that did not have to wake anyone.
    pub wakeups_suppressed: u64,
    /// How often the process notified the kernel's end.
    pub notifications: u64,
    /// How often the kernel's end found no room for an entry.
    pub full: u64,
    /// Entries that were lost: overwritten, or declared lost by the driver.
    pub lost: u64,
    /// Invalid positions or headers that the process wrote.
    pub corrupt: u64,
    /// The largest number of bytes that were ever in the queue.
    pub high_water_bytes: u64,
}

impl From<uapi::iostream_queue_counters> for Counters {
    fn from(raw: uapi::iostream_queue_counters) -> Self {
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

/// The geometry of one queue, as the kernel has recorded them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueInfo {
    /// The direction in which its entries move.
    pub direction: Direction,
    /// Whether the queue overwrites its oldest entries when it is full.
    pub overwrite: bool,
    /// The capacity in bytes, including the overhead of entries. It is a whole number of pages.
    pub data_bytes: u64,
    /// The length of the longest entry that the queue can hold, in bytes.
    pub max_entry_bytes: u32,
    /// The size of a page in bytes.
    pub page_bytes: u32,
    /// Starts at 1, and is raised by each reset.
    pub generation: u64,
    /// Bits for what the queue supports beyond version 1.
    pub features: u64,
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
        }
    }
}

/// A device's name, version and limits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// The node's name.
    pub name: String,
    /// Bits for what the device supports beyond version 1.
    pub features: u64,
    /// The largest capacity of a queue in bytes, including the overhead of entries.
    pub max_queue_bytes: u64,
    /// The most bytes that the queues and buffers of one user can take together.
    pub max_total_bytes: u64,
}

impl DeviceInfo {
    /// Fails if the device has a version that this crate does not know.
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

/// What serves the kernel's side of a session of `/dev/iostream`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// Sends back the entries that come in.
    Echo,
    /// Makes entries, which have a number and a checksum.
    Source,
    /// Checks and counts the entries that come in.
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
}

/// The statistics of the endpoint of `/dev/iostream`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointStats {
    /// Entries that it made, checked or sent back.
    pub entries: u64,
    /// The bytes of these entries.
    pub bytes: u64,
    /// Of a sink: entries with a wrong record.
    pub bad: u64,
    /// Of a sink: sequence numbers that are missing.
    pub missed: u64,
    /// Of a source with a timer: entries that found no room.
    pub dropped: u64,
}

impl From<uapi::iostream_endpoint_counters> for EndpointStats {
    fn from(raw: uapi::iostream_endpoint_counters) -> Self {
        Self {
            entries: raw.entries,
            bytes: raw.bytes,
            bad: raw.bad,
            missed: raw.missed,
            dropped: raw.dropped,
        }
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
