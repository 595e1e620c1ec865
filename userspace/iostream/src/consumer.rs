// SPDX-License-Identifier: MIT OR Apache-2.0

//! The consuming end of an output queue.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use zerocopy::FromBytes;

use crate::entry::{ConsumerBatch, Entry, Received};
use crate::incoming::Incoming;
use crate::notify::Deadline;
use crate::sys::{ConsumerEnd, Device};
use crate::{Counters, Error, Result, Waker};

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
/// # fn main() -> std::io::Result<()> {
/// # let session = iostream::Setup::source(16, 64).rate(10).open()?;
/// let mut consumer = session.consumer()?;
/// loop {
///     // In place, without a copy. The entry is released at the end of each iteration.
///     let entry = consumer.dequeue_wait(None)?;
///     println!("{} bytes, {} lost before", entry.len(), entry.lost_before());
/// }
/// # }
/// ```
pub struct Consumer {
    queue: Incoming,
    /// Bytes of the next entry that `Read` has already returned.
    pub(crate) read_bytes: usize,
}

impl Consumer {
    pub(crate) fn new(device: Arc<Device>, end: ConsumerEnd) -> Result<Self> {
        Ok(Self {
            queue: Incoming::new(device, end)?,
            read_bytes: 0,
        })
    }

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
        self.check_waker()?;
        match self.find() {
            Ok(entry) if self.queue.handle.info().watermark_bytes() == 0 => {
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
        let entry = self.queue.handle.look(|end| end.pop(buffer))?;
        self.read_bytes = 0;
        self.queue.publish()?;
        Ok(entry.len())
    }

    /// Copies the next entry as a value of type `T`, and releases it.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] if no entry waits; [`Error::WrongLength`] if the entry has not exactly the
    /// size of `T`, in which case it stays in the queue; or one of the
    /// [common errors](Self#errors).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// let mut consumer = iostream::Session::open("ticker")?.consumer()?;
    /// consumer.wait(None)?;
    /// let [ticks, nanoseconds] = consumer.dequeue_value::<[u64; 2]>()?;
    /// println!("{ticks} ticks, {nanoseconds} ns");
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn dequeue_value<T: FromBytes>(&mut self) -> Result<T> {
        self.find()?;
        let bytes = self.found_bytes();
        let value = T::read_from_bytes(bytes).map_err(|_| Error::WrongLength {
            needed: size_of::<T>(),
            found: bytes.len(),
        })?;
        self.release(false)?;
        Ok(value)
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
    /// # fn main() -> std::io::Result<()> {
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
        self.queue.handle.check_generation()?;
        let drained = self.queue.handle.end.drain(max, take);
        if drained.entries > 0 {
            self.read_bytes = 0;
            self.queue.publish()?;
            // The next call meets an error again, and reports it.
            return Ok(drained.entries);
        }
        match drained.error {
            Some(error) => Err(self.queue.handle.judge(error.into())),
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
        self.queue
            .wait_or(|| Deadline::after(timeout), None, || None)
    }

    /// Resets the queue. Entries that wait are lost.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`] if the driver is gone; [`Error::Busy`] while a read(2) or write(2) uses the
    /// queue.
    pub fn reset(&mut self) -> Result<()> {
        self.queue.reset()?;
        self.read_bytes = 0;
        Ok(())
    }

    /// Resumes with a queue that someone else has reset.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if a position of the queue is invalid.
    pub fn renew(&mut self) -> Result<()> {
        self.queue.renew()?;
        self.read_bytes = 0;
        Ok(())
    }

    /// The length of the longest entry that the queue can hold, in bytes.
    pub fn max_entry_bytes(&self) -> usize {
        self.queue.handle.max_entry_bytes()
    }

    /// The queue's generation when this consumer was taken or renewed.
    pub fn generation(&self) -> u64 {
        self.queue.handle.generation()
    }

    /// How many bytes wait, including the overhead of entries. Makes no system call.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] or [`Error::Corrupt`]. A driver that is gone is not an error here.
    #[inline]
    pub fn available_bytes(&mut self) -> Result<u64> {
        self.queue.available_bytes()
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
        self.queue.handle.set_eventfd(eventfd)
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
        self.queue.handle.set_watermark(bytes, latency)
    }

    /// The watermark in bytes and its latency; zeros if there is none.
    pub fn watermark(&self) -> (u64, Duration) {
        self.queue.handle.watermark()
    }

    /// Tells the kernel about entries released in a [`ConsumerBatch`] that was forgotten.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] if someone else has reset the queue.
    pub fn flush(&mut self) -> Result<()> {
        self.queue.flush()
    }

    /// Asks for a signal on the eventfd when the next entry arrives, or when the watermark is
    /// reached. Returns whether the queue is ready already.
    ///
    /// Only a program that sleeps on the eventfd alone needs this: poll and epoll arm by
    /// themselves.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] or [`Error::Corrupt`].
    pub fn arm(&mut self) -> Result<bool> {
        self.queue.arm()
    }

    /// Sets, replaces or removes what ends the waits of this end from elsewhere.
    ///
    /// Once it is woken, methods that may wait fail with [`Error::Cancelled`]: see [`Waker`].
    pub fn set_waker(&mut self, waker: Option<Waker>) {
        self.queue.handle.waker = waker;
    }

    /// Sets whether a signal ends a wait, with [`Error::Interrupted`]. At first it does not.
    ///
    /// A signal that comes just before the wait sleeps does not end it. Where that matters, let the
    /// signal's handler wake a [`Waker`] instead.
    pub fn set_interruptible(&mut self, interruptible: bool) {
        self.queue.handle.interruptible = interruptible;
    }

    /// Sets how often a wait looks at the queue before it sleeps.
    ///
    /// A larger number saves system calls and costs processor time. With 0 a wait sleeps immediately.
    pub fn set_spin(&mut self, looks: u32) {
        self.queue.handle.spin = looks;
    }

    /// The capacity of the queue in bytes, including the overhead of entries.
    pub fn capacity_bytes(&self) -> u64 {
        self.queue.handle.capacity_bytes()
    }

    /// The kernel's counters of this queue. Makes no system call.
    pub fn counters(&self) -> Counters {
        self.queue.handle.counters()
    }

    /// Fails once the waker is woken.
    #[inline]
    pub(crate) fn check_waker(&self) -> Result<()> {
        self.queue.handle.check_waker()
    }

    /// Looks without waiting, as [`Self::wait`] does before it sleeps.
    #[cfg(feature = "tokio")]
    pub(crate) fn look(&mut self) -> Result<()> {
        self.queue.look()
    }

    /// The bytes of the entry that was last found and not released.
    #[inline]
    pub(crate) fn found_bytes(&self) -> &[u8] {
        self.queue.found_bytes()
    }

    /// Finds the next entry; [`Self::found_bytes`] then returns its bytes.
    #[inline]
    pub(crate) fn find(&mut self) -> Result<iostream_ring::Entry> {
        self.queue.find()
    }

    /// Releases the entry that was last found. The kernel learns of it now, or with the batch.
    #[inline]
    pub(crate) fn release(&mut self, batched: bool) -> Result<()> {
        self.read_bytes = 0;
        self.queue.release(batched)
    }
}

impl AsFd for Consumer {
    /// The session's descriptor, which poll reports as readable when entries wait.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.handle.as_fd()
    }
}

impl AsRawFd for Consumer {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.queue.handle.debug("Consumer", f)
    }
}
