// SPDX-License-Identifier: MIT OR Apache-2.0

//! What producers of entries and senders of buffers have in common: the producing end of an input
//! queue, whatever the layout of its entries.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use iostream_ring::{Framed, Layout};

use crate::handle::Handle;
use crate::sys::{Device, ProducerEnd};
use crate::{Direction, Error, Result, Wake};

/// The producing end of an input queue.
pub(crate) struct Outgoing<L: Layout = Framed> {
    pub(crate) handle: Handle<ProducerEnd<L>>,
    /// Entries were committed, and the kernel cannot see them yet.
    unpublished: bool,
}

impl<L: Layout> Outgoing<L> {
    pub(crate) fn new(device: Arc<Device>, end: ProducerEnd<L>) -> Result<Self> {
        Ok(Self {
            handle: Handle::new(device, end)?,
            unpublished: false,
        })
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

    /// Makes the first `len` reserved bytes an entry that the kernel cannot see yet.
    #[inline]
    pub(crate) fn commit(&mut self, len: usize) -> Result<()> {
        self.check()?;
        self.handle.look(|end| end.commit(len))?;
        self.unpublished = true;
        Ok(())
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

    /// Shows the kernel everything that was committed, and wakes it as `wake` says.
    #[inline]
    pub(crate) fn publish(&mut self, wake: Wake) -> Result<()> {
        match (self.show(wake)?, wake) {
            (false, _) => Ok(()),
            (true, Wake::Force) => self.handle.device.notify_flushed(Direction::Input),
            (true, _) => self.handle.device.notify(Direction::Input),
        }
    }

    /// Shows the kernel what was committed and not published.
    pub(crate) fn flush(&mut self) -> Result<()> {
        if self.unpublished {
            self.publish(Wake::Normal)?;
        }
        Ok(())
    }

    /// Empties the queue and resumes with it.
    pub(crate) fn reset(&mut self) -> Result<()> {
        self.handle.reset()?;
        self.unpublished = false;
        Ok(())
    }

    /// Resumes with a queue that someone else has reset.
    pub(crate) fn renew(&mut self) -> Result<()> {
        self.handle.renew()?;
        self.unpublished = false;
        Ok(())
    }

    pub(crate) fn device(&self) -> Arc<Device> {
        self.handle.device.clone()
    }

    /// Wakes the kernel, if it sleeps, after an enqueue that failed. Returns the error to report.
    #[cold]
    pub(crate) fn found_full(&mut self) -> Error {
        self.handle.end.publish();
        self.unpublished = false;
        if self.handle.end.must_wake_full() {
            if let Err(error) = self.handle.device.notify_flushed(Direction::Input) {
                return error;
            }
        }
        Error::Full
    }

    /// Fails in a child, if the driver is gone, or if the queue was reset.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        self.handle.check_owner()?;
        if self.handle.info().gone() {
            return Err(Error::Gone);
        }
        self.handle.check_generation()
    }
}

impl<L: Layout> AsFd for Outgoing<L> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}
