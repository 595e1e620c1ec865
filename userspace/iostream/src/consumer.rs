// SPDX-License-Identifier: MIT OR Apache-2.0

//! The consuming end of an output queue.

mod waiting;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use iostream_ring::{Framed, Layout};

use crate::entry::{ConsumerBatch, Entry, Received};
use crate::handle::Handle;
use crate::pace::Pace;
use crate::sys::{ConsumerEnd, Device};
use crate::{Counters, Direction, Error, Result};

/// The consuming end of an output queue: entries from the kernel to this process.
///
/// A consumer can be sent to another thread but not shared between threads, since a queue has one
/// consumer:
///
/// ```compile_fail,E0277
/// fn shared<T: Sync>() {}
/// shared::<iostream::Consumer>();
/// ```
///
/// # Errors
///
/// Unless its documentation says otherwise, each method can fail with
///
/// - [`Error::Forked`] in a child of the process that took the consumer: see [Fork](crate#fork);
/// - [`Error::Gone`] once the driver is gone and all entries that it had queued are consumed;
/// - [`Error::Stale`] once someone else has reset the queue: see [`Self::renew`];
/// - [`Error::Corrupt`] if the kernel's position or an entry's header is invalid.
///
/// # Examples
///
/// ```no_run
/// # fn main() -> iostream::Result<()> {
/// # let session = iostream::Setup::source(16, 64).rate(10).open()?;
/// let mut consumer = session.consumer()?;
/// loop {
///     // In place, without a copy. The entry is released at the end of each iteration.
///     let entry = consumer.dequeue_wait(None)?;
///     println!("{} bytes, {} lost before", entry.len(), entry.lost_before());
/// }
/// # }
/// ```
pub struct Consumer<L: Layout = Framed> {
    handle: Handle<ConsumerEnd<L>>,
    /// Entries were released, and the kernel does not know of it yet.
    unpublished: bool,
    pace: Pace,
    /// Bytes of the next entry that `Read` has already returned.
    pub(crate) read_bytes: usize,
}

