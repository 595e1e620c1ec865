// SPDX-License-Identifier: MIT OR Apache-2.0

//! The producing end of an input queue.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use iostream_ring::{Framed, Layout};

use crate::notify::{Deadline, DEFAULT_SPIN};
use crate::reservation::{Batch, Reservation};
use crate::sys::{Device, ProducerEnd};
use crate::{Counters, Direction, Error, Result, Wake};

/// How long a wait for a good deal of room lasts before any room that does is taken.
const PATIENCE: Duration = Duration::from_millis(1);

/// The producing end of an input queue: entries from this process to the kernel.
///
/// It may be sent to another thread, but not be shared: there is one producer.
///
/// ```compile_fail,E0277
/// fn shared<T: Sync>() {}
/// shared::<iostream::Producer>();
/// ```
///
/// An operation fails with [`Error::Gone`] once the driver is gone, with [`Error::Stale`] once
/// the queue was reset behind its back (then see [`Self::renew`]), with [`Error::Corrupt`] if the
/// kernel's position cannot be right.
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
    device: Arc<Device>,
    end: ProducerEnd<L>,
    /// Of the queue when this handle was made or renewed.
    generation: u64,
    /// Entries were committed and not yet shown.
    unpublished: bool,
    spin: u32,
    /// The room at which poll reports this end as writable when nobody waits here.
    poll_room: u64,
}

impl Producer {
    /// Appends one entry by copy and wakes the other side if it sleeps.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], and nothing is written; [`Error::TooLarge`]. See also the type.
    #[inline]
    pub fn enqueue(&mut self, bytes: &[u8]) -> Result<()> {
        self.enqueue_with(bytes, Wake::Normal)
    }

    /// As [`Self::enqueue`], with a say in whether the other side is woken.
    ///
    /// If the queue is full, a sleeping other side is woken whatever `wake` says.
    ///
    /// # Errors
    ///
    /// As [`Self::enqueue`].
    #[inline]
    pub fn enqueue_with(&mut self, bytes: &[u8], wake: Wake) -> Result<()> {
        self.push(bytes)?;
        self.publish(wake)
    }

    /// As [`Self::enqueue`], but waits for room.
    ///
    /// It does not wait for the last byte alone: for up to a millisecond it waits until a quarter
    /// of the queue is free, so that the two sides do not wake each other for every entry.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], and nothing is written; [`Error::TooLarge`]. See also the type.
    pub fn enqueue_wait(&mut self, bytes: &[u8], timeout: Option<Duration>) -> Result<()> {
        match self.enqueue(bytes) {
            Err(Error::Full) => {}
            done => return done,
        }
        let need = iostream_ring::occupied_bytes(self.entry_len(bytes.len())?);
        let deadline = Deadline::after(timeout);
        loop {
            self.wait_room_until(need, self.capacity_bytes() / 4, deadline)?;
            match self.enqueue(bytes) {
                Err(Error::Full) => {}
                done => return done,
            }
        }
    }

