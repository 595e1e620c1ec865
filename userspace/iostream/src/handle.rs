// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the ends of all queues have in common.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use crate::sys::{Device, End, InfoPage, Ready};
use crate::{Counters, Error, Result, Waker};

/// How often an end looks before it sleeps, unless the program sets it: some microseconds.
const DEFAULT_SPIN: u32 = 256;

/// An end of a queue with its device, and the generation of the queue that it belongs to.
pub(crate) struct Handle<E> {
    pub(crate) device: Arc<Device>,
    pub(crate) end: E,
    /// The queue's generation when this handle was made or renewed.
    generation: u64,
    /// How often a wait looks before it sleeps.
    pub(crate) spin: u32,
    /// What ends waits besides the queue itself.
    pub(crate) waker: Option<Waker>,
    /// Whether a signal ends a wait.
    pub(crate) interruptible: bool,
}

impl<E: End> Handle<E> {
    pub(crate) fn new(device: Arc<Device>, end: E) -> Result<Self> {
        let mut handle = Self {
            device,
            end,
            generation: 0,
            spin: DEFAULT_SPIN,
            waker: None,
            interruptible: false,
        };
        handle.renew()?;
        Ok(handle)
    }

    /// Fails in a child of the process that took the end, which has no mapping of the queue.
    #[inline]
    pub(crate) fn check_owner(&self) -> Result<()> {
        if self.is_inherited() {
            return Err(Error::Forked);
        }
        Ok(())
    }

    #[inline]
    fn is_inherited(&self) -> bool {
        !self.end.memory().owner().is_this_process()
    }

    /// Resumes with the queue as it is now.
    pub(crate) fn renew(&mut self) -> Result<()> {
        self.check_owner()?;
        // Before the positions: a reset that begins in between makes the handle stale, not wrong.
        let generation = self.info().settled_generation();
        if let Err(error) = self.end.restart() {
            let since = self.info().generation() != generation;
            return Err(if since { Error::Stale } else { error });
        }
        self.generation = generation;
        Ok(())
    }

    /// Empties the queue and resumes with it.
    pub(crate) fn reset(&mut self) -> Result<()> {
        self.check_owner()?;
        self.device.reset(E::DIRECTION)?;
        self.renew()
    }

    #[inline]
    pub(crate) fn info(&self) -> &InfoPage {
        self.end.memory().info()
    }

    /// Fails in a child, or if the queue was reset.
    #[inline]
    pub(crate) fn check_generation(&self) -> Result<()> {
        self.check_owner()?;
        if self.info().generation() != self.generation {
            return Err(Error::Stale);
        }
        Ok(())
    }

    /// Looks at the queue with the end. The generation has been checked before.
    #[inline(always)]
    pub(crate) fn look<R>(&mut self, look: impl FnOnce(&mut E) -> Result<R>) -> Result<R> {
        look(&mut self.end).map_err(|error| self.judge(error))
    }

    /// What an error means that the end has found: a reset since the last check leaves positions
    /// that do not fit together, and is no corruption.
    #[cold]
    pub(crate) fn judge(&self, error: Error) -> Error {
        if error != Error::Corrupt {
            return error;
        }
        // ORDERING: pairs with the kernel's write barrier between the generation and the positions
        // that it zeroes. The positions were loaded with acquire (litmus: reset).
        self.check_generation().err().unwrap_or(error)
    }

    /// Fails once the waker is woken. Methods that may wait call it before anything else.
    #[inline]
    pub(crate) fn check_waker(&self) -> Result<()> {
        match &self.waker {
            Some(waker) if waker.is_woken() => {
                self.check_owner()?;
                Err(Error::Cancelled)
            }
            _ => Ok(()),
        }
    }

    /// Sleeps until the queue may be ready, the driver is gone, or `bell` is readable. Returns
    /// `None` if the time is over first.
    ///
    /// # Errors
    ///
    /// [`Error::Cancelled`] if the waker is woken; [`Error::Interrupted`] if signals end waits, and
    /// one came.
    pub(crate) fn sleep(
        &self,
        bell: Option<BorrowedFd<'_>>,
        timeout: Option<Duration>,
    ) -> Result<Option<Ready>> {
        let waker = self.waker.as_ref();
        let fd = waker.map(AsFd::as_fd);
        let device = &self.device;
        let ready = device.poll(E::DIRECTION, fd, bell, timeout, self.interruptible)?;
        match (ready, waker) {
            (Some(ready), Some(waker)) if ready.woken => {
                // Another process may have woken it.
                waker.note_woken();
                Err(Error::Cancelled)
            }
            _ => Ok(ready),
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn capacity_bytes(&self) -> u64 {
        self.end.memory().geometry().data_bytes()
    }

    pub(crate) fn max_entry_bytes(&self) -> usize {
        self.end.memory().geometry().max_entry_bytes() as usize
    }

    pub(crate) fn counters(&self) -> Counters {
        if self.is_inherited() {
            return Counters::default();
        }
        self.info().counters()
    }

    pub(crate) fn set_eventfd(&self, eventfd: Option<BorrowedFd<'_>>) -> Result<()> {
        self.check_owner()?;
        self.device.set_eventfd(E::DIRECTION, eventfd)
    }

    pub(crate) fn set_watermark(&self, bytes: u64, latency: Duration) -> Result<()> {
        self.check_owner()?;
        // A latency that does not fit becomes one that the kernel refuses.
        let latency_ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.device.set_watermark(bytes, latency_ns)
    }

    pub(crate) fn watermark(&self) -> (u64, Duration) {
        if self.is_inherited() {
            return Default::default();
        }
        let info = self.info();
        let latency = Duration::from_nanos(info.latency_ns());
        (info.watermark_bytes(), latency)
    }

    /// Writes the fields that the ends show when they are debugged.
    pub(crate) fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("fd", &self.as_fd().as_raw_fd())
            .field("capacity_bytes", &self.capacity_bytes())
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

impl<E> AsFd for Handle<E> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}
