// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Many entries in a row: the positions in registers.

use super::super::entry::{Entry, Header};
use super::super::geometry::wrapped;
use super::super::{Error, Layout, Memory};
use super::{found_corrupt, Consumer};

/// What [`Consumer::drain`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Entries that were released.
    pub entries: u64,
    /// Their bytes, headers and padding not counted.
    pub bytes: u64,
    /// What ended it before its time, if not an empty ring.
    pub error: Option<Error>,
}

impl<M: Memory, L: Layout> Consumer<M, L> {
    /// Releases up to `max` entries, after one call of `take` for each. `take` returns whether to
    /// release the entry; `false` leaves it and ends.
    ///
    /// Looks at the producer's position if it knows of no entry, and not again after the last one that it
    /// knows of: with each look a consumer that is as fast as its producer takes the position's cache line
    /// from it, for one entry.
    ///
    /// As with [`Self::release`], the producer learns of it at the next [`Self::publish`].
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

    /// The entries before `peer`. All that the loop needs stays in registers.
    #[inline(always)]
    fn drain_known(
        &mut self,
        max: u64,
        take: &mut impl FnMut(&M, Entry) -> bool,
        drained: &mut Drained,
    ) {
        let size = self.geometry.data_bytes() as usize;
        let (peer, mut offset) = (self.peer, self.offset());
        // Both count down, which is a comparison less for each: bytes before `peer`, entries to `max`.
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
                    // As in `peek`: from here on only the copy is used.
                    if L::occupied(header.len) > left {
                        let bad = (peer.wrapping_sub(left), word);
                        let error = found_corrupt(&mut self.bad_header, &mut self.corrupt, bad);
                        drained.error = Some(error);
                        break;
                    }
                    // INVARIANT: The entry was just found to end at or before `peer`.
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
            // INVARIANT: As in `release`.
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
