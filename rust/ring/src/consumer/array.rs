// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Takes entries whose length the compiler knows, with headers or without.

use super::super::entry::Header;
use super::super::{Error, Layout, Memory};
use super::Consumer;

impl<M: Memory, L: Layout> Consumer<M, L> {
    /// Takes the next entry if it has exactly `N` bytes. Does what [`Self::pop`] does, for a length
    /// that the compiler knows.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`]. [`Error::TooSmall`]: the entry has another length, and stays.
    /// [`Error::Corrupt`].
    #[inline(always)]
    pub fn pop_array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let array = self.next_array()?;
        // INVARIANT: `next_array` has checked that the entry ends at or before `peer`.
        self.advance(L::occupied(N as u32));
        Ok(array)
    }

    /// [`Self::pop_array`] and [`Self::publish`] in one call.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`]. [`Error::TooSmall`]: the entry has another length, and stays.
    /// [`Error::Corrupt`].
    #[inline(always)]
    pub fn pop_array_and_publish<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let array = self.next_array()?;
        // INVARIANT: `next_array` has checked that the entry ends at or before `peer`.
        self.advance_and_publish(L::occupied(N as u32));
        Ok(array)
    }

    /// Checks the next entry and returns a copy of it. The caller then moves past it.
    #[inline(always)]
    fn next_array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        const {
            assert!(match L::FIXED {
                Some(len) => len as usize == N,
                None => N <= u32::MAX as usize,
            });
        };
        let (pos, mut peer) = (self.pos, self.peer);
        if pos == peer {
            peer = self.refresh()?;
        }
        let known = peer.wrapping_sub(pos);
        if known == 0 {
            return Err(Error::Empty);
        }
        // Without headers there is a whole entry, because positions are multiples of `N`.
        let offset = self.offset();
        if L::FIXED.is_none() {
            // An entry that ends at or before `peer` is not too long for the ring.
            // SAFETY: `offset` is a multiple of 8 below `data_bytes`.
            let word = unsafe { self.memory.load_word(offset) };
            if known < L::occupied(N as u32) || word != Header::of(N as u32).to_word() {
                return self.next_array_slow();
            }
            self.current = None;
        }
        Ok(self.read_array(offset.wrapping_add(L::OVERHEAD as usize)))
    }

    /// [`Self::next_array`] for all but an entry of `N` bytes without flags.
    #[cold]
    fn next_array_slow<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let array = self.peek_array()?;
        self.current = None;
        Ok(array)
    }

    /// Returns a copy of the next entry if it has exactly `N` bytes. The entry stays in the ring.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`]. [`Error::TooSmall`]: the entry has another length. [`Error::Corrupt`].
    #[inline(always)]
    pub fn peek_array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let entry = self.peek()?;
        if entry.len() != N {
            return Err(Error::TooSmall {
                needed: entry.header.len,
            });
        }
        Ok(self.read_array(entry.offset))
    }

    /// The `N` bytes at `offset`, in an entry that was checked.
    #[inline(always)]
    fn read_array<const N: usize>(&self, offset: usize) -> [u8; N] {
        let mut array = [0; N];
        // SAFETY: Entries begin at multiples of 8, and a header has 8 bytes.
        unsafe { core::hint::assert_unchecked(offset % 8 == 0) };
        // SAFETY: The bytes lie in an entry that was checked, and the array has `N` bytes.
        unsafe { self.memory.read(offset, array.as_mut_ptr(), N) };
        array
    }
}
