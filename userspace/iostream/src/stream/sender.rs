// SPDX-License-Identifier: MIT OR Apache-2.0

//! The half of a stream from which buffers go to the driver.

use std::marker::PhantomData;
use std::ops::Range;
use std::os::fd::BorrowedFd;

use super::buffer::Buffer;
use super::control::Control;
use super::mode::{Mode, Writes};
use crate::{Direction, Error, Result, Wake};

/// The half of a [`Stream`](crate::Stream) from which buffers go to the driver.
///
/// Buffers go back by themselves, too, when dropped or [`sent`](Buffer::send), from any thread. A
/// sender takes those of its own stream alone; it is cheap to clone.
#[derive(Debug)]
pub struct Sender<M: Mode> {
    pub(crate) control: Control,
    mode: PhantomData<M>,
}

impl<M: Mode> Sender<M> {
    pub(crate) fn new(control: Control) -> Self {
        Self {
            control,
            mode: PhantomData,
        }
    }

    /// Returns a buffer, as dropping it does.
    pub fn give_back(&self, buffer: Buffer<M>) {
        drop(buffer);
    }

    /// Starting, stopping and asking.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Sets, replaces or removes the eventfd that is signalled when the driver has taken what was
    /// sent and its queue has room again.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if it is no eventfd; [`Error::Gone`].
    pub fn set_eventfd(&self, eventfd: Option<BorrowedFd<'_>>) -> Result<()> {
        let device = &self.control.open.device;
        device.set_eventfd(Direction::Input, eventfd)
    }
}

impl<M: Writes> Sender<M> {
    /// Sends `len` bytes of a buffer, as [`Buffer::send`] does.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if it is another stream's; else as [`Buffer::send`].
    pub fn send(&self, buffer: Buffer<M>, len: usize) -> Result<()> {
        self.send_with(buffer, len, Wake::Normal)
    }

    /// As [`Self::send`], with a say in whether the driver is woken.
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    pub fn send_with(&self, buffer: Buffer<M>, len: usize, wake: Wake) -> Result<()> {
        self.check(&buffer)?;
        buffer.send_with(len, wake)
    }

    /// Sends a range of a buffer's data area.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if it is another stream's; else as [`Buffer::send_range`].
    pub fn send_range(&self, buffer: Buffer<M>, range: Range<usize>) -> Result<()> {
        self.check(&buffer)?;
        buffer.send_range(range)
    }

    fn check(&self, buffer: &Buffer<M>) -> Result<()> {
        if buffer.is_of(&self.control.open.core) {
            return Ok(());
        }
        Err(Error::InvalidArgument("the buffer is of another stream"))
    }
}

impl<M: Mode> Clone for Sender<M> {
    fn clone(&self) -> Self {
        Self::new(self.control.clone())
    }
}
