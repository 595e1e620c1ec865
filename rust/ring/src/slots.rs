// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Many entries of one length at once: one copy, since the data appear twice in a row.

use super::{Consumer, Error, Layout, Memory, Producer, Slots};

impl<M: Memory, const N: u32> Producer<M, Slots<N>> {
    /// Appends as many entries as there is room for, and returns how many; `bytes` holds one beside the
    /// other, and what is not a whole entry is left out. The consumer sees them after the next
    /// [`Self::publish`].
    ///
    /// # Errors
    ///
    /// [`Error::Full`]; [`Error::Corrupt`].
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
        // SAFETY: There is room for `taken` bytes from where the producer is; this is the producer.
        unsafe { self.write(self.offset(), &bytes[..taken as usize]) };
        self.skip(taken);
        // The next slice will be as long.
        self.ask_for_lines(taken);
        Ok((taken / Slots::<N>::ALIGN) as usize)
    }
}

impl<M: Memory, const N: u32> Consumer<M, Slots<N>> {
    /// Copies as many entries as there are to the front of `buffer`, one beside the other, releases them,
    /// and returns how many; no more than fit. The producer learns of it at the next [`Self::publish`].
    ///
    /// # Errors
    ///
    /// [`Error::Empty`]; [`Error::Corrupt`].
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
        // SAFETY: `taken` bytes lie before the producer's position; the buffer has as many.
        unsafe {
            self.memory()
                .read(self.offset(), buffer.as_mut_ptr(), taken as usize);
        }
        self.advance(taken);
        Ok((taken / Slots::<N>::ALIGN) as usize)
    }
}
