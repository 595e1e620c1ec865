// SPDX-License-Identifier: MIT OR Apache-2.0

//! What consumers of entries and receivers of buffers have in common: the consuming end of an output
//! queue, whatever the layout of its entries.

mod waiting;

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use iostream_ring::{Framed, Layout};

use crate::handle::Handle;
use crate::pace::Pace;
use crate::sys::{ConsumerEnd, Device};
use crate::{Direction, Error, Result};

/// The consuming end of an output queue.
pub(crate) struct Incoming<L: Layout = Framed> {
    pub(crate) handle: Handle<ConsumerEnd<L>>,
    /// Entries were released, and the kernel does not know of it yet.
    unpublished: bool,
    pace: Pace,
}

impl<L: Layout> Incoming<L> {
    pub(crate) fn new(device: Arc<Device>, end: ConsumerEnd<L>) -> Result<Self> {
        Ok(Self {
            handle: Handle::new(device, end)?,
            unpublished: false,
            pace: Pace::new(),
        })
    }

    /// How many bytes wait, including the overhead of entries.
    #[inline]
    pub(crate) fn available_bytes(&mut self) -> Result<u64> {
        self.handle.check_generation()?;
        self.handle.look(|end| end.available())
    }

    /// Tells the kernel about entries that were released and not published.
    #[inline]
    pub(crate) fn flush(&mut self) -> Result<()> {
        if self.unpublished {
            self.publish()?;
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
        self.unpublished |= self.handle.end.release();
        if batched {
            return Ok(());
        }
        self.publish()
    }

    /// Tells the kernel about everything that was released, and wakes it if it waits for the room.
    #[inline]
    pub(crate) fn publish(&mut self) -> Result<()> {
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

impl<L: Layout> AsFd for Incoming<L> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}
