// SPDX-License-Identifier: MIT OR Apache-2.0

//! Streams: pools of buffers that move between a driver and this process.

mod buffer;
mod clock;
mod control;
mod core;
mod descriptor;
mod info;
mod io;
mod iter;
pub mod mode;
mod receiver;
mod sender;
mod unused;

use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use iostream_ring::uapi;

pub use buffer::Buffer;
pub use clock::Clock;
pub use control::Control;
pub use info::{Discarded, Stop, StreamCounters, StreamInfo, StreamState};
pub use io::{Reader, Writer};
pub use iter::Buffers;
pub use mode::StreamMode;
pub use receiver::Receiver;
pub use sender::Sender;

use self::core::{Core, Open};
use crate::incoming::Incoming;
use crate::outgoing::Outgoing;
use crate::sys::{
    ConsumerEnd, Device, Pool, ProducerEnd, QueueKind, QueueMemory, Role, StreamPage,
};
use crate::{Error, OpenError, Result, Session, Waker};
pub(crate) use descriptor::Descriptors;
use mode::{Mode, Receives};

/// A stream whose buffers the driver fills.
pub type ReadStream = Stream<mode::Read>;
/// A stream whose buffers this process fills.
pub type WriteStream = Stream<mode::Write>;
/// A stream whose buffers both sides fill.
pub type DuplexStream = Stream<mode::Duplex>;

/// A pool of buffers that move between a driver and this process, without a copy.
///
/// Opening a stream maps its queues and all its buffers. Dropping it stops the stream and unmaps
/// them, except for buffers that are still in use. While both sides are busy, moving a buffer needs
/// no system call.
///
/// | mode | this process | where its buffers come from |
/// |---|---|---|
/// | [`ReadStream`] | reads what the driver sent | [`dequeue`](Self::dequeue), [`next`](Self::next), iterating |
/// | [`WriteStream`] | fills buffers and sends them | [`buffer`](Self::buffer) |
/// | [`DuplexStream`] | reads, changes and sends back | the same as those of a `ReadStream` |
///
/// # Errors
///
/// Unless its documentation says otherwise, each method that takes or awaits a buffer can fail with
///
/// - [`Error::Forked`] in a child of the process that opened the stream: see [Fork](crate#fork);
/// - [`Error::Gone`] once the driver is gone and all buffers that it had sent are taken;
/// - [`Error::BadDescriptor`] if the kernel sends an invalid descriptor. It is skipped: the next
///   call continues with the next buffer.
///
/// # Examples
///
/// ```no_run
/// use iostream::{WriteStream, Stop};
///
/// # fn main() -> std::io::Result<()> {
/// let mut stream = WriteStream::open("sink")?;
/// stream.start()?;
/// let mut buffer = stream.buffer_wait(None)?;
/// buffer[..5].copy_from_slice(b"hello");
/// buffer.send(5)?;
/// stream.stop(Stop::Drain { timeout: None })?;
/// # Ok(())
/// # }
/// ```
///
/// The mode is part of the type, so an operation that a mode lacks does not compile:
///
/// ```compile_fail,E0599
/// # fn main() -> std::io::Result<()> {
/// # let mut stream = iostream::ReadStream::open("pattern")?;
/// stream.dequeue()?.send(1)?; // the process only reads
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Stream<M: Mode> {
    receiver: Receiver<M>,
    sender: Sender<M>,
}

impl<M: Mode> Stream<M> {
    /// Opens the stream of a node, which is given as for [`Session::open`], and maps it.
    ///
    /// # Errors
    ///
    /// [`Error::NotAStream`] if the node has no stream; [`Error::WrongMode`] if the stream has
    /// another mode; or an error of [`Session::open`] or [`Self::from_session`].
    pub fn open(node: impl AsRef<Path>) -> Result<Self, OpenError> {
        Ok(Self::from_session(Session::open(node)?)?)
    }

    /// Maps the stream of a session, which is possible once in a session.
    ///
    /// Afterwards the stream's mode can no longer be changed.
    ///
    /// # Errors
    ///
    /// [`Error::NotAStream`] if the node has no stream; [`Error::WrongMode`] if the stream has
    /// another mode; [`Error::Busy`] if the stream or one of its queues was mapped before;
    /// [`Error::OutOfMemory`] or [`Error::Quota`] if there is not enough memory;
    /// [`Error::Mismatch`] if the device describes the stream wrongly; [`Error::Gone`] if the
    /// driver is gone.
    pub fn from_session(session: Session) -> Result<Self> {
        let device = session.into_device();
        let stream = device.stream().map_err(Error::of_stream_call)?;
        let is = StreamMode::from_raw(stream.mode)?;
        if is != M::MODE {
            let wanted = M::MODE;
            return Err(Error::WrongMode { is, wanted });
        }
        let producer =
            ProducerEnd::new(QueueMemory::map(&device, Role::Producer, QueueKind::Slots)?)?;
        let consumer =
            ConsumerEnd::new(QueueMemory::map(&device, Role::Consumer, QueueKind::Slots)?)?;
        Self::assemble(
            stream,
            Outgoing::new(device.clone(), producer)?,
            Incoming::new(device.clone(), consumer)?,
            device,
        )
    }

