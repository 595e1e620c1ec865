// SPDX-License-Identifier: GPL-2.0

//! How queues are described: direction, size, what a full one does, and whom to wake.

use kernel::{page::PAGE_SIZE, prelude::*};

use crate::{
    memory::limits,
    ring::{uapi, Geometry, GeometryError, DESCRIPTOR_BYTES},
};

/// Which way entries go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Kernel to user.
    Output = 0,
    /// User to kernel.
    Input = 1,
}

impl Direction {
    /// The direction that an argument of a call names.
    ///
    /// # Errors
    ///
    /// `EINVAL`.
    pub(crate) fn from_arg(arg: u32) -> Result<Self> {
        match arg {
            uapi::IOSTREAM_OUTPUT => Ok(Direction::Output),
            uapi::IOSTREAM_INPUT => Ok(Direction::Input),
            _ => Err(EINVAL),
        }
    }
}

/// What lies in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entries {
    /// Entries of any size, each with a header.
    Framed,
    /// The descriptors of a stream.
    Descriptors,
}

/// How large a queue is and what happens when it is full.
#[derive(Clone, Copy)]
pub struct QueueConfig {
    pub(crate) geometry: Geometry,
    pub(crate) overwrite: bool,
    pub(crate) entries: Entries,
}

impl QueueConfig {
    /// A queue of at least `bytes`, 8 bytes of overhead an entry and padding to 8 included, in
    /// whole pages.
    ///
    /// # Errors
    ///
    /// `EINVAL` for zero; `EOVERFLOW`; `E2BIG` above the module's `max_queue_bytes`.
    pub fn with_capacity(bytes: u64) -> Result<Self> {
        let limit = limits::max_queue_bytes();
        Self::from_geometry(Geometry::with_capacity(bytes, PAGE_SIZE as u64, limit))
    }

    /// A queue in which `entries` entries of `entry_bytes` fit at once. Others may be queued.
    ///
    /// # Errors
    ///
    /// As [`Self::with_capacity`].
    pub fn with_entries(entries: u64, entry_bytes: u32) -> Result<Self> {
        let (page, limit) = (PAGE_SIZE as u64, limits::max_queue_bytes());
        Self::from_geometry(Geometry::with_entries(entries, entry_bytes, page, limit))
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

    /// When full, the queue gives up its oldest entries. Output queues only.
    pub fn overwriting(self) -> Self {
        Self {
            overwrite: true,
            ..self
        }
    }

    /// A queue of a stream, with room for `descriptors` descriptors.
    ///
    /// # Errors
    ///
    /// `E2BIG` above the module's `max_queue_bytes`.
    pub(crate) fn of_descriptors(descriptors: u32) -> Result<Self> {
        let bytes = u64::from(descriptors) * DESCRIPTOR_BYTES as u64;
        Ok(Self {
            entries: Entries::Descriptors,
            ..Self::with_capacity(bytes)?
        })
    }

    /// Bytes of the queue, whole pages.
    pub fn capacity_bytes(&self) -> u64 {
        self.geometry.data_bytes()
    }

    /// The longest entry in bytes.
    pub fn max_entry_bytes(&self) -> u32 {
        self.geometry.max_entry_bytes()
    }

    /// Whether a full queue gives up its oldest entries.
    pub fn is_overwriting(&self) -> bool {
        self.overwrite
    }
}

/// Refuses a watermark that is never reached, and latencies with which timers would keep a processor
/// to themselves.
///
/// # Errors
///
/// `EINVAL`: a latency without a watermark; `ERANGE`: more than the queue's `capacity`; a latency out
/// of range.
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

/// Whether a publication may wake the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wake {
    /// If it waits for this.
    #[default]
    Normal,
    /// No; a later publication will look for it, too.
    Suppress,
    /// Yes, whether it waits or not.
    Force,
}
