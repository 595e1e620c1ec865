// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Cache lines that are fetched before they are written.
//!
//! A line that the consumer has read is in the consumer's cache. The producer's first store to it
//! waits until the other processor has given it up, and all later stores wait, too, because stores
//! leave a processor in order. So a producer of short entries works in windows of some lines. At
//! the start of a window it asks for the lines of the next one, which come while it fills this one.
//! It also stores a word to each line of this window: the lines that did not come, or that a
//! consumer took back by reading ahead, then come together. BENCHMARKS.md has the measurements.

use super::super::{Layout, Memory};
use super::Producer;

/// Bytes of a window; in loom's models as many as an entry takes.
const WINDOW_BYTES: u64 = if cfg!(loom) { 16 } else { 1024 };
/// Bytes of a line; in loom's models a word, so that they check every store.
const LINE_BYTES: u64 = if cfg!(loom) { 8 } else { 64 };
/// The most bytes of the next slice that are asked for: 64 lines.
const SLICE_BYTES: u64 = 4096;
/// The longest entry, header included, that uses windows. Where lines come fast, windows cost
/// longer entries more than they gain.
const SHORT_BYTES: u64 = if cfg!(loom) { 16 } else { 128 };

impl<M: Memory, L: Layout> Producer<M, L> {
    /// Sets `end` for an entry that takes `need` bytes of known room, which may be reserved
    /// already: to the end of the window in which a short entry ends, otherwise to the end of the
    /// known room.
    pub(super) fn set_end(&mut self, need: u64) {
        let past = self.pos.wrapping_add(need);
        let window_end = past.wrapping_add(past.wrapping_neg() % WINDOW_BYTES);
        let wanted = window_end.wrapping_sub(self.pos);
        let room = self.known_room();
        // INVARIANT: The room up to `end` is known. An overwriting producer uses no windows,
        // because it gives up only as many bytes as it needs at once.
        let end = if need <= SHORT_BYTES && wanted <= room && !self.overwrite {
            if wanted.wrapping_add(WINDOW_BYTES) <= room {
                self.ask_for(window_end, WINDOW_BYTES);
            }
            self.fetch_window(window_end.wrapping_sub(WINDOW_BYTES));
            window_end
        } else {
            self.pos.wrapping_add(room)
        };
        // INVARIANT: `fetched` also covers the entry if `lost` is not 0, since it may be reserved.
        self.mark_fetched(end);
        self.end = if self.lost == 0 { end } else { self.pos };
    }

    /// Notes that no line before `end` needs to be fetched from now on.
    #[inline(always)]
    pub(super) fn mark_fetched(&mut self, end: u64) {
        if end.wrapping_sub(self.fetched) <= self.geometry.data_bytes() {
            self.fetched = end;
        }
    }

    /// Asks for the lines of the next `bytes` of known room, up to [`SLICE_BYTES`].
    #[inline(always)]
    pub(in super::super) fn ask_for_lines(&self, bytes: u64) {
        self.ask_for(self.pos, bytes.min(SLICE_BYTES).min(self.known_room()));
    }

    /// Asks for the lines of `bytes` from position `begin` on.
    #[inline(always)]
    fn ask_for(&self, begin: u64, bytes: u64) {
        for offset in self.lines(begin, bytes) {
            self.memory.prefetch(offset);
        }
    }

    /// Writes a word to each line of the window at position `window`, unless a part of it was
    /// reserved before. There is room for the whole window.
    #[inline(always)]
    fn fetch_window(&mut self, window: u64) {
        if window.wrapping_sub(self.fetched) > self.geometry.data_bytes() {
            return;
        }
        for offset in self.lines(window, WINDOW_BYTES) {
            // SAFETY: `lap <= pos <= fetched <= window`. The window ends at most `data_bytes` after
            // `pos`, and `pos` is less than `data_bytes` after `lap`, so offsets are below
            // `2 * data_bytes`; all are multiples of 8. The consumer does not read the room, and no
            // reservation reaches beyond `fetched`.
            // ORDERING: like any write to the room, after the acquire load in `refresh` that found
            // it (litmus: reuse, wrap).
            unsafe { self.memory.store_word(offset, 0) };
        }
    }

    /// The offsets in the data of the lines of `bytes` from position `begin` on.
    #[inline(always)]
    fn lines(&self, begin: u64, bytes: u64) -> impl Iterator<Item = usize> {
        let begin = begin.wrapping_sub(self.lap);
        (0..bytes / LINE_BYTES).map(move |line| begin.wrapping_add(line * LINE_BYTES) as usize)
    }
}
