// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! How entries lie in the data: each with a header, or all of one length without headers.

use super::entry::{occupied_bytes, ENTRY_ALIGN, ENTRY_OVERHEAD};
use super::Geometry;

/// How entries lie in the data.
///
/// It is a type, so that neither kind pays for the other at run time.
pub trait Layout: sealed::Sealed {
    /// The length of every entry; `None` if each entry has a header with its length.
    const FIXED: Option<u32>;
    /// Bytes of header before an entry's own bytes.
    const OVERHEAD: u64 = match Self::FIXED {
        Some(_) => 0,
        None => ENTRY_OVERHEAD,
    };
    /// Positions are multiples of this.
    const ALIGN: u64 = match Self::FIXED {
        Some(len) => len as u64,
        None => ENTRY_ALIGN,
    };

    /// Bytes that an entry of `len` bytes takes; more than any ring has if `len` is not allowed.
    #[inline(always)]
    fn occupied(len: u32) -> u64 {
        match Self::FIXED {
            Some(fixed) if fixed == len => u64::from(fixed),
            Some(_) => u64::MAX,
            None => occupied_bytes(len),
        }
    }

    /// The longest entry of a ring of this size.
    #[inline(always)]
    fn max_entry_bytes(geometry: &Geometry) -> u32 {
        match Self::FIXED {
            Some(len) => len,
            None => geometry.max_entry_bytes(),
        }
    }
}

/// Entries of any length, each with a header of eight bytes and padding to a multiple of eight.
#[derive(Clone, Copy, Debug)]
pub struct Framed;

/// Entries of `N` bytes without headers, side by side; `N` is a power of two from 8 to 4096.
#[derive(Clone, Copy, Debug)]
pub struct Slots<const N: u32>;

impl Layout for Framed {
    const FIXED: Option<u32> = None;
}

impl<const N: u32> Layout for Slots<N> {
    const FIXED: Option<u32> = {
        // Entries then fill whole pages, and a valid position is never inside an entry.
        assert!(N.is_power_of_two() && N >= 8 && N <= 4096);
        Some(N)
    };
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Framed {}
    impl<const N: u32> Sealed for super::Slots<N> {}
}
