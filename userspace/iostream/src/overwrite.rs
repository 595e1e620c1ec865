// SPDX-License-Identifier: MIT OR Apache-2.0

//! The reading end of an output queue that overwrites its oldest entries.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use crate::handle::Handle;
use crate::notify::Deadline;
use crate::sys::{Device, OverwriteEnd};
use crate::{Counters, Error, Result, Waker};

/// The reading end of an output queue whose producer never waits for room.
///
/// The producer may overwrite an entry while it is being read. So an entry is copied first and
/// checked afterwards, and no method returns a slice of the queue. Each entry that is read reports
/// what was lost before it.
///
/// # Errors
///
/// Unless its documentation says otherwise, each method can fail with
///
/// - [`Error::Forked`] in a child of the process that took the reader: see [Fork](crate#fork);
/// - [`Error::Gone`] once the driver is gone and all entries that it had queued are read;
/// - [`Error::Stale`] once someone else has reset the queue: see [`Self::renew`];
/// - [`Error::Corrupt`] if the kernel's position or an entry's header is invalid.
///
/// # Examples
///
/// ```no_run
/// # fn main() -> std::io::Result<()> {
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
    handle: Handle<OverwriteEnd>,
}

/// An entry that [`OverwriteReader::read_into`] has copied, and what was lost before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OverwriteRead {
    /// The length of the entry, which is now at the front of the buffer, in bytes.
    pub len: usize,
    /// Bytes of entries, including their overhead, that were overwritten before they were read.
    pub gap_bytes: u64,
    /// Entries that the driver declared lost before this one. If there were more than 65535, the
    /// entries after it report the rest.
    pub lost_before: u16,
}

impl OverwriteReader {
    pub(crate) fn new(device: Arc<Device>, end: OverwriteEnd) -> Result<Self> {
        let handle = Handle::new(device, end)?;
        Ok(Self { handle })
    }

    /// Copies the oldest entry that is left to the front of `buffer`.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] if no entry waits; [`Error::TooSmall`] if the entry is longer than
    /// `buffer`, in which case it stays until it is overwritten; or one of the
    /// [common errors](Self#errors).
    #[inline]
    pub fn read_into(&mut self, buffer: &mut [u8]) -> Result<OverwriteRead> {
        self.handle.check_generation()?;
        let read = match self.handle.look(|end| end.read(buffer)) {
            // Between the first look and now the driver may have queued its last entries.
            Err(Error::Empty) if self.handle.info().gone() => {
                match self.handle.look(|end| end.read(buffer)) {
                    Err(Error::Empty) => Err(Error::Gone),
                    read => read,
                }
            }
            read => read,
        }?;
        Ok(OverwriteRead {
            len: read.len,
            gap_bytes: read.gap.bytes,
            lost_before: read.lost_before,
        })
    }

    /// Whether an entry waits. Makes no system call.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] or [`Error::Corrupt`]. A driver that is gone is not an error here.
    pub fn is_ready(&mut self) -> Result<bool> {
        Ok(self.available_bytes()? != 0)
    }

    /// How many bytes wait, including the overhead of entries. Makes no system call.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] or [`Error::Corrupt`]. A driver that is gone is not an error here.
    pub fn available_bytes(&mut self) -> Result<u64> {
        self.handle.check_generation()?;
        self.handle.look(|end| end.available())
    }

    /// Waits until an entry is in the queue, or until the watermark is reached if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if the time is over first; [`Error::Cancelled`] or
    /// [`Error::Interrupted`] as [`Self::set_waker`] and [`Self::set_interruptible`] say; or one of
    /// the [common errors](Self#errors).
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<()> {
        self.handle.check_waker()?;
        for _ in 0..self.handle.spin {
            if self.is_due()? {
                return Ok(());
            }
            std::hint::spin_loop();
        }
        let deadline = Deadline::after(timeout);
        let mut over = false;
        loop {
            if self.arm()? {
                return Ok(());
            }
            if self.handle.info().gone() {
                return self.ready_or(Error::Gone);
            }
            if over {
                return Err(Error::TimedOut);
            }
            let ready = self.handle.sleep(None, deadline.left())?;
            if self.is_due()? {
                return Ok(());
            }
            match ready {
                Some(ready) if ready.hang_up => return self.ready_or(Error::Gone),
                Some(ready) if ready.error => {
                    return self.ready_or(self.handle.judge(Error::Corrupt))
                }
                // The reason for waking has passed, or the time is over.
                _ => over = deadline.is_over(),
            }
        }
    }

