// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! The size of a ring, and what fits into it.

use super::entry::{occupied_bytes, ENTRY_OVERHEAD};

/// The size of a ring. It never changes once the ring exists.
///
/// # Invariants
///
/// - `data_bytes` is at least one page, and a multiple of the page size that it was made for. That
///   is a multiple of 8.
/// - `data_bytes` is at most [`Self::LARGEST_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    data_bytes: u64,
}

/// Why there is no ring of the requested capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeometryError {
    /// The capacity is zero.
    Zero,
    /// The capacity, rounded up, or `entries * size`, exceeds 64 bits.
    Overflow,
    /// The capacity is above the limit.
    AboveLimit {
        /// The limit in bytes.
        limit: u64,
    },
}

impl Geometry {
    /// The largest ring: lengths of entries have 32 bits, and offsets go up to twice the size.
    pub const LARGEST_BYTES: u64 = 1 << 31;

    /// A ring of at least `capacity_bytes`, overhead of entries included, in whole pages.
    ///
    /// # Errors
    ///
    /// [`GeometryError`]: the capacity is zero, overflows, or is above the limit.
    pub const fn with_capacity(
        capacity_bytes: u64,
        page_bytes: u64,
        limit_bytes: u64,
    ) -> Result<Self, GeometryError> {
        if capacity_bytes == 0 {
            return Err(GeometryError::Zero);
        }
        let limit = if limit_bytes < Self::LARGEST_BYTES {
            limit_bytes
        } else {
            Self::LARGEST_BYTES
        };
        let Some(data_bytes) = capacity_bytes.checked_next_multiple_of(page_bytes) else {
            return Err(GeometryError::Overflow);
        };
        if data_bytes > limit {
            return Err(GeometryError::AboveLimit { limit });
        }
        // INVARIANT: `data_bytes` was rounded up from at least one, and is below both limits.
        Ok(Self { data_bytes })
    }

    /// A ring into which `entries` entries of `entry_bytes` fit at once.
    ///
    /// # Errors
    ///
    /// [`GeometryError`]: the capacity is zero, overflows, or is above the limit.
    pub const fn with_entries(
        entries: u64,
        entry_bytes: u32,
        page_bytes: u64,
        limit_bytes: u64,
    ) -> Result<Self, GeometryError> {
        match entries.checked_mul(occupied_bytes(entry_bytes)) {
            Some(capacity) => Self::with_capacity(capacity, page_bytes, limit_bytes),
            None => Err(GeometryError::Overflow),
        }
    }

    /// The ring that its owner describes; for the side that did not make it. `None` if the
    /// description is invalid.
    pub const fn from_description(data_bytes: u64, max_entry_bytes: u32) -> Option<Self> {
        if data_bytes == 0
            || data_bytes % 8 != 0
            || data_bytes > Self::LARGEST_BYTES
            || max_entry_bytes as u64 != data_bytes - ENTRY_OVERHEAD
        {
            return None;
        }
        Some(Self { data_bytes })
    }

    /// Like [`Self::from_description`], for a ring whose entries all have `entry_bytes` and no
    /// header.
    pub const fn from_slots(data_bytes: u64, entry_bytes: u32) -> Option<Self> {
        if data_bytes == 0
            || entry_bytes == 0
            || data_bytes % entry_bytes as u64 != 0
            || data_bytes % 8 != 0
            || data_bytes > Self::LARGEST_BYTES
        {
            return None;
        }
        Some(Self { data_bytes })
    }

    /// Bytes of the data area, overhead of entries included.
    #[inline(always)]
    pub const fn data_bytes(&self) -> u64 {
        self.data_bytes
    }

    /// The longest entry in bytes, header not counted. With its header it fills the ring.
    ///
    /// So an entry that fits into `data_bytes` with its header is not longer than this.
    #[inline(always)]
    pub const fn max_entry_bytes(&self) -> u32 {
        // No underflow: `data_bytes` is at least one page.
        self.data_bytes.wrapping_sub(ENTRY_OVERHEAD) as u32
    }
}

/// Moves an offset below `2 * size` into the first half. The data are mapped twice in a row.
#[inline(always)]
pub(super) const fn wrapped(offset: usize, size: usize) -> usize {
    if offset < size {
        return offset;
    }
    cold_path();
    offset.wrapping_sub(size)
}

/// Tells the compiler that the branch which calls it is rare: once in a lap.
#[cold]
pub(super) const fn cold_path() {}
