// SPDX-License-Identifier: MIT OR Apache-2.0

//! The producing end of an input queue.

mod waiting;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;

use zerocopy::{Immutable, IntoBytes};

use crate::outgoing::Outgoing;
use crate::reservation::{Batch, Reservation};
use crate::sys::{Device, ProducerEnd};
use crate::{Counters, Error, Result, Wake};

/// The producing end of an input queue: entries from this process to the kernel.
///
/// A producer can be sent to another thread but not shared between threads, since a queue has one
/// producer:
///
/// ```compile_fail,E0277
/// fn shared<T: Sync>() {}
/// shared::<iostream::Producer>();
/// ```
///
/// # Errors
///
/// Unless its documentation says otherwise, each method can fail with
///
/// - [`Error::Forked`] in a child of the process that took the producer: see [Fork](crate#fork);
/// - [`Error::Gone`] once the driver is gone;
/// - [`Error::Stale`] once someone else has reset the queue: see [`Self::renew`];
/// - [`Error::Corrupt`] if the kernel's position is invalid.
///
/// # Examples
///
/// ```no_run
/// # fn main() -> std::io::Result<()> {
/// # let session = iostream::Setup::sink().open()?;
/// let mut producer = session.producer()?;
/// producer.enqueue(b"by copy")?;
///
/// let mut entry = producer.reserve(4)?;
/// entry.copy_from_slice(b"done");
/// entry.commit()?;
/// # Ok(())
/// # }
/// ```
pub struct Producer {
    queue: Outgoing,
    /// The room at which poll reports this end as writable while no wait is in progress.
    poll_room: u64,
}

impl Producer {
    pub(crate) fn new(device: Arc<Device>, end: ProducerEnd) -> Result<Self> {
        Ok(Self {
            queue: Outgoing::new(device, end)?,
            poll_room: 0,
        })
    }

    /// Copies `bytes` into the queue as one entry, and wakes the kernel if it sleeps.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] if the entry does not fit now; [`Error::TooLarge`] if it can never fit; or
    /// one of the [common errors](Self#errors). In each case nothing is written.
    #[inline]
    pub fn enqueue(&mut self, bytes: &[u8]) -> Result<()> {
        self.enqueue_with(bytes, Wake::Normal)
    }

    /// Copies `bytes` into the queue as one entry; `wake` decides whether the kernel is woken.
    ///
    /// If the queue is full, the kernel is woken if it sleeps, whatever `wake` says.
    ///
    /// # Errors
    ///
    /// Those of [`Self::enqueue`].
    #[inline]
    pub fn enqueue_with(&mut self, bytes: &[u8], wake: Wake) -> Result<()> {
        self.queue.push(bytes)?;
        self.queue.publish(wake)
    }

