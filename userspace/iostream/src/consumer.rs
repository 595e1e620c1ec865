// SPDX-License-Identifier: MIT OR Apache-2.0

//! The consuming end of an output queue.

mod waiting;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use iostream_ring::{Framed, Layout};

use crate::entry::{ConsumerBatch, Entry, Received};
use crate::notify::DEFAULT_SPIN;
use crate::pace::Pace;
use crate::sys::{ConsumerEnd, Device};
use crate::{Counters, Direction, Error, Result};

/// The consuming end of an output queue: entries from the kernel to this process.
///
/// It may be sent to another thread, but not be shared: there is one consumer.
///
/// ```compile_fail,E0277
/// fn shared<T: Sync>() {}
/// shared::<iostream::Consumer>();
/// ```
///
/// An operation fails with [`Error::Gone`] once the driver is gone and all that it had queued is
/// consumed, with [`Error::Stale`] once the queue was reset behind its back (then see
/// [`Self::renew`]), with [`Error::Corrupt`] if a position or header cannot be right.
///
/// # Examples
///
/// ```no_run
/// # fn main() -> iostream::Result<()> {
/// # let session = iostream::Setup::source(16, 64).rate(10).open()?;
/// let mut consumer = session.consumer()?;
/// loop {
///     // In place, without a copy; it goes back to the kernel at the end of the turn.
///     let entry = consumer.dequeue_wait(None)?;
///     println!("{} bytes, {} lost before", entry.len(), entry.lost_before());
/// }
/// # }
/// ```
pub struct Consumer<L: Layout = Framed> {
    device: Arc<Device>,
    end: ConsumerEnd<L>,
    /// Of the queue when this handle was made or renewed.
    generation: u64,
    /// Entries were released and the other side was not told yet.
    unpublished: bool,
    spin: u32,
    pace: Pace,
    /// Bytes of the next entry that `Read` has handed out.
    pub(crate) read_bytes: usize,
}

impl Consumer {
    /// Looks at the next entry and leaves it where it is, until it is released.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`]. See also the type.
    #[inline]
    pub fn peek(&mut self) -> Result<Entry<'_>> {
        let entry = self.find()?;
        Ok(Entry::new(self, false, entry.lost_before()))
    }

    /// Takes the next entry in place: it is released when the value is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`]. See also the type.
    #[inline]
    pub fn dequeue(&mut self) -> Result<Received<'_>> {
        let entry = self.find()?;
        Ok(Received::new(self, false, entry.lost_before()))
    }

    /// As [`Self::dequeue`], but waits for an entry, and for the watermark if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]. See also the type.
    #[inline]
    pub fn dequeue_wait(&mut self, timeout: Option<Duration>) -> Result<Received<'_>> {
        match self.find() {
            Ok(entry) if self.end.info().watermark_bytes() == 0 => {
                Ok(Received::new(self, false, entry.lost_before()))
            }
            Ok(_) | Err(Error::Empty) => {
                self.wait(timeout)?;
                self.dequeue()
            }
            Err(error) => Err(error),
        }
    }

    /// As [`Self::dequeue`], with `None` if no entry waits: for `while let` loops.
    ///
    /// # Errors
    ///
    /// See the type.
    #[expect(
        clippy::should_implement_trait,
        reason = "it lends, which Iterator cannot"
    )]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Received<'_>>> {
        match self.find() {
            Ok(entry) => Ok(Some(Received::new(self, false, entry.lost_before()))),
            Err(Error::Empty) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Copies the next entry to the front of `buffer` and returns its length.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`]; [`Error::TooSmall`], and the entry stays. See also the type.
    #[inline]
    pub fn dequeue_into(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.find()?;
        let entry = self.end.pop(buffer)?;
        self.read_bytes = 0;
        self.publish()?;
        Ok(entry.len())
    }

    /// Takes up to `max` entries in place, one call of `take` for each; the kernel learns of the
    /// room, and is woken, once, at the end. Returns how many it took; 0 if none waits. There may be
    /// more than it took: it does not look for them after it has taken some.
    ///
    /// It is the fastest way to consume. `take` returns whether to remove the entry; `false` leaves
    /// it and ends. If `take` panics, its entry stays in the queue, and what came before in that call may
    /// come again.
    ///
    /// # Errors
    ///
    /// See the type.
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
        self.check_generation()?;
        let drained = self.end.drain(max, take);
        if drained.entries > 0 {
            self.read_bytes = 0;
            self.publish()?;
            // An error is found again, and then reported.
            return Ok(drained.entries);
        }
        match drained.error {
            Some(error) => Err(error.into()),
            None => match self.find() {
                // `take` left it, or it came this moment.
                Ok(_) | Err(Error::Empty) => Ok(0),
                Err(error) => Err(error),
            },
        }
    }

    /// Starts a batch: the kernel learns of what is released in it, and is woken, once, at its end.
    #[inline]
    pub fn batch(&mut self) -> ConsumerBatch<'_> {
        ConsumerBatch::new(self)
    }

    /// Waits until an entry is there, or with a watermark until that is reached.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]. See also the type.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<()> {
        self.wait_or(timeout, None, || None)
    }

    /// Empties the queue and starts again. Entries that wait are lost.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`].
    pub fn reset(&mut self) -> Result<()> {
        self.device.reset(Direction::Output)?;
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
        self.read_bytes = 0;
        self.generation = generation;
        Ok(())
    }

    /// The longest entry.
    pub fn max_entry_bytes(&self) -> usize {
        self.end.ring().geometry().max_entry_bytes() as usize
    }

    /// The queue's generation when this handle was made or renewed.
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

