// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Overwriting mode: the producer never waits, and gives up the oldest entries instead.

use super::super::entry::Header;
use super::super::sync::write_barrier;
use super::super::{Layout, Memory};
use super::Producer;

impl<M: Memory, L: Layout> Producer<M, L> {
    /// Overwriting mode: the number of entries that were given up for newer ones since the last
    /// call.
    #[inline(always)]
    pub fn take_overwritten(&mut self) -> u64 {
        core::mem::take(&mut self.overwritten)
    }

    /// Overwriting mode: moves `oldest` over whole entries until `need` bytes are free.
    pub(super) fn give_up_oldest(&mut self, need: u64) {
        let size = self.geometry.data_bytes();
        while self.known_room() < need {
            if self.oldest == self.published_pos() {
                // Entries that were committed and not published are given up like all others, in
                // order.
                self.publish();
            }
            // SAFETY: `oldest_offset` is a multiple of 8 below `data_bytes`.
            let word = unsafe { self.memory.load_word(self.oldest_offset) };
            let step = L::occupied(L::FIXED.unwrap_or(Header::from_word(word).len));
            let left = self.pos.wrapping_sub(self.oldest);
            // Only this side writes the data, so the header should be valid. Nothing depends on
            // that: a step past the last entry gives up all entries.
            let step = if step > left { left } else { step };
            self.oldest = self.oldest.wrapping_add(step);
            self.oldest_offset += step as usize;
            if self.oldest_offset >= size as usize {
                self.oldest_offset -= size as usize;
            }
            self.overwritten += 1;
        }
        self.set_end(need);
        // ORDERING: release pairs with the acquire load in `OverwriteReader::skip_overwritten`:
        // `oldest_pos` is never seen ahead of `producer_pos`. The barrier pairs with the read
        // barrier in `OverwriteReader::read`: a reader that sees a byte of the new entry also sees
        // that the old one was given up (litmus: overwrite, overwrite-positions).
        self.memory.oldest_pos().store_release(self.oldest);
        write_barrier();
    }
}
