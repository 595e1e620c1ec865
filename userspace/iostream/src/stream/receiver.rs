// SPDX-License-Identifier: MIT OR Apache-2.0

//! The half of a stream at which buffers arrive.

use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use iostream_ring::is_before;
use rustix::event::{eventfd, EventfdFlags};

use super::buffer::Buffer;
use super::core::Open;
use super::descriptor::{Descriptor, Descriptors};
use super::mode::{self, Mode, Receives};
use super::unused::Sleeper;
use crate::incoming::Incoming;
use crate::notify::Deadline;
use crate::sys::Place;
use crate::{Counters, Error, Result, StreamMode, Waker};

/// The half of a [`Stream`](crate::Stream) at which buffers arrive.
///
/// A receiver can be sent to another thread but not shared between threads, since the stream's
/// output queue has one consumer:
///
/// ```compile_fail,E0277
/// fn shared<T: Sync>() {}
/// shared::<iostream::Receiver<iostream::mode::Read>>();
/// ```
///
/// Buffers that a stop discarded are returned to the driver, and never delivered.
///
/// # Errors
///
/// Unless its documentation says otherwise, each method can fail with
///
/// - [`Error::Forked`] in a child of the process that opened the stream: see [Fork](crate#fork);
/// - [`Error::Gone`] once the driver is gone and all buffers that it had sent are taken;
/// - [`Error::BadDescriptor`] if the kernel sends an invalid descriptor. It is skipped: the next
///   call continues with the next buffer.
pub struct Receiver<M: Mode> {
    pub(crate) open: Arc<Open>,
    pub(crate) consumer: Incoming<Descriptors>,
    /// The eventfd that a thread sleeps on, besides the device, until a buffer is unused. Made when
    /// it is first needed.
    bell: Option<Arc<OwnedFd>>,
    mode: std::marker::PhantomData<M>,
}

impl<M: Mode> Receiver<M> {
    pub(crate) fn new(open: Arc<Open>, consumer: Incoming<Descriptors>) -> Self {
        Self {
            open,
            consumer,
            bell: None,
            mode: std::marker::PhantomData,
        }
    }

    /// Takes the next buffer that this process may use.
    pub(crate) fn take(&mut self) -> Result<Buffer<M>> {
        self.open.check_owner()?;
        if M::MODE == StreamMode::Write {
            if let Some(buffer) = self.take_unused() {
                return Ok(buffer);
            }
        }
        loop {
            let descriptor = Descriptor::from_bytes(self.consumer.find_array()?);
            let position = self.consumer.position();
            self.consumer.release(false)?;
            let lease = self.open.lend(descriptor.buffer)?;
            let core = self.open.core.clone();
            if M::MODE == StreamMode::Write {
                let mut buffer = Buffer::unused(core, lease);
                buffer.note_return(&descriptor);
                return Ok(buffer);
            }
            if is_before(position, self.open.page.discarded_pos()) {
                core.return_unread(lease)?;
                continue;
            }
            return Buffer::received(core, lease, descriptor);
        }
    }

    pub(crate) fn take_wait(&mut self, timeout: Option<Duration>) -> Result<Buffer<M>> {
        self.consumer.handle.check_waker()?;
        let deadline = Deadline::after(timeout);
        if self.consumer.handle.watermark().0 != 0 {
            self.wait_until(deadline)?;
        }
        loop {
            match self.take() {
                Err(Error::Empty) => self.wait_until(deadline)?,
                taken => return taken,
            }
        }
    }

    /// Takes the next buffer. If there is none, the task is woken when one becomes unused; for
    /// buffers that the driver sends it must await the descriptor.
    #[cfg(feature = "tokio")]
    pub(crate) fn take_or_arm(&mut self, waker: &std::task::Waker) -> Result<Buffer<M>> {
        loop {
            let taken = if self.is_due()? {
                self.take()
            } else {
                Err(Error::Empty)
            };
            match taken {
                Err(Error::Empty) => {}
                taken => return taken,
            }
            let unused = &self.open.core.unused;
            if M::MODE == StreamMode::Write && unused.arm(Sleeper::Task(waker.clone())) {
                continue;
            }
            if !self.open.is_stopped() {
                return Err(Error::Empty);
            }
            // Between the first look and the stop the driver may have sent its last buffers.
            return self.take().map_err(|error| match error {
                Error::Empty => Error::NotRunning,
                error => error,
            });
        }
    }

