// SPDX-License-Identifier: MIT OR Apache-2.0

//! The half of a stream at which buffers arrive.

use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{eventfd, EventfdFlags};

use super::buffer::Buffer;
use super::core::Open;
use super::descriptor::{Descriptor, Descriptors};
use super::free::Sleeper;
use super::mode::{Input, Mode, Receives};
use crate::sys::Place;
use crate::{Consumer, Counters, Error, Result, StreamMode, StreamState};

/// The half of a [`Stream`](crate::Stream) at which buffers arrive.
///
/// An operation fails with [`Error::Gone`] once the driver is gone and all that it had sent is
/// taken; with [`Error::BadDescriptor`] if the kernel sends a buffer that cannot be, which is then
/// left out. What a stop discarded is returned to the driver unread, by the way.
///
/// It may be sent to another thread, but not be shared: there is one consumer.
///
/// ```compile_fail,E0277
/// fn shared<T: Sync>() {}
/// shared::<iostream::Receiver<iostream::mode::Output>>();
/// ```
pub struct Receiver<M: Mode> {
    pub(crate) open: Arc<Open>,
    pub(crate) consumer: Consumer<Descriptors>,
    /// What a thread sleeps on, besides the device, until a buffer is free. Made when needed.
    bell: Option<Arc<OwnedFd>>,
    mode: std::marker::PhantomData<M>,
}

impl<M: Mode> Receiver<M> {
    pub(crate) fn new(open: Arc<Open>, consumer: Consumer<Descriptors>) -> Self {
        Self {
            open,
            consumer,
            bell: None,
            mode: std::marker::PhantomData,
        }
    }

    /// The next buffer that this process may use.
    pub(crate) fn take(&mut self) -> Result<Buffer<M>> {
        if M::MODE == StreamMode::Input {
            if let Some(buffer) = self.take_free() {
                return Ok(buffer);
            }
        }
        loop {
            let descriptor = Descriptor::from_bytes(self.consumer.find_array()?);
            let position = self.consumer.position();
            self.consumer.release(false)?;
            let lease = self.open.lend(descriptor.buffer)?;
            let core = self.open.core.clone();
            if M::MODE == StreamMode::Input {
                let mut buffer = Buffer::unused(core, lease);
                buffer.note_return(&descriptor);
                return Ok(buffer);
            }
            // Positions run free: what is less than half the circle ahead comes later.
            let ahead = position.wrapping_sub(self.open.page.discarded_pos());
            if ahead >= 1 << 63 {
                core.return_unread(lease)?;
                continue;
            }
            return Buffer::received(core, lease, descriptor);
        }
    }