    /// Makes room for an entry of `len` bytes, to be filled in place.
    ///
    /// The bytes may be those of earlier entries. Dropped or forgotten, the reservation changes
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::TooLarge`]. See also the type.
    #[inline]
    pub fn reserve(&mut self, len: usize) -> Result<Reservation<'_>> {
        self.make_reservation(len, false)
    }

    /// Appends up to `count` entries of `len` bytes, each filled in place by a call of `fill`; they
    /// are shown, and the other side is woken, once, at the end. Returns how many there was room
    /// for.
    ///
    /// It is the fastest way to produce. The bytes may be those of earlier entries. What `fill`
    /// panics at is not appended; what it filled before may be.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] if there is room for none; [`Error::TooLarge`]. See also the type.
    #[inline]
    pub fn enqueue_in_place(
        &mut self,
        count: u64,
        len: usize,
        fill: impl FnMut(&mut [u8]),
    ) -> Result<u64> {
        self.check()?;
        let entry_bytes = self.entry_len(len)?;
        match self.end.fill(count, entry_bytes, fill)? {
            0 if count > 0 => Err(self.found_full()),
            made => {
                self.publish(Wake::Normal)?;
                Ok(made)
            }
        }
    }

    /// Starts a batch: its entries are shown, and the other side is woken, once, at its end.
    #[inline]
    pub fn batch(&mut self) -> Batch<'_> {
        Batch::new(self)
    }

    /// Whether `count` entries of `len` bytes fit now.
    ///
    /// # Errors
    ///
    /// See the type.
    pub fn can_enqueue(&mut self, len: usize, count: u64) -> Result<bool> {
        self.check()?;
        match u32::try_from(len) {
            Ok(len) => self.end.can_push(len, count),
            Err(_) => Ok(count == 0),
        }
    }

    /// Free bytes, of which each entry takes its own length and 8 more, rounded up to 8.
    ///
    /// # Errors
    ///
    /// See the type.
    #[inline]
    pub fn room_bytes(&mut self) -> Result<u64> {
        self.check()?;
        self.end.room()
    }

    /// Waits until so many bytes are free, overhead of entries included.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]; [`Error::TooLarge`] if the queue never has so many. See also the type.
    pub fn wait_room(&mut self, bytes: u64, timeout: Option<Duration>) -> Result<()> {
        self.wait_room_until(bytes, bytes, Deadline::after(timeout))
    }

    /// Asks to be woken, by poll or eventfd, once so many bytes are free; looks once more.
    ///
    /// Returns whether they are free already. It is for those who sleep elsewhere than in this
    /// crate: on the eventfd alone, for which it is needed, or in an event loop, where it says
    /// which room makes the descriptor writable.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] if the queue never has so many. See also the type.
    pub fn arm_room(&mut self, bytes: u64) -> Result<bool> {
        self.check()?;
        self.flush()?;
        self.poll_room = bytes;
        self.end.arm_room(bytes)
    }

    /// Sets, replaces or removes the eventfd that is signalled when there is room again.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if it is no eventfd; [`Error::Gone`].
    pub fn set_eventfd(&mut self, eventfd: Option<BorrowedFd<'_>>) -> Result<()> {
        self.device.set_eventfd(Direction::Input, eventfd)
    }

    /// Shows the other side all that a forgotten [`Batch`] left unseen.
    ///
    /// # Errors
    ///
    /// See the type.
    pub fn flush(&mut self) -> Result<()> {
        if self.unpublished {
            self.publish(Wake::Normal)?;
        }
        Ok(())
    }

    /// Empties the queue and starts again. Entries that the kernel has not taken are lost.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`].
    pub fn reset(&mut self) -> Result<()> {
        self.device.reset(Direction::Input)?;
        self.renew()
    }

    /// Goes on with a queue that was reset by someone else.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if its positions cannot be right.
    pub fn renew(&mut self) -> Result<()> {
        let generation = self.end.info().generation();
        self.end.restart()?;
        self.unpublished = false;
        self.generation = generation;
        Ok(())
    }

    /// How often a wait looks before it sleeps. More saves system calls and costs processor time;
    /// 0 sleeps at once.
    pub fn set_spin(&mut self, looks: u32) {
        self.spin = looks;
    }

    /// The longest entry.
    pub fn max_entry_bytes(&self) -> usize {
        self.end.ring().geometry().max_entry_bytes() as usize
    }

    /// The queue's generation when this handle was made or renewed.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn end(&self) -> &ProducerEnd {
        &self.end
    }

    pub(crate) fn end_mut(&mut self) -> &mut ProducerEnd {
        &mut self.end
    }

    #[inline]
    pub(crate) fn make_reservation(
        &mut self,
        len: usize,
        batched: bool,
    ) -> Result<Reservation<'_>> {
        self.check()?;
        let len = self.entry_len(len)?;
        match self.end.reserve(len) {
            Ok(()) => Ok(Reservation::new(self, batched)),
            Err(Error::Full) => Err(self.found_full()),
            Err(error) => Err(error),
        }
    }

    /// Makes the first `len` reserved bytes an entry that is not shown yet.
    #[inline]
    pub(crate) fn commit(&mut self, len: usize) -> Result<()> {
        self.check()?;
        self.end.commit(len)?;
        self.unpublished = true;
        Ok(())
    }

    /// Shows the other side all that was committed.
    #[inline]
    pub(crate) fn publish(&mut self, wake: Wake) -> Result<()> {
        match (self.show(wake)?, wake) {
            (false, _) => Ok(()),
            (true, Wake::Force) => self.device.notify_flushed(Direction::Input),
            (true, _) => self.device.notify(Direction::Input),
        }
    }

    fn entry_len(&self, len: usize) -> Result<u32> {
        u32::try_from(len).map_err(|_| Error::TooLarge {
            max: self.max_entry_bytes(),
        })
    }

    /// Waits for `need` bytes of room, or with a little patience for `rather`.
    fn wait_room_until(&mut self, need: u64, rather: u64, deadline: Deadline) -> Result<()> {
        self.check()?;
        self.flush()?;
        for _ in 0..self.spin {
            if self.end.room()? >= need {
                return Ok(());
            }
            std::hint::spin_loop();
        }
        let result = self.sleep_for_room(need, rather.max(need), deadline);
        self.end.set_poll_room(self.poll_room);
        result
    }

    fn sleep_for_room(&mut self, need: u64, rather: u64, deadline: Deadline) -> Result<()> {
        let mut target = rather;
        loop {
            self.check()?;
            if self.end.arm_room(target)? || self.end.room()? >= need {
                return Ok(());
            }
            if self.end.must_wake_full() {
                self.device.notify_flushed(Direction::Input)?;
                // The other side may have taken entries within that call.
                if self.end.room()? >= need {
                    return Ok(());
                }
            }
            let mut time = deadline.left()?;
            if target > need {
                time = Some(time.map_or(PATIENCE, |time| time.min(PATIENCE)));
            }
            let ready = self.device.poll(Direction::Input, None, time)?;
            self.check()?;
            if self.end.room()? >= need {
                return Ok(());
            }
            match ready {
                Some(ready) if ready.hang_up => return Err(Error::Gone),
                Some(ready) if ready.error => return Err(Error::Corrupt),
                Some(_) => {}
                None => target = need,
            }
        }
    }
}

