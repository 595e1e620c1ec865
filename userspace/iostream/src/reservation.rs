// SPDX-License-Identifier: MIT OR Apache-2.0

//! Entries in the making: reserved in place, and in batches.

use std::ops::{Deref, DerefMut};

use crate::{Producer, Result, Wake};

/// Room for one entry in the queue's own memory, to be filled and committed.
///
/// Dropped, discarded or forgotten, it changes nothing. It borrows the producer, so there is one
/// at a time, and it does not leave the producer's scope:
///
/// ```compile_fail,E0499
/// # fn main() -> iostream::Result<()> {
/// # let session = iostream::Setup::sink().open()?;
/// let mut producer = session.producer()?;
/// let first = producer.reserve(1)?;
/// let second = producer.reserve(1)?; // `producer` is borrowed
/// first.commit()?;
/// # Ok(())
/// # }
/// ```
///
/// ```compile_fail,E0597
/// # fn main() -> iostream::Result<()> {
/// # let session = iostream::Setup::sink().open()?;
/// let mut producer = session.producer()?;
/// let entry = producer.reserve(1)?;
/// std::thread::spawn(move || entry.commit()); // `producer` may be gone by then
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a reservation that is not committed changes nothing"]
pub struct Reservation<'a> {
    producer: &'a mut Producer,
    batched: bool,
}

impl<'a> Reservation<'a> {
    #[inline]
    pub(crate) fn new(producer: &'a mut Producer, batched: bool) -> Self {
        Self { producer, batched }
    }

    /// Appends the entry as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`](crate::Error::Gone), [`Error::Stale`](crate::Error::Stale).
    #[inline]
    pub fn commit(self) -> Result<()> {
        let len = self.len();
        self.commit_len_with(len, Wake::Normal)
    }

    /// Appends an entry of the first `len` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if more than was reserved;
    /// [`Error::Gone`](crate::Error::Gone), [`Error::Stale`](crate::Error::Stale).
    #[inline]
    pub fn commit_len(self, len: usize) -> Result<()> {
        self.commit_len_with(len, Wake::Normal)
    }

    /// As [`Self::commit_len`], with a say in whether the other side is woken. In a batch, it is
    /// the batch that has the say.
    ///
    /// # Errors
    ///
    /// As [`Self::commit_len`].
    #[inline]
    pub fn commit_len_with(self, len: usize, wake: Wake) -> Result<()> {
        self.producer.commit(len)?;
        if self.batched {
            return Ok(());
        }
        self.producer.publish(wake)
    }

    /// Gives the room up.
    pub fn discard(self) {}
}

impl Deref for Reservation<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.producer.end().reserved()
    }
}

impl DerefMut for Reservation<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        self.producer.end_mut().reserved_mut()
    }
}

/// Many entries, shown to the other side at once when the batch ends.
///
/// If the queue is found full, what is there is shown at once and a sleeping other side is woken.
/// A batch that is forgotten is shown with the next entry.
///
/// # Examples
///
/// ```no_run
/// # fn main() -> iostream::Result<()> {
/// # let session = iostream::Setup::sink().open()?;
/// # let mut producer = session.producer()?;
/// let mut batch = producer.batch();
/// for line in ["one", "two", "three"] {
///     batch.enqueue(line.as_bytes())?;
/// }
/// batch.finish()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Batch<'a> {
    producer: &'a mut Producer,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(producer: &'a mut Producer) -> Self {
        Self { producer }
    }

    /// As [`Producer::enqueue`].
    ///
    /// # Errors
    ///
    /// As [`Producer::enqueue`].
    #[inline]
    pub fn enqueue(&mut self, bytes: &[u8]) -> Result<()> {
        self.producer.push(bytes)
    }

    /// As [`Producer::reserve`].
    ///
    /// # Errors
    ///
    /// As [`Producer::reserve`].
    #[inline]
    pub fn reserve(&mut self, len: usize) -> Result<Reservation<'_>> {
        self.producer.make_reservation(len, true)
    }

    /// Free bytes, as [`Producer::room_bytes`].
    ///
    /// # Errors
    ///
    /// As [`Producer::room_bytes`].
    pub fn room_bytes(&mut self) -> Result<u64> {
        self.producer.room_bytes()
    }

    /// Ends the batch. Dropping it does the same and keeps an error to itself.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`](crate::Error::Gone), [`Error::Stale`](crate::Error::Stale).
    pub fn finish(self) -> Result<()> {
        self.producer.flush()
        // The drop that follows finds nothing left to show.
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        // Whoever wants to know calls `finish`; the next operation meets the same error.
        let _ = self.producer.flush();
    }
}