    /// As [`Self::take`], with `None` if there is none now.
    pub(crate) fn try_take(&mut self) -> Result<Option<Buffer<M>>> {
        match self.take() {
            Ok(buffer) => Ok(Some(buffer)),
            Err(Error::Empty) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn take_wait(&mut self, timeout: Option<Duration>) -> Result<Buffer<M>> {
        let deadline = crate::notify::Deadline::after(timeout);
        if self.consumer.watermark().0 != 0 {
            self.wait(deadline.left()?)?;
        }
        loop {
            match self.take() {
                Err(Error::Empty) => self.wait(deadline.left()?)?,
                taken => return taken,
            }
        }
    }

    /// As [`Self::take`], for a task that then awaits the descriptor: it is woken, too, when a buffer
    /// is free.
    #[cfg(feature = "tokio")]
    pub(crate) fn take_or_arm(&mut self, waker: &std::task::Waker) -> Result<Buffer<M>> {
        loop {
            match self.take() {
                Err(Error::Empty) => {}
                taken => return taken,
            }
            let free = &self.open.core.free;
            if M::MODE == StreamMode::Input && free.arm(Sleeper::Task(waker.clone())) {
                continue;
            }
            if StreamState::from_raw(self.open.page.state()) != StreamState::Stopped {
                return Err(Error::Empty);
            }
            // What came before the stop may have come after the first look.
            return self.take().map_err(|error| match error {
                Error::Empty => Error::NotRunning,
                error => error,
            });
        }
    }

    fn take_free(&self) -> Option<Buffer<M>> {
        let core = &self.open.core;
        let id = core.free.take()?;
        let lease = core.pool.lend(id, Place::Free)?;
        Some(Buffer::unused(core.clone(), lease))
    }

    /// Waits until a buffer is there.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`] if none is, and none will come, since the stream is stopped;
    /// [`Error::TimedOut`]. See also the type.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<()> {
        let open = self.open.clone();
        let stopped = || StreamState::from_raw(open.page.state()) == StreamState::Stopped;
        if M::MODE != StreamMode::Input {
            let other = || stopped().then_some(Err(Error::NotRunning));
            return self.consumer.wait_or(timeout, None, other);
        }
        if !open.core.free.is_empty() {
            return Ok(());
        }
        let bell = self.bell()?;
        let other = || {
            // What rang for an earlier wait is over.
            let _ = rustix::io::read(&*bell, &mut [0; 8]);
            if open.core.free.arm(Sleeper::Thread(bell.clone())) {
                return Some(Ok(()));
            }
            stopped().then_some(Err(Error::NotRunning))
        };
        let waited = self.consumer.wait_or(timeout, Some(bell.as_fd()), other);
        open.core.free.disarm();
        waited
    }

    fn bell(&mut self) -> Result<Arc<OwnedFd>> {
        if let Some(bell) = &self.bell {
            return Ok(bell.clone());
        }
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let bell = eventfd(0, flags).map_err(|errno| Error::of_call("eventfd", errno))?;
        Ok(self.bell.insert(Arc::new(bell)).clone())
    }

    /// Returns to the driver what a stop discarded; what came since stays.
    pub(crate) fn return_discarded(&mut self) -> Result<()> {
        if M::MODE == StreamMode::Input {
            return Ok(());
        }
        loop {
            let descriptor = match self.consumer.find_array() {
                Ok(bytes) => Descriptor::from_bytes(bytes),
                Err(Error::Empty | Error::Gone) => return Ok(()),
                Err(error) => return Err(error),
            };
            let ahead = self
                .consumer
                .position()
                .wrapping_sub(self.open.page.discarded_pos());
            if ahead < 1 << 63 {
                return Ok(());
            }
            self.consumer.release(false)?;
            let lease = self.open.lend(descriptor.buffer)?;
            self.open.core.return_unread(lease)?;
        }
    }

    /// Gives each buffer to `f` as it comes, until `f` breaks.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`] once the stream is stopped and all is taken. See also the type.
    pub fn for_each<B>(&mut self, mut f: impl FnMut(Buffer<M>) -> ControlFlow<B>) -> Result<B> {
        loop {
            if let ControlFlow::Break(value) = f(self.take_wait(None)?) {
                return Ok(value);
            }
        }
    }

    /// Sets, replaces or removes the eventfd that is signalled when buffers come. Who sleeps on it
    /// alone calls [`Self::arm`] first.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if it is no eventfd; [`Error::Gone`].
    pub fn set_eventfd(&mut self, eventfd: Option<BorrowedFd<'_>>) -> Result<()> {
        self.consumer.set_eventfd(eventfd)
    }

    /// Has waits, poll and the eventfd wait until so many buffers are there; or until `latency`
    /// (zero: no timer) has passed since one came; or until the driver flushes, or the stream is
    /// stopped or gone. With 0 they wait for one, as at first.
    ///
    /// A driver that has no more buffers to send does not flush by itself: ask for fewer than there
    /// are, or give a latency.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`]: more buffers than there can be, a latency without buffers, or one
    /// that is not between 50 microseconds and an hour; [`Error::Gone`].
    pub fn set_watermark(&mut self, buffers: u32, latency: Duration) -> Result<()> {
        let bytes = super::descriptor::occupied(buffers);
        self.consumer.set_watermark(bytes, latency)
    }

    /// Asks to be woken, by the eventfd, when the next buffer comes; returns whether one waits.
    ///
    /// # Errors
    ///
    /// See the type.
    pub fn arm(&mut self) -> Result<bool> {
        self.consumer.arm()
    }

    /// How often a wait looks before it sleeps. More saves system calls and costs processor time;
    /// 0 sleeps at once.
    pub fn set_spin(&mut self, looks: u32) {
        self.consumer.set_spin(looks);
    }

    /// What the kernel counts of the output queue, without a system call.
    pub fn counters(&self) -> Counters {
        self.consumer.counters()
    }
}

impl<M: Receives> Receiver<M> {
    /// Takes the next buffer that the driver sent.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`]. See also the type.
    #[inline]
    pub fn dequeue(&mut self) -> Result<Buffer<M>> {
        self.take()
    }

    /// As [`Self::dequeue`], but waits for one.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]; [`Error::NotRunning`] if the stream is stopped. See also the type.
    #[inline]
    pub fn dequeue_wait(&mut self, timeout: Option<Duration>) -> Result<Buffer<M>> {
        self.take_wait(timeout)
    }

    /// As [`Self::dequeue`], with `None` if no buffer waits: for `while let` loops.
    ///
    /// # Errors
    ///
    /// See the type.
    #[expect(
        clippy::should_implement_trait,
        reason = "it does not wait, which Iterator would; see `into_iter`"
    )]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Buffer<M>>> {
        self.try_take()
    }
}

impl Receiver<Input> {
    /// A buffer that is free to be filled.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] if the driver has them all, or others here. See also the type.
    #[inline]
    pub fn buffer(&mut self) -> Result<Buffer<Input>> {
        self.take()
    }

    /// As [`Self::buffer`], but waits for one.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`]; [`Error::NotRunning`] if the stream is stopped. See also the type.
    #[inline]
    pub fn buffer_wait(&mut self, timeout: Option<Duration>) -> Result<Buffer<Input>> {
        self.take_wait(timeout)
    }
}

impl<M: Mode> AsFd for Receiver<M> {
    /// The session's descriptor: readable in poll when buffers wait.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.open.device.as_fd()
    }
}

impl<M: Mode> AsRawFd for Receiver<M> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl<M: Mode> std::fmt::Debug for Receiver<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver")
            .field("fd", &self.as_raw_fd())
            .field("mode", &M::MODE)
            .finish_non_exhaustive()
    }
}
