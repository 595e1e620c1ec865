// SPDX-License-Identifier: MIT OR Apache-2.0

//! The half of a stream that sends buffers to the driver.

use std::marker::PhantomData;
use std::ops::Range;
use std::os::fd::BorrowedFd;

use super::buffer::Buffer;
use super::control::Control;
use super::mode::{Mode, Writes};
use crate::{Direction, Error, Result, Wake};

/// The half of a [`Stream`](crate::Stream) that sends buffers to the driver.
///
/// It is cheap to clone. It sends only buffers of its own stream. A buffer can also be
/// [sent](Buffer::send) or dropped without it, from any thread.
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

    /// Gives a buffer back, which does the same as dropping it.
    pub fn give_back(&self, buffer: Buffer<M>) {
        drop(buffer);
    }

    /// The handle that starts, stops and inspects the stream.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Sets, replaces or removes the eventfd that is signalled when the driver has taken buffers
    /// and the input queue has room again.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if the descriptor is not an eventfd; [`Error::Gone`] if the
    /// driver is gone.
    pub fn set_eventfd(&self, eventfd: Option<BorrowedFd<'_>>) -> Result<()> {
        self.control.open.check_owner()?;
        let device = &self.control.open.device;
        device.set_eventfd(Direction::Input, eventfd)
    }
}

impl<M: Writes> Sender<M> {
    /// Sends the first `len` bytes of a buffer.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if the buffer belongs to another stream, or an error of
    /// [`Buffer::send`].
    pub fn send(&self, buffer: Buffer<M>, len: usize) -> Result<()> {
        self.send_with(buffer, len, Wake::Normal)
    }

    /// Sends the first `len` bytes of a buffer; `wake` decides whether the driver is woken.
    ///
    /// # Errors
    ///
    /// Those of [`Self::send`].
    pub fn send_with(&self, buffer: Buffer<M>, len: usize, wake: Wake) -> Result<()> {
        self.check(&buffer)?;
        buffer.send_with(len, wake)
    }

    /// Sends a range of a buffer's data area.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if the buffer belongs to another stream, or an error of
    /// [`Buffer::send_range`].
    pub fn send_range(&self, buffer: Buffer<M>, range: Range<usize>) -> Result<()> {
        self.check(&buffer)?;
        buffer.send_range(range)
    }

    fn check(&self, buffer: &Buffer<M>) -> Result<()> {
        if buffer.is_of(&self.control.open.core) {
            return Ok(());
        }
        Err(Error::InvalidArgument(
            "the buffer belongs to another stream",
        ))
    }
}

impl<M: Mode> Clone for Sender<M> {
    fn clone(&self) -> Self {
        Self::new(self.control.clone())
    }
}
