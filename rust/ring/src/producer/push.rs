// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Appends copies of entries.

use super::super::entry::Header;
use super::super::{Error, Layout, Memory};
use super::Producer;

impl<M: Memory, L: Layout> Producer<M, L> {
    /// Appends a copy of `bytes`. The consumer sees it after the next [`Self::publish`].
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`], [`Error::Full`], [`Error::Corrupt`].
    #[inline(always)]
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let (pos, offset, need) = self.write_entry(bytes)?;
        self.pos = pos.wrapping_add(need);
        self.unpublished = self.unpublished.wrapping_add(need);
        self.advance(offset, need);
        Ok(())
    }

    /// Writes an entry at `pos`, which does not move. Returns `pos`, its offset, and the bytes that
    /// the entry takes.
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
        // SAFETY: `pos` and the ring's size are multiples of 8, and so is the overhead.
        unsafe { core::hint::assert_unchecked(begin % 8 == 0) };
        // SAFETY: There is room for `len` bytes at `begin`; this is the producer.
        unsafe { self.memory.write(begin, bytes.as_ptr(), bytes.len()) };
        self.write_header(offset, header);
        Ok((pos, offset, need))
    }

    /// [`Self::push`] and [`Self::publish`] in one call.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`], [`Error::Full`], [`Error::Corrupt`].
    #[inline(always)]
    pub fn push_and_publish(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let (pos, offset, need) = self.write_entry(bytes)?;
        if self.unpublished != 0 {
            self.unpublished = 0;
        }
        let next = pos.wrapping_add(need);
        // ORDERING: pairs as in `publish` (litmus: publish, variable-length).
        self.memory.producer_pos().store_release(next);
        // These fields are stored after the publication. The compiler assumes that the publication
        // may change `self`, so in a loop each turn would otherwise wait to load what the last one
        // stored.
        self.advance(offset, need);
        self.pos = next;
        Ok(())
    }
}