    /// Whether a wait for a buffer would end: without a watermark, the caller finds that out by
    /// taking one.
    #[cfg(feature = "tokio")]
    fn is_due(&mut self) -> Result<bool> {
        let unused = M::MODE == StreamMode::Write && !self.open.core.unused.is_empty();
        if unused || self.consumer.handle.watermark().0 == 0 || self.open.is_stopped() {
            return Ok(true);
        }
        match self.consumer.look() {
            Err(Error::Empty) => Ok(false),
            looked => looked.map(|()| true),
        }
    }

    fn take_unused(&self) -> Option<Buffer<M>> {
        let core = &self.open.core;
        let id = core.unused.take()?;
        let lease = core.pool.lend(id, Place::Unused)?;
        Some(Buffer::unused(core.clone(), lease))
    }

    /// Waits until a buffer can be taken.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`] if no buffer is left and the stream is stopped, so that none will
    /// come; [`Error::TimedOut`] if the time is over first; [`Error::Cancelled`] or
    /// [`Error::Interrupted`] as [`Self::set_waker`] and [`Self::set_interruptible`] say; or one of
    /// the [common errors](Self#errors).
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<()> {
        self.wait_until(Deadline::after(timeout))
    }

    fn wait_until(&mut self, deadline: Deadline) -> Result<()> {
        let open = self.open.clone();
        if M::MODE != StreamMode::Write {
            let other = || open.is_stopped().then_some(Err(Error::NotRunning));
            return self.consumer.wait_or(|| deadline, None, other);
        }
        open.check_owner()?;
        self.consumer.handle.check_waker()?;
        if !open.core.unused.is_empty() {
            return Ok(());
        }
        let bell = self.bell()?;
        let other = || {
            // Clears a signal that was meant for an earlier wait.
            let _ = rustix::io::read(&*bell, &mut [0; 8]);
            if open.core.unused.arm(Sleeper::Thread(bell.clone())) {
                return Some(Ok(()));
            }
            open.is_stopped().then_some(Err(Error::NotRunning))
        };
        let waited = self
            .consumer
            .wait_or(|| deadline, Some(bell.as_fd()), other);
        open.core.unused.disarm();
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

    /// Returns to the driver the buffers that a stop discarded. Later ones stay in the queue.
    pub(crate) fn return_discarded(&mut self) -> Result<()> {
        if M::MODE == StreamMode::Write {
            return Ok(());
        }
        loop {
            let descriptor = match self.consumer.find_array() {
                Ok(bytes) => Descriptor::from_bytes(bytes),
                Err(Error::Empty | Error::Gone) => return Ok(()),
                Err(error) => return Err(error),
            };
            if !is_before(self.consumer.position(), self.open.page.discarded_pos()) {
                return Ok(());
            }
            self.consumer.release(false)?;
            let lease = self.open.lend(descriptor.buffer)?;
            self.open.core.return_unread(lease)?;
        }
    }

    /// Passes each buffer to `f` as it arrives, until `f` breaks. Waits for each buffer.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`] once the stream is stopped and all buffers are taken, or one of the
    /// [common errors](Self#errors).
    pub fn for_each<B>(&mut self, mut f: impl FnMut(Buffer<M>) -> ControlFlow<B>) -> Result<B> {
        loop {
            if let ControlFlow::Break(value) = f(self.take_wait(None)?) {
                return Ok(value);
            }
        }
    }

    /// Sets, replaces or removes the eventfd that is signalled when buffers arrive.
    ///
    /// A program that sleeps on the eventfd alone calls [`Self::arm`] first.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if the descriptor is not an eventfd; [`Error::Gone`] if the
    /// driver is gone.
    pub fn set_eventfd(&mut self, eventfd: Option<BorrowedFd<'_>>) -> Result<()> {
        self.consumer.handle.set_eventfd(eventfd)
    }

    /// Sets a watermark, which delays waking until there is enough to do.
    ///
    /// From then on waits, poll and the eventfd treat the stream as ready when
    ///
    /// - `buffers` buffers wait;
    /// - or `latency` has passed since a buffer arrived (zero: no limit);
    /// - or the driver flushes the queue or is gone, or the stream is stopped.
    ///
    /// A watermark of 0 removes it: the stream is ready when a buffer waits.
    ///
    /// A driver that has run out of buffers to send does not flush by itself. So ask for fewer
    /// buffers than the stream has, or give a latency.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if `buffers` is more than the stream can have, if there is a
    /// latency but no watermark, or if the latency is not between 50 microseconds and an hour;
    /// [`Error::Gone`] if the driver is gone.
    pub fn set_watermark(&mut self, buffers: u32, latency: Duration) -> Result<()> {
        let bytes = super::descriptor::occupied(buffers);
        self.consumer.handle.set_watermark(bytes, latency)
    }

    /// Sets, replaces or removes what ends this receiver's waits from elsewhere.
    ///
    /// Once it is woken, methods that may wait fail with [`Error::Cancelled`]: see [`Waker`].
    pub fn set_waker(&mut self, waker: Option<Waker>) {
        self.consumer.handle.waker = waker;
    }

    /// Sets whether a signal ends a wait, with [`Error::Interrupted`]. At first it does not.
    ///
    /// A signal that comes just before the wait sleeps does not end it. Where that matters, let the
    /// signal's handler wake a [`Waker`] instead.
    pub fn set_interruptible(&mut self, interruptible: bool) {
        self.consumer.handle.interruptible = interruptible;
    }

    /// Asks for a signal on the eventfd when the next buffer arrives. Returns whether a buffer
    /// waits already.
    ///
    /// # Errors
    ///
    /// One of the [common errors](Self#errors).
    pub fn arm(&mut self) -> Result<bool> {
        self.consumer.arm()
    }

    /// Sets how often a wait looks at the queue before it sleeps.
    ///
    /// A larger number saves system calls and costs processor time. With 0 a wait sleeps immediately.
    pub fn set_spin(&mut self, looks: u32) {
        self.consumer.handle.spin = looks;
    }

    /// The kernel's counters of the output queue. Makes no system call.
    pub fn counters(&self) -> Counters {
        self.consumer.handle.counters()
    }
}

impl<M: Receives> Receiver<M> {
    /// Takes the next buffer that the driver sent.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] if no buffer waits, or one of the [common errors](Self#errors).
    #[inline]
    pub fn dequeue(&mut self) -> Result<Buffer<M>> {
        self.take()
    }