impl Consumer {
    /// Returns the next entry and leaves it in the queue until it is released.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] if no entry waits, or one of the [common errors](Self#errors).
    #[inline]
    pub fn peek(&mut self) -> Result<Entry<'_>> {
        Entry::find(self, false)
    }

    /// Takes the next entry in place. It is released when the value is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] if no entry waits, or one of the [common errors](Self#errors).
    #[inline]
    pub fn dequeue(&mut self) -> Result<Received<'_>> {
        Received::find(self, false)
    }

    /// Waits for the next entry, and for the watermark if there is one, and takes it in place.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if the time is over first; [`Error::Cancelled`] or
    /// [`Error::Interrupted`] as [`Self::set_waker`] and [`Self::set_interruptible`] say; or one of
    /// the [common errors](Self#errors).
    #[inline]
    pub fn dequeue_wait(&mut self, timeout: Option<Duration>) -> Result<Received<'_>> {
        self.handle.check_waker()?;
        match self.find() {
            Ok(entry) if self.handle.info().watermark_bytes() == 0 => {
                Ok(Received::new(self, false, entry.lost_before()))
            }
            Ok(_) | Err(Error::Empty) => {
                self.wait(timeout)?;
                self.dequeue()
            }
            Err(error) => Err(error),
        }
    }

    /// Takes the next entry in place, or returns `None` if no entry waits.
    ///
    /// It is made for `while let` loops.
    ///
    /// # Errors
    ///
    /// One of the [common errors](Self#errors).
    #[expect(
        clippy::should_implement_trait,
        reason = "it lends, which Iterator cannot"
    )]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Received<'_>>> {
        Received::find_next(self, false)
    }

    /// Copies the next entry to the front of `buffer` and returns its length.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] if no entry waits; [`Error::TooSmall`] if the entry is longer than
    /// `buffer`, in which case it stays in the queue; or one of the [common errors](Self#errors).
    #[inline]
    pub fn dequeue_into(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.find()?;
        let entry = self.handle.look(|end| end.pop(buffer))?;
        self.read_bytes = 0;
        self.publish()?;
        Ok(entry.len())
    }

    /// Passes up to `max` entries to `take`, in place. Returns how many were removed; 0 if no entry
    /// waits.
    ///
    /// This is the fastest way to consume. `take` returns whether to remove the entry; if it
    /// returns `false`, the entry stays in the queue and the call ends. The kernel learns of the
    /// room, and is woken, once at the end.
    ///
    /// More entries may wait than were removed: after it has removed some, the call does not look
    /// for new ones.
    ///
    /// If `take` panics, the current entry stays in the queue, and the entries that this call had
    /// already passed to `take` may be delivered again.
    ///
    /// # Errors
    ///
    /// One of the [common errors](Self#errors).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn main() -> iostream::Result<()> {
    /// # let session = iostream::Setup::source(16, 64).rate(10).open()?;
    /// # let mut consumer = session.consumer()?;
    /// let mut bytes = 0;
    /// loop {
    ///     consumer.wait(None)?;
    ///     consumer.drain(500, |entry| {
    ///         bytes += entry.len();
    ///         true
    ///     })?;
    /// }
    /// # }
    /// ```
    #[inline]
    pub fn drain(&mut self, max: u64, take: impl FnMut(&[u8]) -> bool) -> Result<u64> {
        self.handle.check_generation()?;
        let drained = self.handle.end.drain(max, take);
        if drained.entries > 0 {
            self.read_bytes = 0;
            self.publish()?;
            // The next call meets an error again, and reports it.
            return Ok(drained.entries);
        }
        match drained.error {
            Some(error) => Err(self.handle.judge(error.into())),
            None => match self.find() {
                // `take` left the entry, or it arrived just now.
                Ok(_) | Err(Error::Empty) => Ok(0),
                Err(error) => Err(error),
            },
        }
    }

    /// Starts a batch: the kernel learns of all entries released in it, and is woken, once at its
    /// end.
    #[inline]
    pub fn batch(&mut self) -> ConsumerBatch<'_> {
        ConsumerBatch::new(self)
    }

    /// Waits until an entry is in the queue, or until the watermark is reached if there is one.
    ///
    /// # Errors
    ///
    /// Those of [`Self::dequeue_wait`].
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<()> {
        self.wait_or(timeout, None, || None)
    }

    /// Resets the queue. Entries that wait are lost.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`] if the driver is gone; [`Error::Busy`] while a read(2) or write(2) uses the
    /// queue.
    pub fn reset(&mut self) -> Result<()> {
        self.handle.reset()?;
        self.forget_progress();
        Ok(())
    }

    /// Resumes with a queue that someone else has reset.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if a position of the queue is invalid.
    pub fn renew(&mut self) -> Result<()> {
        self.handle.renew()?;
        self.forget_progress();
        Ok(())
    }

    fn forget_progress(&mut self) {
        self.unpublished = false;
        self.read_bytes = 0;
    }

    /// The length of the longest entry that the queue can hold, in bytes.
    pub fn max_entry_bytes(&self) -> usize {
        self.handle.max_entry_bytes()
    }

    /// The queue's generation when this consumer was taken or renewed.
    pub fn generation(&self) -> u64 {
        self.handle.generation()
    }
}

/// What streams use as well.
impl<L: Layout> Consumer<L> {
    pub(crate) fn new(device: Arc<Device>, end: ConsumerEnd<L>) -> Result<Self> {
        Ok(Self {
            handle: Handle::new(device, end)?,
            unpublished: false,
            pace: Pace::new(),
            read_bytes: 0,
        })
    }

    /// How many bytes wait, including the overhead of entries. Makes no system call.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] or [`Error::Corrupt`]. A driver that is gone is not an error here.
    #[inline]
    pub fn available_bytes(&mut self) -> Result<u64> {
        self.handle.check_generation()?;
        self.handle.look(|end| end.available())
    }

    /// Whether an entry waits. Makes no system call.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] or [`Error::Corrupt`]. A driver that is gone is not an error here.
    #[inline]
    pub fn is_ready(&mut self) -> Result<bool> {
        Ok(self.available_bytes()? != 0)
    }

    /// Sets, replaces or removes the eventfd that is signalled when entries arrive.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if the descriptor is not an eventfd; [`Error::Gone`] if the
    /// driver is gone.
    pub fn set_eventfd(&mut self, eventfd: Option<BorrowedFd<'_>>) -> Result<()> {
        self.handle.set_eventfd(eventfd)
    }

