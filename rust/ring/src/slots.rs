// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Many entries of one length in one copy, because the data appear twice in a row.

use super::{Consumer, Error, Layout, Memory, Producer, Slots};

impl<M: Memory, const N: u32> Producer<M, Slots<N>> {
    /// Appends the entries in `bytes`, as many as there is room for, and returns how many. The
    /// entries lie side by side; a part of an entry at the end is left out. The consumer sees them
    /// after the next [`Self::publish`].
    ///
    /// # Errors
    ///
    /// [`Error::Full`]: there is no room for one entry. [`Error::Corrupt`].
    #[inline]
    pub fn push_slice(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let wanted = bytes.len() as u64 & !(Slots::<N>::ALIGN - 1);
        let mut room = self.known_room();
        if room < wanted {
            room = self.room()?;
        }
        let taken = if room < wanted { room } else { wanted };
        if taken == 0 && wanted != 0 {
            return Err(Error::Full);
        }
        // SAFETY: There is room for `taken` bytes at the offset; this is the producer.
        unsafe { self.write(self.offset(), &bytes[..taken as usize]) };
        self.skip(taken);
        // The next slice is probably as long.
        self.ask_for_lines(taken);
        Ok((taken / Slots::<N>::ALIGN) as usize)
    }
}

impl<M: Memory, const N: u32> Consumer<M, Slots<N>> {
    /// Copies entries side by side to the front of `buffer`, as many as there are and fit, releases
    /// them, and returns how many. The producer learns of it at the next [`Self::publish`].
    ///
    /// # Errors
    ///
    /// [`Error::Empty`]: no entry waits. [`Error::Corrupt`].
    #[inline]
    pub fn pop_slice(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let wanted = buffer.len() as u64 & !(Slots::<N>::ALIGN - 1);
        let mut known = self.known();
        if known < wanted {
            self.available()?;
            known = self.known();
        }
        let taken = if known < wanted { known } else { wanted };
        if taken == 0 && wanted != 0 {
            return Err(Error::Empty);
        }
        // SAFETY: `taken` bytes lie before the producer's position; the buffer is at least as long.
        unsafe {
            self.memory()
                .read(self.offset(), buffer.as_mut_ptr(), taken as usize);
        }
        self.advance(taken);
        Ok((taken / Slots::<N>::ALIGN) as usize)
    }
}
