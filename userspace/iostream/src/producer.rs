// SPDX-License-Identifier: MIT OR Apache-2.0

//! The producing end of an input queue.

mod waiting;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;

use iostream_ring::{Framed, Layout};

use crate::handle::Handle;
use crate::reservation::{Batch, Reservation};
use crate::sys::{Device, ProducerEnd};
use crate::{Counters, Direction, Error, Result, Wake};

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
/// # fn main() -> iostream::Result<()> {
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
pub struct Producer<L: Layout = Framed> {
    handle: Handle<ProducerEnd<L>>,
    /// Entries were committed, and the kernel cannot see them yet.
    unpublished: bool,
    /// The room at which poll reports this end as writable while no wait is in progress.
    poll_room: u64,
}

impl Producer {
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
        self.push(bytes)?;
        self.publish(wake)
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
        match self.handle.look(|end| end.fill(count, entry_bytes, fill))? {
            0 if count > 0 => Err(self.found_full()),
            appended => {
                self.publish(Wake::Normal)?;
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
            Ok(len) => self.handle.look(|end| end.can_push(len, count)),
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
        self.handle.look(|end| end.room())
    }

    /// Sets, replaces or removes the eventfd that is signalled when there is room again.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if the descriptor is not an eventfd; [`Error::Gone`] if the
    /// driver is gone.
    pub fn set_eventfd(&mut self, eventfd: Option<BorrowedFd<'_>>) -> Result<()> {
        self.handle.set_eventfd(eventfd)
    }

    /// Shows the kernel the entries of a [`Batch`] that was forgotten.
    ///
    /// # Errors
    ///
    /// One of the [common errors](Self#errors).
    pub fn flush(&mut self) -> Result<()> {
        if self.unpublished {
            self.publish(Wake::Normal)?;
        }
        Ok(())
    }

    /// Resets the queue. Entries that the kernel has not taken are lost.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`] if the driver is gone; [`Error::Busy`] while a read(2) or write(2) uses the
    /// queue.
    pub fn reset(&mut self) -> Result<()> {
        self.handle.reset()?;
        self.unpublished = false;
        Ok(())
    }

    /// Resumes with a queue that someone else has reset.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if a position of the queue is invalid.
    pub fn renew(&mut self) -> Result<()> {
        self.handle.renew()?;
        self.unpublished = false;
        Ok(())
    }

    /// Sets how often a wait looks at the queue before it sleeps.
    ///
    /// A larger number saves system calls and costs processor time. With 0 a wait sleeps immediately.
    pub fn set_spin(&mut self, looks: u32) {
        self.handle.spin = looks;
    }

    /// The length of the longest entry that the queue can hold, in bytes.
    pub fn max_entry_bytes(&self) -> usize {
        self.handle.max_entry_bytes()
    }

    /// The queue's generation when this producer was taken or renewed.
    pub fn generation(&self) -> u64 {
        self.handle.generation()
    }

    pub(crate) fn end(&self) -> &ProducerEnd {
        &self.handle.end
    }

    pub(crate) fn end_mut(&mut self) -> &mut ProducerEnd {
        &mut self.handle.end
    }

    #[inline]
    pub(crate) fn make_reservation(
        &mut self,
        len: usize,
        batched: bool,
    ) -> Result<Reservation<'_>> {
        self.check()?;
        let len = self.entry_len(len)?;
        match self.handle.look(|end| end.reserve(len)) {
            Ok(()) => Ok(Reservation::new(self, batched)),
            Err(Error::Full) => Err(self.found_full()),
            Err(error) => Err(error),
        }
    }

    /// Makes the first `len` reserved bytes an entry that the kernel cannot see yet.
    #[inline]
    pub(crate) fn commit(&mut self, len: usize) -> Result<()> {
        self.check()?;
        self.handle.look(|end| end.commit(len))?;
        self.unpublished = true;
        Ok(())
    }

    /// Shows the kernel everything that was committed, and wakes it as `wake` says.
    #[inline]
    pub(crate) fn publish(&mut self, wake: Wake) -> Result<()> {
        match (self.show(wake)?, wake) {
            (false, _) => Ok(()),
            (true, Wake::Force) => self.handle.device.notify_flushed(Direction::Input),
            (true, _) => self.handle.device.notify(Direction::Input),
        }
    }

    fn entry_len(&self, len: usize) -> Result<u32> {
        u32::try_from(len).map_err(|_| Error::TooLarge {
            max: self.max_entry_bytes(),
        })
    }
}

/// What streams use as well.
impl<L: Layout> Producer<L> {
    pub(crate) fn new(device: Arc<Device>, end: ProducerEnd<L>) -> Result<Self> {
        Ok(Self {
            handle: Handle::new(device, end)?,
            unpublished: false,
            poll_room: 0,
        })
    }

    /// The capacity of the queue in bytes, including the overhead of entries.
    pub fn capacity_bytes(&self) -> u64 {
        self.handle.capacity_bytes()
    }

    /// The kernel's counters of this queue. Makes no system call.
    pub fn counters(&self) -> Counters {
        self.handle.counters()
    }

    /// Appends an entry that the kernel cannot see yet.
    #[inline]
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.check()?;
        match self.handle.look(|end| end.push(bytes)) {
            Ok(()) => {
                self.unpublished = true;
                Ok(())
            }
            Err(Error::Full) => Err(self.found_full()),
            Err(error) => Err(error),
        }
    }

    /// Shows the kernel everything that was committed. Returns whether the caller must notify it.
    #[inline]
    pub(crate) fn show(&mut self, wake: Wake) -> Result<bool> {
        // After a reset the producer's page belongs to the new generation.
        self.handle.check_generation()?;
        self.handle.end.publish();
        self.unpublished = false;
        Ok(match wake {
            Wake::Normal => self.handle.end.must_wake(),
            Wake::Suppress => false,
            Wake::Force => {
                self.handle.end.must_wake();
                true
            }
        })
    }

    pub(crate) fn device(&self) -> Arc<Device> {
        self.handle.device.clone()
    }

    /// Wakes the kernel, if it sleeps, after an enqueue that failed. Returns the error to report.
    #[cold]
    fn found_full(&mut self) -> Error {
        self.handle.end.publish();
        self.unpublished = false;
        if self.handle.end.must_wake_full() {
            if let Err(error) = self.handle.device.notify_flushed(Direction::Input) {
                return error;
            }
        }
        Error::Full
    }

    #[inline]
    fn check(&self) -> Result<()> {
        self.handle.check_owner()?;
        if self.handle.info().gone() {
            return Err(Error::Gone);
        }
        self.handle.check_generation()
    }
}

impl<L: Layout> AsFd for Producer<L> {
    /// The session's descriptor, which poll reports as writable when there is room.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

impl<L: Layout> AsRawFd for Producer<L> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl<L: Layout> std::fmt::Debug for Producer<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.handle.debug("Producer", f)
    }
}
