// SPDX-License-Identifier: GPL-2.0

//! The parameters of queues: direction, size, overwriting, watermark; and those of a publication.

use kernel::{page::PAGE_SIZE, prelude::*};

use crate::{
    error::refused,
    memory::limits,
    ring::{uapi, Geometry, GeometryError, DESCRIPTOR_BYTES},
};

/// The direction in which entries flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the kernel to the process.
    Output = 0,
    /// From the process to the kernel.
    Input = 1,
}

impl Direction {
    /// Converts from the argument of a system call.
    ///
    /// # Errors
    ///
    /// `EINVAL`: there is no such direction.
    pub(crate) fn from_arg(arg: u32) -> Result<Self> {
        match arg {
            uapi::IOSTREAM_OUTPUT => Ok(Direction::Output),
            uapi::IOSTREAM_INPUT => Ok(Direction::Input),
            _ => Err(EINVAL),
        }
    }
}

/// The kind of entries in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entries {
    /// Entries of any size, each with a header.
    Framed,
    /// The descriptors of a stream, without headers.
    Descriptors,
}

/// The size of a queue, and what happens when it is full.
#[derive(Clone, Copy)]
pub struct QueueConfig {
    pub(crate) geometry: Geometry,
    pub(crate) overwrite: bool,
    pub(crate) entries: Entries,
}

impl QueueConfig {
    /// A queue of at least `bytes` bytes, rounded up to whole pages. Each entry takes its own
    /// bytes, padded to a multiple of 8, and 8 bytes of overhead.
    ///
    /// # Errors
    ///
    /// `EINVAL`: `bytes` is zero; `EOVERFLOW`: the size in whole pages overflows; `E2BIG`: it
    /// exceeds the module's `max_queue_bytes`.
    pub fn with_capacity(bytes: u64) -> Result<Self> {
        let limit = limits::max_queue_bytes();
        Self::of_capacity(bytes).map_err(|error| {
            refused!(
                error,
                "a queue of {bytes} bytes is refused: from 1 to max_queue_bytes ({limit}) are possible\n"
            )
        })
    }

    /// The same for a process, whose mistakes the kernel's log does not tell.
    pub(crate) fn of_capacity(bytes: u64) -> Result<Self> {
        let limit = limits::max_queue_bytes();
        Self::from_geometry(Geometry::with_capacity(bytes, PAGE_SIZE as u64, limit))
    }

    /// A queue that has room for `entries` entries of `entry_bytes` bytes. Entries of other lengths
    /// may be queued as well.
    ///
    /// # Errors
    ///
    /// `EINVAL`: `entries` is zero; `EOVERFLOW`: the size of the queue overflows; `E2BIG`: it
    /// exceeds the module's `max_queue_bytes`.
    pub fn with_entries(entries: u64, entry_bytes: u32) -> Result<Self> {
        let (page, limit) = (PAGE_SIZE as u64, limits::max_queue_bytes());
        let queue = Self::from_geometry(Geometry::with_entries(entries, entry_bytes, page, limit));
        queue.map_err(|error| {
            refused!(
                error,
                "a queue for {entries} entries of {entry_bytes} bytes is refused: there must be one at least, \
                 and with 8 bytes of overhead each they may take max_queue_bytes ({limit})\n"
            )
        })
    }

    fn from_geometry(geometry: Result<Geometry, GeometryError>) -> Result<Self> {
        match geometry {
            Ok(geometry) => Ok(Self {
                geometry,
                overwrite: false,
                entries: Entries::Framed,
            }),
            Err(GeometryError::Zero) => Err(EINVAL),
            Err(GeometryError::Overflow) => Err(EOVERFLOW),
            Err(GeometryError::AboveLimit { .. }) => Err(E2BIG),
        }
    }

    /// Makes the queue overwrite its oldest entries when it is full. For output queues only.
    pub fn overwriting(self) -> Self {
        Self {
            overwrite: true,
            ..self
        }
    }

    /// A stream's queue, with room for `descriptors` descriptors.
    ///
    /// # Errors
    ///
    /// `EINVAL`: `descriptors` is zero; `E2BIG`: the size exceeds the module's `max_queue_bytes`.
    pub(crate) fn of_descriptors(descriptors: u32) -> Result<Self> {
        let bytes = u64::from(descriptors) * DESCRIPTOR_BYTES as u64;
        Ok(Self {
            entries: Entries::Descriptors,
            ..Self::of_capacity(bytes)?
        })
    }

    /// The size of the queue in bytes: whole pages.
    pub fn capacity_bytes(&self) -> u64 {
        self.geometry.data_bytes()
    }

    /// The longest entry in bytes.
    pub fn max_entry_bytes(&self) -> u32 {
        self.geometry.max_entry_bytes()
    }

    /// Whether the queue overwrites its oldest entries when it is full.
    pub fn is_overwriting(&self) -> bool {
        self.overwrite
    }
}

/// Checks a watermark and a latency. A watermark has to be reachable, and a latency long enough
/// that the timers do not occupy a processor.
///
/// # Errors
///
/// `EINVAL`: a latency without a watermark; `ERANGE`: a watermark above the queue's `capacity`, or
/// a latency out of range.
pub(crate) fn check_watermark(capacity: u64, bytes: u64, latency_ns: u64) -> Result {
    let latencies = u64::from(uapi::IOSTREAM_LATENCY_MIN_NS)..=uapi::IOSTREAM_LATENCY_MAX_NS;
    if bytes == 0 && latency_ns != 0 {
        return Err(EINVAL);
    }
    if bytes > capacity || (latency_ns != 0 && !latencies.contains(&latency_ns)) {
        return Err(ERANGE);
    }
    Ok(())
}

/// Whether a publication wakes the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wake {
    /// It does if the process waits for what is published.
    #[default]
    Normal,
    /// It does not. A later publication decides for this one, too.
    Suppress,
    /// It does, even if the process does not wait.
    Force,
}
