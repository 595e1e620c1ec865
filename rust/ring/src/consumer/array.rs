// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Entries that all have the same length, as in the queues of streams.

use super::super::entry::{occupied_bytes, Header, ENTRY_OVERHEAD};
use super::super::{Error, Memory};
use super::Consumer;

impl<M: Memory> Consumer<M> {
    /// Takes the next entry if it has just `N` bytes: what [`Self::pop`] does, with its length known
    /// to the compiler.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`]; [`Error::TooSmall`]: it has another length, and stays; [`Error::Corrupt`].
    #[inline(always)]
    pub fn pop_array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        const { assert!(N <= u32::MAX as usize) };
        let header = Header::of(N as u32);
        let (pos, mut peer) = (self.pos, self.peer);
        if pos == peer {
            peer = self.refresh()?;
            if pos == peer {
                return Err(Error::Empty);
            }
        }
        let known = peer.wrapping_sub(pos);
        // An entry of this length that lies before `peer` is not too long for the ring.
        // SAFETY: `offset` is a multiple of 8 below `data_bytes`.
        let word = unsafe { self.memory.load_word(self.offset) };
        if known < occupied_bytes(N as u32) || word != header.to_word() {
            return self.pop_other();
        }
        let array = self.read_array(self.offset.wrapping_add(ENTRY_OVERHEAD as usize));
        self.current = None;
        // INVARIANT: It was just found to end at or before `peer`.
        self.advance(occupied_bytes(N as u32));
        Ok(array)
    }

    /// Whatever is not an entry of `N` bytes and nothing else to say.
    #[cold]
    fn pop_other<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let entry = self.peek()?;
        if entry.len() != N {
            return Err(Error::TooSmall {
                needed: entry.header.len,
            });
        }
        let array = self.read_array(entry.offset);
        self.release();
        Ok(array)
    }

    /// The `N` bytes at `offset`, which lie in an entry that was checked.
    #[inline(always)]
    fn read_array<const N: usize>(&self, offset: usize) -> [u8; N] {
        let mut array = [0; N];
        // SAFETY: Entries begin at multiples of 8, and their header has 8 bytes.
        unsafe { core::hint::assert_unchecked(offset % 8 == 0) };
        // SAFETY: In an entry that was checked; the array has as many bytes.
        unsafe { self.memory.read(offset, array.as_mut_ptr(), N) };
        array
    }
}