    /// Sets a watermark, which delays waking until there is enough to do.
    ///
    /// From then on [`Self::wait`], poll and the eventfd treat the queue as ready when
    ///
    /// - `bytes` bytes wait, including the overhead of entries;
    /// - or `latency` has passed since an entry arrived that did not wake anyone (zero: no limit);
    /// - or the driver finds the queue full, flushes it, or is gone.
    ///
    /// The queue then stays ready until everything that waited is consumed. Methods that do not
    /// wait return what is in the queue, whatever the watermark.
    ///
    /// A watermark of zero bytes removes it: the queue is ready when an entry waits.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if `bytes` is more than the queue holds, if there is a latency
    /// but no watermark, or if the latency is not between 50 microseconds and an hour;
    /// [`Error::Gone`] if the driver is gone.
    pub fn set_watermark(&mut self, bytes: u64, latency: Duration) -> Result<()> {
        self.handle.set_watermark(bytes, latency)
    }

    /// The watermark in bytes and its latency; zeros if there is none.
    pub fn watermark(&self) -> (u64, Duration) {
        self.handle.watermark()
    }

    /// Tells the kernel about entries released in a [`ConsumerBatch`] that was forgotten.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] if someone else has reset the queue.
    pub fn flush(&mut self) -> Result<()> {
        if self.unpublished {
            self.publish()?;
        }
        Ok(())
    }

    /// Sets how often a wait looks at the queue before it sleeps.
    ///
    /// A larger number saves system calls and costs processor time. With 0 a wait sleeps immediately.
    pub fn set_spin(&mut self, looks: u32) {
        self.handle.spin = looks;
    }

    /// The capacity of the queue in bytes, including the overhead of entries.
    pub fn capacity_bytes(&self) -> u64 {
        self.handle.capacity_bytes()
    }

    /// The kernel's counters of this queue. Makes no system call.
    pub fn counters(&self) -> Counters {
        self.handle.counters()
    }

    /// The position of the next entry, or of the entry that was found and not released.
    pub(crate) fn position(&self) -> u64 {
        self.handle.end.ring().released_pos()
    }

    /// The bytes of the entry that was last found and not released.
    #[inline]
    pub(crate) fn found_bytes(&self) -> &[u8] {
        self.handle.end.bytes()
    }

    /// Finds the next entry; [`Self::found_bytes`] then returns its bytes.
    #[inline]
    pub(crate) fn find(&mut self) -> Result<iostream_ring::Entry> {
        self.handle.check_generation()?;
        match self.handle.look(|end| end.peek()) {
            Err(Error::Empty) => self.found_empty(),
            found => found,
        }
    }

    /// Finds the next entry, which has exactly `N` bytes, and copies it.
    #[inline]
    pub(crate) fn find_array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.find()?;
        self.handle.look(|end| end.peek_array())
    }

    /// Releases the entry that was last found. The kernel learns of it now, or with the batch.
    #[inline]
    pub(crate) fn release(&mut self, batched: bool) -> Result<()> {
        // After a reset the consumer's page belongs to the new generation.
        self.handle.check_generation()?;
        self.read_bytes = 0;
        self.unpublished |= self.handle.end.release();
        if batched {
            return Ok(());
        }
        self.publish()
    }

    /// Tells the kernel about everything that was released, and wakes it if it waits for the room.
    #[inline]
    fn publish(&mut self) -> Result<()> {
        self.handle.check_generation()?;
        self.handle.end.publish();
        self.unpublished = false;
        if self.handle.end.must_wake() {
            match self.handle.device.notify(Direction::Output) {
                // Nobody needs the room any more. Entries that the driver had queued are still
                // there.
                Ok(()) | Err(Error::Gone) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    #[cold]
    fn found_empty(&mut self) -> Result<iostream_ring::Entry> {
        // A batch that drained the queue must not keep the kernel waiting for the room.
        self.flush()?;
        if !self.handle.info().gone() {
            return Err(Error::Empty);
        }
        // Between the first look and now the driver may have queued its last entries.
        match self.handle.look(|end| end.peek()) {
            Err(Error::Empty) => Err(Error::Gone),
            found => found,
        }
    }
}

impl<L: Layout> AsFd for Consumer<L> {
    /// The session's descriptor, which poll reports as readable when entries wait.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

impl<L: Layout> AsRawFd for Consumer<L> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl<L: Layout> std::fmt::Debug for Consumer<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.handle.debug("Consumer", f)
    }
}