    pub(crate) fn assemble(
        stream: uapi::iostream_stream,
        producer: Outgoing<Descriptors>,
        consumer: Incoming<Descriptors>,
        device: Arc<Device>,
    ) -> Result<Self> {
        let room = descriptor::occupied(stream.max_buffers);
        if room > producer.handle.capacity_bytes() || room > consumer.handle.capacity_bytes() {
            return Err(Error::Mismatch("a queue is too short for all buffers"));
        }
        let page = StreamPage::map(&device, &stream)?;
        let pool = Pool::map(&device, &stream, M::MODE != StreamMode::Read)?;
        let open = Arc::new(Open {
            core: Arc::new(Core::new(pool, M::MODE, producer)),
            device,
            page,
            generation: Mutex::new(stream.generation),
        });
        Ok(Self {
            sender: Sender::new(Control { open: open.clone() }),
            receiver: Receiver::new(open, consumer),
        })
    }

    /// Splits the stream into the half at which buffers arrive and the half that sends them, so
    /// that two threads can use them.
    pub fn split(self) -> (Receiver<M>, Sender<M>) {
        (self.receiver, self.sender)
    }

    /// A handle that controls the stream, also from other threads.
    pub fn control(&self) -> Control {
        self.sender.control.clone()
    }

    /// Starts the stream, or resumes it if it is suspended.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyInState`] if the stream runs; [`Error::Gone`] if the driver is gone; other
    /// errors of the driver as [`Error::Os`].
    pub fn start(&self) -> Result<()> {
        self.sender.control.start()
    }

    /// Suspends the stream: the driver pauses, and queued buffers stay queued.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`] if the stream is stopped; [`Error::AlreadyInState`] if it is
    /// suspended; [`Error::Gone`] if the driver is gone; other errors of the driver as
    /// [`Error::Os`].
    pub fn suspend(&self) -> Result<()> {
        self.sender.control.suspend()
    }

    /// Stops the stream. Returns how many queued buffers were discarded.
    ///
    /// Buffers that are with this process stay there. Discarded buffers of the output queue are
    /// returned to the driver immediately.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyInState`] if the stream is stopped; [`Error::Gone`] if the driver is gone.
    /// With [`Stop::Drain`] also [`Error::TimedOut`] and [`Error::Interrupted`], after which the
    /// stream keeps running.
    pub fn stop(&mut self, how: Stop) -> Result<Discarded> {
        let discarded = self.sender.control.stop(how)?;
        self.receiver.return_discarded()?;
        Ok(discarded)
    }

    /// Whether the stream is running, suspended or stopped. Makes no system call.
    pub fn state(&self) -> StreamState {
        self.sender.control.state()
    }

    /// The side that fills the buffers.
    pub fn mode(&self) -> StreamMode {
        M::MODE
    }

    /// The stream's geometry and state, by a system call.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`] if the driver is gone.
    pub fn info(&self) -> Result<StreamInfo> {
        self.sender.control.info()
    }

    /// How many buffers are mapped.
    pub fn buffer_count(&self) -> usize {
        self.sender.control.buffer_count()
    }

    /// The size of each buffer's data area in bytes.
    pub fn data_bytes(&self) -> usize {
        self.sender.control.data_bytes()
    }

    /// The size of each buffer's control area in bytes, which may be 0.
    pub fn control_bytes(&self) -> usize {
        self.sender.control.control_bytes()
    }

    /// Whether the driver has added buffers since the last [`Self::refresh`]. Makes no system call.
    ///
    /// In an event loop the descriptor reports this as `EPOLLPRI`.
    pub fn has_new_buffers(&self) -> bool {
        self.sender.control.has_new_buffers()
    }

    /// Maps the buffers that the driver has added. Returns how many.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`] or [`Error::Quota`] if there is not enough memory;
    /// [`Error::Mismatch`] if the device describes the buffers wrongly; [`Error::Gone`] if the
    /// driver is gone.
    pub fn refresh(&mut self) -> Result<usize> {
        self.sender.control.refresh()
    }

