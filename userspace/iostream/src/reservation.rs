// SPDX-License-Identifier: MIT OR Apache-2.0

//! Entries that are written in place, and batches of entries.

use std::ops::{Deref, DerefMut};

use zerocopy::{Immutable, IntoBytes};

#[cfg(doc)]
use crate::Error;
use crate::{Producer, Result, Wake};

/// Room for one entry in the queue's own memory, to be filled and committed.
///
/// A reservation that is dropped, discarded or forgotten changes nothing. It borrows the producer,
/// so there is one at a time, and it cannot outlive the producer:
///
/// ```compile_fail,E0499
/// # fn main() -> std::io::Result<()> {
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
/// # fn main() -> std::io::Result<()> {
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

    /// Appends the whole reservation as an entry.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`] if the driver is gone; [`Error::Stale`] if someone else has reset the queue.
    #[inline]
    pub fn commit(self) -> Result<()> {
        let len = self.len();
        self.commit_len_with(len, Wake::Normal)
    }

    /// Appends the first `len` bytes as an entry.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if the reservation is shorter; [`Error::Gone`] if the driver is
    /// gone; [`Error::Stale`] if someone else has reset the queue.
    #[inline]
    pub fn commit_len(self, len: usize) -> Result<()> {
        self.commit_len_with(len, Wake::Normal)
    }

    /// Appends the first `len` bytes as an entry; `wake` decides whether the kernel is woken.
    ///
    /// In a batch `wake` has no effect, since the batch wakes the kernel at its end.
    ///
    /// # Errors
    ///
    /// Those of [`Self::commit_len`].
    #[inline]
    pub fn commit_len_with(self, len: usize, wake: Wake) -> Result<()> {
        self.producer.commit(len)?;
        if self.batched {
            return Ok(());
        }
        self.producer.publish(wake)
    }

    /// Gives up the room. Dropping the reservation does the same.
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

/// A batch of entries: the kernel sees all of them, and is woken, once when the batch ends.
///
/// If the queue is full, the kernel sees the entries immediately, and is woken if it sleeps. If a batch
/// is forgotten, the kernel sees its entries with the next one.
///
/// # Examples
///
/// ```no_run
/// # fn main() -> std::io::Result<()> {
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

    /// Copies `bytes` into the queue as one entry.
    ///
    /// # Errors
    ///
    /// Those of [`Producer::enqueue`].
    #[inline]
    pub fn enqueue(&mut self, bytes: &[u8]) -> Result<()> {
        self.producer.push(bytes)
    }

    /// Copies a value into the queue as one entry.
    ///
    /// # Errors
    ///
    /// Those of [`Producer::enqueue`].
    #[inline]
    pub fn enqueue_value<T: IntoBytes + Immutable + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.enqueue(value.as_bytes())
    }

    /// Reserves room for an entry of `len` bytes, to be filled in place.
    ///
    /// # Errors
    ///
    /// Those of [`Producer::reserve`].
    #[inline]
    pub fn reserve(&mut self, len: usize) -> Result<Reservation<'_>> {
        self.producer.make_reservation(len, true)
    }

    /// How many bytes are free, counted as by [`Producer::room_bytes`].
    ///
    /// # Errors
    ///
    /// Those of [`Producer::room_bytes`].
    pub fn room_bytes(&mut self) -> Result<u64> {
        self.producer.room_bytes()
    }

    /// Ends the batch. Dropping the batch does the same, but ignores an error.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`] if the driver is gone; [`Error::Stale`] if someone else has reset the queue.
    pub fn finish(self) -> Result<()> {
        self.producer.flush()
        // The drop that follows has nothing left to publish.
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        // `finish` reports this error, and so does the next operation.
        let _ = self.producer.flush();
    }
}