    /// Sets, replaces or removes what ends this reader's waits from elsewhere.
    ///
    /// Once it is woken, methods that may wait fail with [`Error::Cancelled`]: see [`Waker`].
    pub fn set_waker(&mut self, waker: Option<Waker>) {
        self.handle.waker = waker;
    }

    /// Sets whether a signal ends a wait, with [`Error::Interrupted`]. At first it does not.
    ///
    /// A signal that comes just before the wait sleeps does not end it. Where that matters, let the
    /// signal's handler wake a [`Waker`] instead.
    pub fn set_interruptible(&mut self, interruptible: bool) {
        self.handle.interruptible = interruptible;
    }

    /// Asks for a signal on the eventfd when the next entry arrives, or when the watermark is
    /// reached. Returns whether the queue is ready already.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] or [`Error::Corrupt`].
    pub fn arm(&mut self) -> Result<bool> {
        self.handle.check_generation()?;
        self.handle.look(|end| end.arm())
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

    /// Sets a watermark, which works as that of a [`Consumer`](crate::Consumer::set_watermark).
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if `bytes` or `latency` is out of range; [`Error::Gone`] if the
    /// driver is gone.
    pub fn set_watermark(&mut self, bytes: u64, latency: Duration) -> Result<()> {
        self.handle.set_watermark(bytes, latency)
    }

    /// The watermark in bytes and its latency; zeros if there is none.
    pub fn watermark(&self) -> (u64, Duration) {
        self.handle.watermark()
    }

    /// Resets the queue. Entries that wait are lost.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`] if the driver is gone; [`Error::Busy`] while a read(2) or write(2) uses the
    /// queue.
    pub fn reset(&mut self) -> Result<()> {
        self.handle.reset()
    }

    /// Resumes with a queue that someone else has reset.
    pub fn renew(&mut self) {
        // An end that overwrites restarts without an error: see its `restart`.
        let _ = self.handle.renew();
    }

    /// Sets how often a wait looks at the queue before it sleeps. With 0 it sleeps immediately.
    pub fn set_spin(&mut self, looks: u32) {
        self.handle.spin = looks;
    }

    /// The capacity of the queue in bytes, including the overhead of entries.
    pub fn capacity_bytes(&self) -> u64 {
        self.handle.capacity_bytes()
    }

    /// The length of the longest entry that the queue can hold, in bytes.
    pub fn max_entry_bytes(&self) -> usize {
        self.handle.max_entry_bytes()
    }

    /// The kernel's counters of this queue. Makes no system call.
    pub fn counters(&self) -> Counters {
        self.handle.counters()
    }

    /// The queue's generation when this reader was taken or renewed.
    pub fn generation(&self) -> u64 {
        self.handle.generation()
    }

    /// Succeeds if an entry waits after all.
    fn ready_or(&mut self, error: Error) -> Result<()> {
        if self.available_bytes()? != 0 {
            return Ok(());
        }
        Err(error)
    }

    /// Whether an entry waits; with a watermark, whether the queue counts as ready.
    fn is_due(&mut self) -> Result<bool> {
        self.handle.check_generation()?;
        self.handle.look(|end| end.is_ready())
    }
}

impl AsFd for OverwriteReader {
    /// The session's descriptor, which poll reports as readable when entries wait.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

impl AsRawFd for OverwriteReader {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl std::fmt::Debug for OverwriteReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.handle.debug("OverwriteReader", f)
    }
}