    /// Notifies the driver of what was sent with [`Wake::Suppress`](crate::Wake::Suppress), if it
    /// waits for input. Returns whether it did.
    ///
    /// The driver's input callback then runs soon, with `token` as its argument. Buffers that are
    /// sent without `Suppress` do this by themselves.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyNotices`] if too many notices wait already; [`Error::Gone`] if the driver is
    /// gone.
    pub fn notify(&self, token: u32) -> Result<bool> {
        self.sender.control.notify(token)
    }

    /// Notifies the driver whether it waits for input or not.
    ///
    /// The driver's input callback then runs soon, in a thread of the kernel, with `token` as its
    /// argument.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyNotices`] if too many notices wait already; [`Error::Gone`] if the driver is
    /// gone.
    pub fn force_notify(&self, token: u32) -> Result<()> {
        self.sender.control.force_notify(token)
    }

    /// Runs the driver's input callback in this thread, with `token` as its argument.
    ///
    /// # Errors
    ///
    /// [`Error::NotOffered`] if the driver has no such callback; [`Error::Gone`] if the driver is
    /// gone; an error of the callback as [`Error::Os`].
    pub fn notify_sync(&self, token: u32) -> Result<()> {
        self.sender.control.notify_sync(token)
    }

    /// Waits until a buffer can be taken.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`] if no buffer is left and the stream is stopped; [`Error::TimedOut`] if
    /// the time is over first; or one of the errors of [`Receiver::wait`].
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<()> {
        self.receiver.wait(timeout)
    }

    /// Sets, replaces or removes what ends this stream's waits from elsewhere.
    ///
    /// Once it is woken, methods that may wait fail with [`Error::Cancelled`]: see [`Waker`].
    pub fn set_waker(&mut self, waker: Option<Waker>) {
        self.receiver.set_waker(waker);
    }

    /// Sets whether a signal ends a wait, with [`Error::Interrupted`]. At first it does not.
    ///
    /// See [`Receiver::set_interruptible`].
    pub fn set_interruptible(&mut self, interruptible: bool) {
        self.receiver.set_interruptible(interruptible);
    }

    /// Passes each buffer to `f` as it arrives, until `f` breaks. Waits for each buffer.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`] once the stream is stopped and all buffers are taken, or one of the
    /// [common errors](Self#errors).
    pub fn for_each<B>(&mut self, f: impl FnMut(Buffer<M>) -> ControlFlow<B>) -> Result<B> {
        self.receiver.for_each(f)
    }

    /// The half at which buffers arrive, for operations that are rarely needed.
    pub fn receiver(&mut self) -> &mut Receiver<M> {
        &mut self.receiver
    }

    /// The half that sends buffers, for operations that are rarely needed.
    pub fn sender(&self) -> &Sender<M> {
        &self.sender
    }

    /// Sets how often a wait looks at the queue before it sleeps.
    ///
    /// A larger number saves system calls and costs processor time. With 0 a wait sleeps immediately.
    pub fn set_spin(&mut self, looks: u32) {
        self.receiver.set_spin(looks);
    }

    /// How many system calls this crate has made for the session since it was opened.
    pub fn system_calls(&self) -> u64 {
        self.receiver.open.device.calls()
    }
}

impl<M: Receives> Stream<M> {
    /// Takes the next buffer that the driver sent.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] if no buffer waits, or one of the [common errors](Self#errors).
    #[inline]
    pub fn dequeue(&mut self) -> Result<Buffer<M>> {
        self.receiver.dequeue()
    }

    /// Waits for the next buffer that the driver sends, and takes it.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`] if no buffer is left and the stream is stopped; [`Error::TimedOut`] if
    /// the time is over first; or one of the errors of [`Self::wait`].
    #[inline]
    pub fn dequeue_wait(&mut self, timeout: Option<Duration>) -> Result<Buffer<M>> {
        self.receiver.dequeue_wait(timeout)
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
        self.receiver.next()
    }
}

impl Stream<mode::Write> {
    /// Takes an unused buffer, to be filled.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] if all buffers are with the driver or in use in this process, or one of the
    /// [common errors](Self#errors).
    #[inline]
    pub fn buffer(&mut self) -> Result<Buffer<mode::Write>> {
        self.receiver.buffer()
    }

    /// Waits for an unused buffer, and takes it, to be filled.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`] if no buffer is unused and the stream is stopped; [`Error::TimedOut`]
    /// if the time is over first; or one of the errors of [`Self::wait`].
    #[inline]
    pub fn buffer_wait(&mut self, timeout: Option<Duration>) -> Result<Buffer<mode::Write>> {
        self.receiver.buffer_wait(timeout)
    }
}

impl<M: Mode> AsFd for Stream<M> {
    /// The session's descriptor, which poll reports as readable when buffers wait.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}

impl<M: Mode> AsRawFd for Stream<M> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