/// What streams need, too.
impl<L: Layout> Consumer<L> {
    pub(crate) fn new(device: Arc<Device>, mut end: ConsumerEnd<L>) -> Result<Self> {
        let generation = end.info().generation();
        end.restart()?;
        Ok(Self {
            device,
            end,
            generation,
            unpublished: false,
            spin: DEFAULT_SPIN,
            pace: Pace::new(),
            read_bytes: 0,
        })
    }

    /// Bytes that wait, overhead of entries included, without a system call.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`], [`Error::Corrupt`]. A driver that is gone is no error here.
    #[inline]
    pub fn available_bytes(&mut self) -> Result<u64> {
        self.check_generation()?;
        self.end.available()
    }

    /// Whether an entry waits, without a system call.
    ///
    /// # Errors
    ///
    /// See the type.
    #[inline]
    pub fn is_ready(&mut self) -> Result<bool> {
        Ok(self.available_bytes()? != 0)
    }

    /// Sets, replaces or removes the eventfd that is signalled when entries come.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if it is no eventfd; [`Error::Gone`].
    pub fn set_eventfd(&mut self, eventfd: Option<BorrowedFd<'_>>) -> Result<()> {
        self.device.set_eventfd(Direction::Output, eventfd)
    }

    /// Sets a watermark: from now on the queue counts as ready, for [`Self::wait`], for poll and for
    /// the eventfd, when `bytes` wait, overhead of entries included; or when `latency` (zero: no timer)
    /// has passed since an entry came that nobody was told of; or when the driver finds the queue full,
    /// flushes it, or is gone. It then stays ready until all that waited is consumed.
    ///
    /// With zero bytes the queue is ready when an entry waits, as at first. Whatever the watermark,
    /// what does not wait takes what is there.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`]: more bytes than the queue has, a latency without bytes, or one that
    /// is not between 50 microseconds and an hour; [`Error::Gone`].
    pub fn set_watermark(&mut self, bytes: u64, latency: Duration) -> Result<()> {
        // Longer than the kernel takes, if it does not fit.
        let latency_ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.device.set_watermark(bytes, latency_ns)
    }

    /// The watermark and its latency; zeros if there is none.
    pub fn watermark(&self) -> (u64, Duration) {
        let info = self.end.info();
        (
            info.watermark_bytes(),
            Duration::from_nanos(info.latency_ns()),
        )
    }

    /// Tells the kernel of all that a forgotten [`ConsumerBatch`] released.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`].
    pub fn flush(&mut self) -> Result<()> {
        if self.unpublished {
            self.publish()?;
        }
        Ok(())
    }

    /// How often a wait looks before it sleeps. More saves system calls and costs processor time;
    /// 0 sleeps at once.
    pub fn set_spin(&mut self, looks: u32) {
        self.spin = looks;
    }

    /// Bytes of the queue, overhead of entries included.
    pub fn capacity_bytes(&self) -> u64 {
        self.end.ring().geometry().data_bytes()
    }

    /// What the kernel counts of this queue, without a system call.
    pub fn counters(&self) -> Counters {
        self.end.info().counters()
    }

    /// The position of the next entry, or of the one that was found and not released.
    pub(crate) fn position(&self) -> u64 {
        self.end.ring().released_pos()
    }

    /// The bytes of the entry that was last found and not released.
    #[inline]
    pub(crate) fn found_bytes(&self) -> &[u8] {
        self.end.bytes()
    }

    /// Finds the next entry; [`Self::found_bytes`] then has it.
    #[inline]
    pub(crate) fn find(&mut self) -> Result<iostream_ring::Entry> {
        self.check_generation()?;
        match self.end.peek() {
            Err(Error::Empty) => self.found_empty(),
            found => found,
        }
    }

    /// As [`Self::find`]: a copy of an entry that has just `N` bytes.
    #[inline]
    pub(crate) fn find_array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.find()?;
        self.end.peek_array()
    }

    /// Gives up the entry that was last found. The kernel learns of it now or with the batch.
    #[inline]
    pub(crate) fn release(&mut self, batched: bool) -> Result<()> {
        // What stands in the page belongs to the new generation.
        self.check_generation()?;
        self.read_bytes = 0;
        self.unpublished |= self.end.release();
        if batched {
            return Ok(());
        }
        self.publish()
    }

    /// Tells the kernel of all that was released, and wakes it if it waits for the room.
    #[inline]
    fn publish(&mut self) -> Result<()> {
        self.check_generation()?;
        self.end.publish();
        self.unpublished = false;
        if self.end.must_wake() {
            match self.device.notify(Direction::Output) {
                // Nobody wants the room any more; what the driver had queued is still there.
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
        if !self.end.info().gone() {
            return Err(Error::Empty);
        }
        // What came before it went may have come after the first look.
        match self.end.peek() {
            Err(Error::Empty) => Err(Error::Gone),
            found => found,
        }
    }

    #[inline]
    fn check_generation(&self) -> Result<()> {
        if self.end.info().generation() != self.generation {
            return Err(Error::Stale);
        }
        Ok(())
    }
}

impl<L: Layout> AsFd for Consumer<L> {
    /// The session's descriptor: readable in poll when entries wait.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

impl<L: Layout> AsRawFd for Consumer<L> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl<L: Layout> std::fmt::Debug for Consumer<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer")
            .field("fd", &self.as_raw_fd())
            .field("capacity_bytes", &self.capacity_bytes())
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}
