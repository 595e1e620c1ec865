// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Many entries in a row: the positions in registers.

use core::marker::PhantomData;

use super::super::entry::Header;
use super::super::geometry::wrapped;
use super::super::{Framed, Layout, Memory};
use super::Producer;

/// Where a producer is, kept apart from it while it appends entries.
///
/// What it appends, nobody sees before [`Producer::set_head`] and [`Producer::publish`].
#[derive(Clone, Copy, Debug)]
pub struct Head<L = Framed> {
    offset: usize,
    /// Bytes up to `end`.
    room: u64,
    /// The position up to which there is room, as far as is known.
    end: u64,
    /// Bytes of the data.
    size: usize,
    layout: PhantomData<L>,
}

impl<L: Layout> Head<L> {
    /// Appends an entry of `len` bytes and tells where its bytes go; `None` if there is no room for
    /// it up to where lines were fetched: then [`Producer::set_head`], reserve and commit.
    ///
    /// # Safety
    ///
    /// The head came from [`Producer::head`] of a producer of `memory`, with which nothing was reserved,
    /// committed or published since but by way of the head.
    #[inline(always)]
    pub unsafe fn place<M: Memory>(&mut self, memory: &M, len: u32) -> Option<usize> {
        let need = L::occupied(len);
        if self.room < need {
            return None;
        }
        let begin = self.offset;
        if L::FIXED.is_none() {
            // SAFETY: By the caller's promise `begin` is a multiple of 8 below `data_bytes`; the caller
            // is the producer.
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
    /// Where the producer is.
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

    /// Copies `bytes` to where [`Head::place`] or [`Self::reserve`] said.
    ///
    /// # Safety
    ///
    /// `offset` came from there, for at least as many bytes, which were not published since.
    #[inline(always)]
    pub unsafe fn write(&self, offset: usize, bytes: &[u8]) {
        // SAFETY: The caller's promise; this is the producer.
        unsafe { self.memory.write(offset, bytes.as_ptr(), bytes.len()) };
    }

    /// [`Self::set_head`] and [`Self::publish`].
    ///
    /// # Safety
    ///
    /// As for [`Head::place`].
    #[inline(always)]
    pub unsafe fn publish_head(&mut self, head: Head<L>) {
        // INVARIANT: As in `set_head`.
        self.pos = head.pos();
        self.lap = self.pos.wrapping_sub(head.offset as u64);
        self.publish();
    }

    /// Commits what was appended at `head`.
    ///
    /// # Safety
    ///
    /// As for [`Head::place`].
    #[inline(always)]
    pub unsafe fn set_head(&mut self, head: Head<L>) {
        // INVARIANT: `place` moved both in step, and not past the room there was.
        let pos = head.pos();
        self.unpublished = self.unpublished.wrapping_add(pos.wrapping_sub(self.pos));
        self.pos = pos;
        self.lap = self.pos.wrapping_sub(head.offset as u64);
    }
}
