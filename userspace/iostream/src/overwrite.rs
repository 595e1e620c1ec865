// SPDX-License-Identifier: MIT OR Apache-2.0

//! The reading end of an output queue that overwrites its oldest entries.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use crate::notify::{Deadline, DEFAULT_SPIN};
use crate::sys::{Device, OverwriteEnd};
use crate::{Counters, Direction, Error, Result};

/// The reading end of an output queue whose producer waits for nobody.
///
/// An entry may be overwritten while it is read, so it is copied out and then checked: there is no
/// slice here. What was lost is told with the next entry that is read.
///
/// # Examples
///
/// ```no_run
/// # fn main() -> iostream::Result<()> {
/// let session = iostream::Setup::source(16, 64).rate(1000).overwrite(true).open()?;
/// let mut reader = session.overwrite_reader()?;
/// let mut buffer = vec![0; reader.max_entry_bytes()];
/// loop {
///     reader.wait(None)?;
///     let read = reader.read_into(&mut buffer)?;
///     println!("{} bytes after a gap of {}", read.len, read.gap_bytes);
/// }
/// # }
/// ```
pub struct OverwriteReader {
    device: Arc<Device>,
    end: OverwriteEnd,
    /// Of the queue when this handle was made or renewed.
    generation: u64,
    spin: u32,
}

/// An entry that was copied out, and what was lost before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OverwriteRead {
    /// Bytes of the entry, now at the front of the buffer.
    pub len: usize,
    /// Bytes of entries, overhead included, that were overwritten before they were read.
    pub gap_bytes: u64,
    /// Entries that the driver had declared lost before this one, at most 65535.
    pub lost_before: u16,
}

impl OverwriteReader {
    pub(crate) fn new(device: Arc<Device>, mut end: OverwriteEnd) -> Self {
        let generation = end.info().generation();
        end.restart();
        Self {
            device,
            end,
            generation,
            spin: DEFAULT_SPIN,
        }
    }

    /// Copies the oldest entry that is left to the front of `buffer`.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`]; [`Error::TooSmall`], and the entry stays until it is overwritten;
    /// [`Error::Gone`] once the driver is gone and all is read; [`Error::Stale`];
    /// [`Error::Corrupt`].
    #[inline]
    pub fn read_into(&mut self, buffer: &mut [u8]) -> Result<OverwriteRead> {
        self.check_generation()?;
        let read = match self.end.read(buffer) {
            Err(Error::Empty) if self.end.info().gone() => match self.end.read(buffer) {
                Err(Error::Empty) => Err(Error::Gone),
                read => read,
            },
            read => read,
        }?;
        Ok(OverwriteRead {
            len: read.len,
            gap_bytes: read.gap.bytes,
            lost_before: read.lost_before,
        })
    }

    /// Whether an entry waits, without a system call.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`], [`Error::Corrupt`].
    pub fn is_ready(&mut self) -> Result<bool> {
        Ok(self.available_bytes()? != 0)
    }

    /// Bytes that wait, overhead of entries included, without a system call.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`], [`Error::Corrupt`].
    pub fn available_bytes(&mut self) -> Result<u64> {
        self.check_generation()?;
        self.end.available()
    }

    /// Waits until an entry is there, or with a watermark until that is reached.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], [`Error::Gone`], [`Error::Stale`], [`Error::Corrupt`].
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<()> {
        for _ in 0..self.spin {
            if self.is_due()? {
                return Ok(());
            }
            std::hint::spin_loop();
        }
        let deadline = Deadline::after(timeout);
        loop {
            if self.arm()? {
                return Ok(());
            }
            let mut end = self.end.info().gone().then_some(Error::Gone);
            if end.is_none() {
                match self
                    .device
                    .poll(Direction::Output, None, deadline.left()?)?
                {
                    Some(ready) if ready.hang_up => end = Some(Error::Gone),
                    Some(ready) if ready.error => end = Some(Error::Corrupt),
                    // The deadline knows whether the time is over.
                    _ => {}
                }
            }
            if self.is_due()? {
                return Ok(());
            }
            if let Some(error) = end {
                return Err(error);
            }
        }
    }

    /// Asks to be woken, by the eventfd, when the next entry comes, or the watermark is reached; looks
    /// once more.
    ///
    /// Returns whether it is so already.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`], [`Error::Corrupt`].
    pub fn arm(&mut self) -> Result<bool> {
        self.check_generation()?;
        self.end.arm()
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

    /// Empties the queue and starts again. Entries that wait are lost.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`].
    pub fn reset(&mut self) -> Result<()> {
        self.device.reset(Direction::Output)?;
        self.renew();
        Ok(())
    }

    /// Goes on with a queue that was reset by someone else.
    pub fn renew(&mut self) {
        let generation = self.end.info().generation();
        self.end.restart();
        self.generation = generation;
    }

    /// How often a wait looks before it sleeps; 0 sleeps at once.
    pub fn set_spin(&mut self, looks: u32) {
        self.spin = looks;
    }

    /// Bytes of the queue, overhead of entries included.
    pub fn capacity_bytes(&self) -> u64 {
        self.end.ring().geometry().data_bytes()
    }

    /// The longest entry.
    pub fn max_entry_bytes(&self) -> usize {
        self.end.ring().geometry().max_entry_bytes() as usize
    }

    /// What the kernel counts of this queue, without a system call.
    pub fn counters(&self) -> Counters {
        self.end.info().counters()
    }

    /// The queue's generation when this handle was made or renewed.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// As [`Self::is_ready`], by the watermark if there is one.
    fn is_due(&mut self) -> Result<bool> {
        self.check_generation()?;
        self.end.is_ready()
    }

    #[inline]
    fn check_generation(&self) -> Result<()> {
        if self.end.info().generation() != self.generation {
            return Err(Error::Stale);
        }
        Ok(())
    }
}

impl AsFd for OverwriteReader {
    /// The session's descriptor: readable in poll when entries wait.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

impl AsRawFd for OverwriteReader {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl std::fmt::Debug for OverwriteReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OverwriteReader")
            .field("fd", &self.as_raw_fd())
            .field("capacity_bytes", &self.capacity_bytes())
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}