    /// Copies a value into the queue as one entry, and wakes the kernel if it sleeps.
    ///
    /// # Errors
    ///
    /// Those of [`Self::enqueue`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use iostream::zerocopy::{Immutable, IntoBytes};
    ///
    /// #[derive(IntoBytes, Immutable)]
    /// #[repr(C)]
    /// struct Order {
    ///     channel: u32,
    ///     millivolts: i32,
    /// }
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let session = iostream::Setup::sink().open()?;
    /// let mut producer = session.producer()?;
    /// producer.enqueue_value(&Order { channel: 1, millivolts: -20 })?;
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn enqueue_value<T: IntoBytes + Immutable + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.enqueue(value.as_bytes())
    }

    /// Reserves room for an entry of `len` bytes, to be filled in place.
    ///
    /// The bytes are not zeroed: they may be those of earlier entries. A reservation that is
    /// dropped or forgotten changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] if the entry does not fit now; [`Error::TooLarge`] if it can never fit; or
    /// one of the [common errors](Self#errors).
    #[inline]
    pub fn reserve(&mut self, len: usize) -> Result<Reservation<'_>> {
        self.make_reservation(len, false)
    }

    /// Appends up to `count` entries of `len` bytes, each filled in place by a call of `fill`.
    /// Returns how many it appended, which is as many as fit.
    ///
    /// This is the fastest way to produce. The kernel sees the entries, and is woken, once at the
    /// end. The bytes are not zeroed: they may be those of earlier entries.
    ///
    /// If `fill` panics, the current entry is not appended; earlier entries of this call may be.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] if not even one entry fits now; [`Error::TooLarge`] if it can never fit; or
    /// one of the [common errors](Self#errors).
    #[inline]
    pub fn enqueue_in_place(
        &mut self,
        count: u64,
        len: usize,
        fill: impl FnMut(&mut [u8]),
    ) -> Result<u64> {
        self.check()?;
        let entry_bytes = self.entry_len(len)?;
        match self
            .queue
            .handle
            .look(|end| end.fill(count, entry_bytes, fill))?
        {
            0 if count > 0 => Err(self.queue.found_full()),
            appended => {
                self.queue.publish(Wake::Normal)?;
                Ok(appended)
            }
        }
    }

    /// Starts a batch: the kernel sees all its entries, and is woken, once at its end.
    #[inline]
    pub fn batch(&mut self) -> Batch<'_> {
        Batch::new(self)
    }

    /// Whether `count` entries of `len` bytes fit now.
    ///
    /// # Errors
    ///
    /// One of the [common errors](Self#errors).
    pub fn can_enqueue(&mut self, len: usize, count: u64) -> Result<bool> {
        self.check()?;
        match u32::try_from(len) {
            Ok(len) => self.queue.handle.look(|end| end.can_push(len, count)),
            Err(_) => Ok(count == 0),
        }
    }

    /// How many bytes are free. Each entry takes its length plus 8, rounded up to a multiple of 8.
    ///
    /// # Errors
    ///
    /// One of the [common errors](Self#errors).
    #[inline]
    pub fn room_bytes(&mut self) -> Result<u64> {
        self.check()?;
        self.queue.handle.look(|end| end.room())
    }

    /// Sets, replaces or removes the eventfd that is signalled when there is room again.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if the descriptor is not an eventfd; [`Error::Gone`] if the
    /// driver is gone.
    pub fn set_eventfd(&mut self, eventfd: Option<BorrowedFd<'_>>) -> Result<()> {
        self.queue.handle.set_eventfd(eventfd)
    }

    /// Shows the kernel the entries of a [`Batch`] that was forgotten.
    ///
    /// # Errors
    ///
    /// One of the [common errors](Self#errors).
    pub fn flush(&mut self) -> Result<()> {
        self.queue.flush()
    }

    /// Resets the queue. Entries that the kernel has not taken are lost.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`] if the driver is gone; [`Error::Busy`] while a read(2) or write(2) uses the
    /// queue.
    pub fn reset(&mut self) -> Result<()> {
        self.queue.reset()
    }

    /// Resumes with a queue that someone else has reset.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if a position of the queue is invalid.
    pub fn renew(&mut self) -> Result<()> {
        self.queue.renew()
    }

    /// Sets how often a wait looks at the queue before it sleeps.
    ///
    /// A larger number saves system calls and costs processor time. With 0 a wait sleeps immediately.
    pub fn set_spin(&mut self, looks: u32) {
        self.queue.handle.spin = looks;
    }

    /// The length of the longest entry that the queue can hold, in bytes.
    pub fn max_entry_bytes(&self) -> usize {
        self.queue.handle.max_entry_bytes()
    }

    /// The queue's generation when this producer was taken or renewed.
    pub fn generation(&self) -> u64 {
        self.queue.handle.generation()
    }

    pub(crate) fn end(&self) -> &ProducerEnd {
        &self.queue.handle.end
    }

    pub(crate) fn end_mut(&mut self) -> &mut ProducerEnd {
        &mut self.queue.handle.end
    }

    #[inline]
    pub(crate) fn make_reservation(
        &mut self,
        len: usize,
        batched: bool,
    ) -> Result<Reservation<'_>> {
        self.check()?;
        let len = self.entry_len(len)?;
        match self.queue.handle.look(|end| end.reserve(len)) {
            Ok(()) => Ok(Reservation::new(self, batched)),
            Err(Error::Full) => Err(self.queue.found_full()),
            Err(error) => Err(error),
        }
    }

    /// Makes the first `len` reserved bytes an entry that the kernel cannot see yet.
    #[inline]
    pub(crate) fn commit(&mut self, len: usize) -> Result<()> {
        self.queue.commit(len)
    }

    /// Shows the kernel everything that was committed, and wakes it as `wake` says.
    #[inline]
    pub(crate) fn publish(&mut self, wake: Wake) -> Result<()> {
        self.queue.publish(wake)
    }

    fn entry_len(&self, len: usize) -> Result<u32> {
        u32::try_from(len).map_err(|_| Error::TooLarge {
            max: self.max_entry_bytes(),
        })
    }

    /// The capacity of the queue in bytes, including the overhead of entries.
    pub fn capacity_bytes(&self) -> u64 {
        self.queue.handle.capacity_bytes()
    }

    /// The kernel's counters of this queue. Makes no system call.
    pub fn counters(&self) -> Counters {
        self.queue.handle.counters()
    }

    /// Appends an entry that the kernel cannot see yet.
    #[inline]
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.queue.push(bytes)
    }

    #[inline]
    fn check(&self) -> Result<()> {
        self.queue.check()
    }
}

impl AsFd for Producer {
    /// The session's descriptor, which poll reports as writable when there is room.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.handle.as_fd()
    }
}

impl AsRawFd for Producer {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.queue.handle.debug("Producer", f)
    }
}
