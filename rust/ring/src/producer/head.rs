// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Many entries in a row: the positions in registers.

use super::super::entry::Header;
use super::super::geometry::wrapped;
use super::super::{Geometry, Layout, Memory};
use super::Producer;

/// Where a producer is, kept apart from it while it appends entries.
///
/// What it appends, nobody sees before [`Producer::set_head`] and [`Producer::publish`].
#[derive(Clone, Copy, Debug)]
pub struct Head {
    pos: u64,
    offset: usize,
    /// The position up to which there is room, as far as is known.
    end: u64,
}

impl Head {
    /// The position of the next entry.
    #[inline(always)]
    pub const fn pos(&self) -> u64 {
        self.pos
    }

    /// Bytes up to which there is room, as far as is known.
    #[inline(always)]
    pub(in super::super) const fn room(&self) -> u64 {
        self.end.wrapping_sub(self.pos)
    }

    /// Where the next entry begins in the data.
    #[inline(always)]
    pub(in super::super) const fn offset(&self) -> usize {
        self.offset
    }

    /// Goes over `bytes` that were appended, at most as many as there is room for.
    #[inline(always)]
    pub(in super::super) fn skip(&mut self, bytes: u64, geometry: &Geometry) {
        self.pos = self.pos.wrapping_add(bytes);
        let size = geometry.data_bytes() as usize;
        self.offset = wrapped(self.offset.wrapping_add(bytes as usize), size);
    }
}

impl<M: Memory, L: Layout> Producer<M, L> {
    /// Where the producer is.
    #[inline(always)]
    pub fn head(&self) -> Head {
        Head {
            pos: self.pos,
            offset: self.offset(),
            end: self.end,
        }
    }

    /// Appends an entry of `len` bytes and tells where its bytes go; `None` if there is no room for
    /// it as far as is known: then [`Self::set_head`], reserve and commit.
    ///
    /// # Safety
    ///
    /// `head` came from [`Self::head`] of this producer, and nothing was reserved, committed or
    /// published since but by way of it.
    #[inline(always)]
    pub unsafe fn place(&self, head: &mut Head, len: u32) -> Option<usize> {
        let need = L::occupied(len);
        if head.end.wrapping_sub(head.pos) < need {
            return None;
        }
        let header = Header::of(len);
        let begin = head.offset;
        if L::FIXED.is_none() {
            // SAFETY: By the caller's promise `offset` is a multiple of 8 below `data_bytes`; this is
            // the producer.
            unsafe { self.memory.store_word(begin, header.to_word()) };
        }
        head.skip(need, &self.geometry);
        Some(begin.wrapping_add(L::OVERHEAD as usize))
    }

    /// Copies `bytes` to where [`Self::place`] or [`Self::reserve`] said.
    ///
    /// # Safety
    ///
    /// `offset` came from there, for at least as many bytes, which were not published since.
    #[inline(always)]
    pub unsafe fn write(&self, offset: usize, bytes: &[u8]) {
        // SAFETY: The caller's promise; this is the producer.
        unsafe { self.memory.write(offset, bytes.as_ptr(), bytes.len()) };
    }

    /// Commits what was appended at `head`.
    ///
    /// # Safety
    ///
    /// As for [`Self::place`].
    #[inline(always)]
    pub unsafe fn set_head(&mut self, head: Head) {
        // INVARIANT: `place` moved both in step, and not past the room there was.
        self.pos = head.pos;
        self.lap = head.pos.wrapping_sub(head.offset as u64);
    }
}
