// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Entries that are copied in.

use super::super::entry::Header;
use super::super::{Error, Layout, Memory};
use super::Producer;

impl<M: Memory, L: Layout> Producer<M, L> {
    /// Appends a copy of `bytes`. The consumer sees it after the next [`Self::publish`].
    ///
    /// # Errors
    ///
    /// As [`Self::reserve`].
    #[inline(always)]
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let (pos, offset, need) = self.write_entry(bytes)?;
        self.pos = pos.wrapping_add(need);
        self.unpublished = self.unpublished.wrapping_add(need);
        self.advance(offset, need);
        Ok(())
    }

    /// Writes an entry at the position, and leaves that as it is. Returns position, offset, and the bytes
    /// that it takes.
    #[inline(always)]
    fn write_entry(&mut self, bytes: &[u8]) -> Result<(u64, usize, u64), Error> {
        let Ok(len) = u32::try_from(bytes.len()) else {
            return Err(Error::TooLarge {
                max: L::max_entry_bytes(&self.geometry),
            });
        };
        let need = L::occupied(len);
        let (pos, offset) = (self.pos, self.offset());
        let header = if self.end.wrapping_sub(pos) >= need {
            Header::of(len).to_word()
        } else {
            self.header_after_refresh(len)?
        };
        let begin = offset.wrapping_add(L::OVERHEAD as usize);
        // SAFETY: By the type's invariant `pos` and the ring's size are multiples of 8.
        unsafe { core::hint::assert_unchecked(begin % 8 == 0) };
        // SAFETY: There is room for `len` bytes at `begin`; this is the producer.
        unsafe { self.memory.write(begin, bytes.as_ptr(), bytes.len()) };
        self.write_header(offset, header);
        Ok((pos, offset, need))
    }

    /// [`Self::push`] and [`Self::publish`]: the consumer sees it at once.
    ///
    /// # Errors
    ///
    /// As [`Self::reserve`].
    #[inline(always)]
    pub fn push_and_publish(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let (pos, offset, need) = self.write_entry(bytes)?;
        if self.unpublished != 0 {
            self.unpublished = 0;
        }
        let next = pos.wrapping_add(need);
        // ORDERING: as in `publish` (litmus: publish, variable-length).
        self.memory.producer_pos().store_release(next);
        // After that store, which the compiler takes for one that may change `self`: each turn of a loop
        // would wait for the load of what the last one stored.
        self.advance(offset, need);
        self.pos = next;
        Ok(())
    }
}
