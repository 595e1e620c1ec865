// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! One entry: a header of eight bytes, its own bytes, and padding to a multiple of eight.

use super::uapi;

/// Bytes of header before an entry's own bytes.
pub(super) const ENTRY_OVERHEAD: u64 = uapi::IOSTREAM_ENTRY_OVERHEAD as u64;
/// Entries start at multiples of this.
pub(super) const ENTRY_ALIGN: u64 = uapi::IOSTREAM_ENTRY_ALIGN as u64;

const _: () = assert!(ENTRY_OVERHEAD as usize == size_of::<uapi::iostream_entry>());
const _: () = assert!(ENTRY_OVERHEAD % ENTRY_ALIGN == 0);

/// Bytes that an entry of `len` bytes takes in the data area, with header and padding.
#[inline(always)]
pub const fn occupied_bytes(len: u32) -> u64 {
    (len as u64 + ENTRY_OVERHEAD + (ENTRY_ALIGN - 1)) & !(ENTRY_ALIGN - 1)
}

/// The header of an entry. It is one 64-bit word, and is read and written at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the entry.
    pub len: u32,
    /// `IOSTREAM_ENTRY_*`.
    pub flags: u16,
    /// Entries lost right before this one, at most 65535: the next entries report the rest.
    pub lost: u16,
}

impl Header {
    /// The header of an entry of `len` bytes without flags.
    #[inline(always)]
    pub const fn of(len: u32) -> Self {
        Self {
            len,
            flags: 0,
            lost: 0,
        }
    }

    /// The header as it lies in memory: a `struct iostream_entry` in native byte order.
    #[inline(always)]
    pub const fn to_word(self) -> u64 {
        let len = self.len.to_ne_bytes();
        let flags = self.flags.to_ne_bytes();
        let lost = self.lost.to_ne_bytes();
        u64::from_ne_bytes([
            len[0], len[1], len[2], len[3], flags[0], flags[1], lost[0], lost[1],
        ])
    }

    /// The header that [`Self::to_word`] made.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        let b = word.to_ne_bytes();
        Self {
            len: u32::from_ne_bytes([b[0], b[1], b[2], b[3]]),
            flags: u16::from_ne_bytes([b[4], b[5]]),
            lost: u16::from_ne_bytes([b[6], b[7]]),
        }
    }
}

/// An entry that a consumer has found and checked.
///
/// # Invariants
///
/// Header, bytes and padding lie before the producer's position that the consumer last checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Offset of its bytes from the start of the data area; less than twice the size of the data.
    pub(super) offset: usize,
    /// The checked copy of its header.
    pub(super) header: Header,
}

impl Entry {
    /// Offset of the entry's bytes from the start of the data area, which is mapped twice in a row.
    #[inline(always)]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// Bytes of the entry.
    #[inline(always)]
    #[expect(
        clippy::len_without_is_empty,
        reason = "an entry of 0 bytes is still an entry"
    )]
    pub const fn len(&self) -> usize {
        self.header.len as usize
    }

    /// Entries that were lost before this one. If there were more than 65535, the next entries
    /// report the rest.
    #[inline(always)]
    pub const fn lost_before(&self) -> u16 {
        if self.header.flags & uapi::IOSTREAM_ENTRY_GAP as u16 != 0 {
            self.header.lost
        } else {
            0
        }
    }
}
