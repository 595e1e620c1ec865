// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Many entries in a row: the positions in registers.

use super::super::entry::{occupied_bytes, Entry, Header, ENTRY_OVERHEAD};
use super::super::geometry::wrapped;
use super::super::{Error, Memory};
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

impl<M: Memory> Consumer<M> {
    /// Releases up to `max` entries, after one call of `take` for each. `take` returns whether to
    /// release the entry; `false` leaves it and ends.
    ///
    /// As with [`Self::release`], the producer learns of it at the next [`Self::publish`].
    #[inline(always)]
    pub fn drain(&mut self, max: u64, mut take: impl FnMut(&M, Entry) -> bool) -> Drained {
        let size = self.geometry.data_bytes() as usize;
        let mut drained = Drained::default();
        let (mut pos, mut offset, mut peer) = (self.pos, self.offset, self.peer);
        while drained.entries < max {
            if pos == peer {
                if let Err(error) = self.refresh() {
                    drained.error = Some(error);
                    break;
                }
                peer = self.peer;
                if pos == peer {
                    break;
                }
            }
            // SAFETY: `offset` is a multiple of 8 below `data_bytes`.
            let word = unsafe { self.memory.load_word(offset) };
            let header = Header::from_word(word);
            // As in `peek`: from here on only the copy is used.
            let occupied = occupied_bytes(header.len);
            if occupied > peer.wrapping_sub(pos) {
                let error = found_corrupt(&mut self.bad_header, &mut self.corrupt, (pos, word));
                drained.error = Some(error);
                break;
            }
            // INVARIANT: The entry was just found to end at or before `peer`.
            let entry = Entry {
                offset: offset.wrapping_add(ENTRY_OVERHEAD as usize),
                header,
            };
            if !take(&self.memory, entry) {
                break;
            }
            // INVARIANT: As in `release`.
            pos = pos.wrapping_add(occupied);
            offset = wrapped(offset.wrapping_add(occupied as usize), size);
            drained.entries = drained.entries.wrapping_add(1);
            drained.bytes = drained.bytes.wrapping_add(u64::from(header.len));
        }
        if drained.entries > 0 {
            self.current = None;
        }
        (self.pos, self.offset) = (pos, offset);
        drained
    }
}
