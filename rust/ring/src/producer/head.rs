// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Appends many entries in a row, with the positions in registers.

use core::marker::PhantomData;

use super::super::entry::Header;
use super::super::geometry::wrapped;
use super::super::{Framed, Layout, Memory};
use super::Producer;

/// The positions of a producer, kept apart from it while entries are appended.
///
/// The consumer sees these entries after [`Producer::set_head`] and [`Producer::publish`].
#[derive(Clone, Copy, Debug)]
pub struct Head<L = Framed> {
    offset: usize,
    /// Bytes up to `end`.
    room: u64,
    /// The position up to which entries fit; see [`Producer`].
    end: u64,
    /// Bytes of the data area.
    size: usize,
    layout: PhantomData<L>,
}

impl<L: Layout> Head<L> {
    /// Appends an entry of `len` bytes, and returns the offset of its bytes in the data.
    ///
    /// `None` if the entry ends after `end`: then call [`Producer::set_head`], reserve and commit.
    ///
    /// # Safety
    ///
    /// The head came from [`Producer::head`] of a producer of `memory`. Since then nothing was
    /// reserved, committed or published except through the head.
    #[inline(always)]
    pub unsafe fn place<M: Memory>(&mut self, memory: &M, len: u32) -> Option<usize> {
        let need = L::occupied(len);
        if self.room < need {
            return None;
        }
        let begin = self.offset;
        if L::FIXED.is_none() {
            // SAFETY: The head came from the producer of `memory`, so `begin` is a multiple of 8
            // below `data_bytes`, and the caller is the producer.
            unsafe { memory.store_word(begin, Header::of(len).to_word()) };
        }
        self.room = self.room.wrapping_sub(need);
        self.offset = wrapped(begin.wrapping_add(need as usize), self.size);
        Some(begin.wrapping_add(L::OVERHEAD as usize))
    }

    /// The position of the next entry.
    #[inline(always)]
    pub fn pos(&self) -> u64 {
        self.end.wrapping_sub(self.room)
    }
}

impl<M: Memory, L: Layout> Producer<M, L> {
    /// The positions of the producer, to append entries with [`Head::place`].
    #[inline(always)]
    pub fn head(&self) -> Head<L> {
        Head {
            offset: self.offset(),
            room: self.end.wrapping_sub(self.pos),
            end: self.end,
            size: self.geometry.data_bytes() as usize,
            layout: PhantomData,
        }
    }

    /// Copies `bytes` to an offset that [`Head::place`] or [`Self::reserve`] returned.
    ///
    /// # Safety
    ///
    /// `offset` was returned for at least `bytes.len()` bytes, which were not published since.
    #[inline(always)]
    pub unsafe fn write(&self, offset: usize, bytes: &[u8]) {
        // SAFETY: The caller passes an offset with room for `bytes`; this is the producer.
        unsafe { self.memory.write(offset, bytes.as_ptr(), bytes.len()) };
    }

    /// [`Self::set_head`] and [`Self::publish`] in one call.
    ///
    /// # Safety
    ///
    /// `head` came from [`Self::head`]. Since then nothing was reserved, committed or published
    /// except through the head.
    #[inline(always)]
    pub unsafe fn publish_head(&mut self, head: Head<L>) {
        // INVARIANT: `place` moved offset and room in step, and not past `end`.
        self.pos = head.pos();
        self.lap = self.pos.wrapping_sub(head.offset as u64);
        self.publish();
    }

    /// Commits the entries that were appended through `head`.
    ///
    /// # Safety
    ///
    /// `head` came from [`Self::head`]. Since then nothing was reserved, committed or published
    /// except through the head.
    #[inline(always)]
    pub unsafe fn set_head(&mut self, head: Head<L>) {
        // INVARIANT: `place` moved offset and room in step, and not past `end`.
        let pos = head.pos();
        self.unpublished = self.unpublished.wrapping_add(pos.wrapping_sub(self.pos));
        self.pos = pos;
        self.lap = self.pos.wrapping_sub(head.offset as u64);
    }
}
