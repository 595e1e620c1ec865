// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Takes many entries in a row, with the positions in registers.

use super::super::entry::{Entry, Header};
use super::super::geometry::wrapped;
use super::super::{Error, Layout, Memory};
use super::{found_corrupt, Consumer};

/// What [`Consumer::drain`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// The number of released entries.
    pub entries: u64,
    /// Their bytes, headers and padding not counted.
    pub bytes: u64,
    /// The error that ended the call early; `None` if it ended at `max`, at `take`, or at the last
    /// known entry.
    pub error: Option<Error>,
}

impl<M: Memory, L: Layout> Consumer<M, L> {
    /// Calls `take` for up to `max` entries, and releases each for which `take` returns true. The
    /// first entry for which it returns false stays, and ends the call.
    ///
    /// Loads the producer's position only at the start, and only if no entry is known. Each load
    /// takes the cache line of the position from the producer; a consumer that is as fast as its
    /// producer would do so for every entry.
    ///
    /// The producer may write over released entries after the next [`Self::publish`].
    #[inline(always)]
    pub fn drain(&mut self, max: u64, mut take: impl FnMut(&M, Entry) -> bool) -> Drained {
        let mut drained = Drained::default();
        if max != 0 && self.pos == self.peer {
            if let Err(error) = self.refresh() {
                drained.error = Some(error);
            }
        }
        self.drain_known(max, &mut take, &mut drained);
        if drained.entries > 0 {
            self.current = None;
        }
        drained
    }

    /// Drains the entries before `peer`. All that the loop needs stays in registers.
    #[inline(always)]
    fn drain_known(
        &mut self,
        max: u64,
        take: &mut impl FnMut(&M, Entry) -> bool,
        drained: &mut Drained,
    ) {
        let size = self.geometry.data_bytes() as usize;
        let (peer, mut offset) = (self.peer, self.offset());
        // Bytes before `peer` and entries to `max` count down, which saves a comparison for each
        // entry.
        let (mut left, mut wanted) = (peer.wrapping_sub(self.pos), max);
        while left != 0 && wanted != 0 {
            let entry = match L::FIXED {
                Some(len) => Entry {
                    offset,
                    header: Header::of(len),
                },
                None => {
                    // SAFETY: `offset` is a multiple of 8 below `data_bytes`.
                    let word = unsafe { self.memory.load_word(offset) };
                    let header = Header::from_word(word);
                    // From here on only the copy is used: the peer may change the word.
                    if L::occupied(header.len) > left {
                        let bad = (peer.wrapping_sub(left), word);
                        let error = found_corrupt(&mut self.bad_header, &mut self.corrupt, bad);
                        drained.error = Some(error);
                        break;
                    }
                    // INVARIANT: The check above shows that the entry ends at or before `peer`.
                    Entry {
                        offset: offset.wrapping_add(L::OVERHEAD as usize),
                        header,
                    }
                }
            };
            let occupied = L::occupied(entry.header.len);
            if !take(&self.memory, entry) {
                break;
            }
            // INVARIANT: The entry ends at or before `peer`, so `occupied <= left`.
            left = left.wrapping_sub(occupied);
            offset = wrapped(offset.wrapping_add(occupied as usize), size);
            wanted = wanted.wrapping_sub(1);
            drained.bytes = drained.bytes.wrapping_add(u64::from(entry.header.len));
        }
        let pos = peer.wrapping_sub(left);
        self.unpublished = self.unpublished.wrapping_add(pos.wrapping_sub(self.pos));
        (self.pos, self.lap) = (pos, pos.wrapping_sub(offset as u64));
        drained.entries = max - wanted;
    }
}