/// What streams need, too.
impl<L: Layout> Producer<L> {
    pub(crate) fn new(device: Arc<Device>, mut end: ProducerEnd<L>) -> Result<Self> {
        let generation = end.info().generation();
        end.restart()?;
        Ok(Self {
            device,
            end,
            generation,
            unpublished: false,
            spin: DEFAULT_SPIN,
            poll_room: 0,
        })
    }

    /// Bytes of the queue, overhead of entries included.
    pub fn capacity_bytes(&self) -> u64 {
        self.end.ring().geometry().data_bytes()
    }

    /// What the kernel counts of this queue, without a system call.
    pub fn counters(&self) -> Counters {
        self.end.info().counters()
    }

    /// Appends an entry that is not shown yet.
    #[inline]
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.check()?;
        match self.end.push(bytes) {
            Ok(()) => {
                self.unpublished = true;
                Ok(())
            }
            Err(Error::Full) => Err(self.found_full()),
            Err(error) => Err(error),
        }
    }

    /// As [`Self::publish`], but leaves it to the caller to notify the other side: returns whether.
    #[inline]
    pub(crate) fn show(&mut self, wake: Wake) -> Result<bool> {
        // What stands in the page belongs to the new generation.
        self.check_generation()?;
        self.end.publish();
        self.unpublished = false;
        Ok(match wake {
            Wake::Normal => self.end.must_wake(),
            Wake::Suppress => false,
            Wake::Force => {
                self.end.must_wake();
                true
            }
        })
    }

    pub(crate) fn device(&self) -> Arc<Device> {
        self.device.clone()
    }

    /// After a failed enqueue: wakes the other side if it sleeps. The error to be returned.
    #[cold]
    fn found_full(&mut self) -> Error {
        self.end.publish();
        self.unpublished = false;
        if self.end.must_wake_full() {
            if let Err(error) = self.device.notify_flushed(Direction::Input) {
                return error;
            }
        }
        Error::Full
    }

    #[inline]
    fn check(&self) -> Result<()> {
        if self.end.info().gone() {
            return Err(Error::Gone);
        }
        self.check_generation()
    }

    #[inline]
    fn check_generation(&self) -> Result<()> {
        if self.end.info().generation() != self.generation {
            return Err(Error::Stale);
        }
        Ok(())
    }
}

impl<L: Layout> AsFd for Producer<L> {
    /// The session's descriptor: writable in poll when there is room.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

impl<L: Layout> AsRawFd for Producer<L> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl<L: Layout> std::fmt::Debug for Producer<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer")
            .field("fd", &self.as_raw_fd())
            .field("capacity_bytes", &self.capacity_bytes())
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}
