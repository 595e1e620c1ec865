// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Cache lines that are fetched before they are written.
//!
//! A line that the consumer has read is in its cache. The producer's first store to it waits until the other
//! processor has given it up, and the stores behind it wait too: they leave a processor in order. So a producer of
//! short entries works in windows of some lines. Where one begins, it asks for the lines of the next, which come
//! while it fills this one; and it stores a word to each line of this one, so that those which did not come, or were
//! taken back by a consumer that reads ahead, come together. (The kernel, as long as it is measured on an emulated
//! processor alone, does not ask.)

use super::super::{Layout, Memory};
use super::Producer;

/// Bytes of a window; in loom's models as much as their entries take.
const WINDOW_BYTES: u64 = if cfg!(loom) { 16 } else { 1024 };
/// Bytes of a line; in loom's models a word, so that they see every store that could be wrong.
const LINE_BYTES: u64 = if cfg!(loom) { 8 } else { 64 };
/// At most as much of the next slice is asked for: 64 lines.
const SLICE_BYTES: u64 = 4096;
/// With headers. Where lines come fast, longer entries pay more for the windows than they gain by them.
const SHORT_BYTES: u64 = if cfg!(loom) { 16 } else { 128 };

impl<M: Memory, L: Layout> Producer<M, L> {
    /// Sets `end` by what is known, for an entry that takes `need` bytes, which may be reserved already: to the end
    /// of the window in which a short entry ends, or else of the room.
    pub(super) fn set_end(&mut self, need: u64) {
        let past = self.pos.wrapping_add(need);
        let window_end = past.wrapping_add(past.wrapping_neg() % WINDOW_BYTES);
        let wanted = window_end.wrapping_sub(self.pos);
        let room = self.known_room();
        // INVARIANT: There is room for as much, as far as is known. Who overwrites gives up as much as it needs at
        // once, and no more.
        let end = if need <= SHORT_BYTES && wanted <= room && !self.overwrite {
            if wanted.wrapping_add(WINDOW_BYTES) <= room {
                self.ask_for(window_end, WINDOW_BYTES);
            }
            self.fetch_window(window_end.wrapping_sub(WINDOW_BYTES));
            window_end
        } else {
            self.pos.wrapping_add(room)
        };
        // INVARIANT: Also if there is something to say, and the entry may be reserved nevertheless.
        self.mark_fetched(end);
        self.end = if self.lost == 0 { end } else { self.pos };
    }

    /// Nothing before `end` is to be fetched from now on.
    #[inline(always)]
    pub(super) fn mark_fetched(&mut self, end: u64) {
        if end.wrapping_sub(self.fetched) <= self.geometry.data_bytes() {
            self.fetched = end;
        }
    }

    /// Asks for the lines of the next `bytes`, up to [`SLICE_BYTES`], as far as there is known room.
    #[inline(always)]
    pub(in super::super) fn ask_for_lines(&self, bytes: u64) {
        self.ask_for(self.pos, bytes.min(SLICE_BYTES).min(self.known_room()));
    }

    /// Asks for the lines of `bytes` from the position `begin` on.
    #[inline(always)]
    fn ask_for(&self, begin: u64, bytes: u64) {
        for offset in self.lines(begin, bytes) {
            self.memory.prefetch(offset);
        }
    }

    /// Writes a word to each line of the window that begins at `window`, if nothing of it was reserved yet; there is
    /// room for all of it.
    #[inline(always)]
    fn fetch_window(&mut self, window: u64) {
        if window.wrapping_sub(self.fetched) > self.geometry.data_bytes() {
            return;
        }
        for offset in self.lines(window, WINDOW_BYTES) {
            // SAFETY: `lap <= pos <= fetched <= window`, and the window ends at most `data_bytes` after `pos`, which
            // is less than as many after `lap`; all are multiples of 8. Nobody looks at what lies between `pos` and
            // where there is no room, and nothing was reserved beyond `fetched`.
            // ORDERING: as any write to that room, after the acquire load in `refresh` that found it (litmus: reuse, wrap).
            unsafe { self.memory.store_word(offset, 0) };
        }
    }

    /// Where the lines of `bytes` from the position `begin` on are in the data.
    #[inline(always)]
    fn lines(&self, begin: u64, bytes: u64) -> impl Iterator<Item = usize> {
        let begin = begin.wrapping_sub(self.lap);
        (0..bytes / LINE_BYTES).map(move |line| begin.wrapping_add(line * LINE_BYTES) as usize)
    }
}