    /// Waits for the next buffer that the driver sends, and takes it.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`] if no buffer is left and the stream is stopped; [`Error::TimedOut`] if
    /// the time is over first; or one of the errors of [`Self::wait`].
    #[inline]
    pub fn dequeue_wait(&mut self, timeout: Option<Duration>) -> Result<Buffer<M>> {
        self.take_wait(timeout)
    }

    /// Takes the next buffer that the driver sent, or returns `None` if no buffer waits.
    ///
    /// It is made for `while let` loops.
    ///
    /// # Errors
    ///
    /// One of the [common errors](Self#errors).
    #[expect(
        clippy::should_implement_trait,
        reason = "it does not wait, which Iterator would; see `into_iter`"
    )]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Buffer<M>>> {
        match self.take() {
            Ok(buffer) => Ok(Some(buffer)),
            Err(Error::Empty) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Receiver<mode::Write> {
    /// Takes an unused buffer, to be filled.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] if all buffers are with the driver or in use in this process, or one of the
    /// [common errors](Self#errors).
    #[inline]
    pub fn buffer(&mut self) -> Result<Buffer<mode::Write>> {
        self.take()
    }

    /// Waits for an unused buffer, and takes it, to be filled.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`] if no buffer is unused and the stream is stopped; [`Error::TimedOut`]
    /// if the time is over first; or one of the errors of [`Self::wait`].
    #[inline]
    pub fn buffer_wait(&mut self, timeout: Option<Duration>) -> Result<Buffer<mode::Write>> {
        self.take_wait(timeout)
    }
}

impl<M: Mode> AsFd for Receiver<M> {
    /// The session's descriptor, which poll reports as readable when buffers wait.
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
