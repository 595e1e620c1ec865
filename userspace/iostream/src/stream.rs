// SPDX-License-Identifier: MIT OR Apache-2.0

//! Streams: pools of buffers that travel between a driver and this process.

mod buffer;
mod control;
mod core;
mod descriptor;
mod free;
mod info;
mod io;
mod iter;
pub mod mode;
mod receiver;
mod sender;

use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use iostream_ring::uapi;

pub use buffer::Buffer;
pub use control::Control;
pub use info::{Discarded, Stop, StreamCounters, StreamInfo, StreamState};
pub use io::{Reader, Writer};
pub use iter::Buffers;
pub use mode::StreamMode;
pub use receiver::Receiver;
pub use sender::Sender;

use self::core::{Core, Open};
use crate::sys::{
    ConsumerEnd, Device, Pool, ProducerEnd, QueueKind, QueueMemory, Role, StreamPage,
};
use crate::{Consumer, Error, Producer, Result, Session};
pub(crate) use descriptor::Descriptors;
use mode::{Input, InputOutput, Mode, Output, Receives};

/// A stream whose buffers the driver fills.
pub type OutputStream = Stream<Output>;
/// A stream whose buffers this process fills.
pub type InputStream = Stream<Input>;
/// A stream whose buffers both sides fill.
pub type InputOutputStream = Stream<InputOutput>;

/// A pool of buffers that travel between a driver and this process, without a copy.
///
/// Opening maps the queues and all buffers; dropping it stops the stream and undoes that, except
/// for buffers that are held. While both sides are busy no buffer costs a system call.
///
/// | mode | this process | where its buffers come from |
/// |---|---|---|
/// | [`OutputStream`] | reads what the driver sent | [`dequeue`](Self::dequeue), [`next`](Self::next), iterating |
/// | [`InputStream`] | fills buffers and sends them | [`buffer`](Self::buffer) |
/// | [`InputOutputStream`] | reads, changes and sends back | as an output stream's |
///
/// Errors are as [`Receiver`] says.
///
/// # Examples
///
/// ```no_run
/// use iostream::{InputStream, Stop};
///
/// # fn main() -> iostream::Result<()> {
/// let mut stream = InputStream::open("sink")?;
/// stream.start()?;
/// let mut buffer = stream.buffer_wait(None)?;
/// buffer[..5].copy_from_slice(b"hello");
/// buffer.send(5)?;
/// stream.stop(Stop::Drain { timeout: None })?;
/// # Ok(())
/// # }
/// ```
///
/// What a mode does not have, does not compile:
///
/// ```compile_fail,E0599
/// # fn main() -> iostream::Result<()> {
/// # let mut stream = iostream::OutputStream::open("pattern")?;
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
    /// Opens the stream of a node, given by its name or by its path, and maps it.
    ///
    /// # Errors
    ///
    /// [`Error::NotAStream`] if the node has none; [`Error::WrongMode`]; as [`Session::open`] and
    /// [`Self::from_session`].
    pub fn open(node: impl AsRef<Path>) -> Result<Self> {
        Self::from_session(Session::open_named(node)?)
    }

    /// Maps the stream of a session: once in a session. The mode can no longer be changed then.
    ///
    /// # Errors
    ///
    /// [`Error::NotAStream`], [`Error::WrongMode`]; [`Error::Busy`] if it, or one of its queues, was
    /// mapped before; [`Error::OutOfMemory`], [`Error::Quota`], [`Error::Gone`],
    /// [`Error::Mismatch`].
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
            Producer::new(device.clone(), producer)?,
            Consumer::new(device.clone(), consumer)?,
            device,
        )
    }

    pub(crate) fn assemble(
        stream: uapi::iostream_stream,
        producer: Producer<Descriptors>,
        consumer: Consumer<Descriptors>,
        device: Arc<Device>,
    ) -> Result<Self> {
        let room = descriptor::occupied(stream.max_buffers);
        if room > producer.capacity_bytes() || room > consumer.capacity_bytes() {
            return Err(Error::Mismatch("a queue is too short for all buffers"));
        }
        let page = StreamPage::map(&device, &stream)?;
        let pool = Pool::map(&device, &stream, M::MODE != StreamMode::Output)?;
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

    /// The half at which buffers arrive and the half from which they go, for two threads.
    pub fn split(self) -> (Receiver<M>, Sender<M>) {
        (self.receiver, self.sender)
    }

    /// A handle with which other threads start, stop and ask.
    pub fn control(&self) -> Control {
        self.sender.control.clone()
    }

    /// As [`Control::start`].
    ///
    /// # Errors
    ///
    /// As [`Control::start`].
    pub fn start(&self) -> Result<()> {
        self.sender.control.start()
    }

    /// As [`Control::suspend`].
    ///
    /// # Errors
    ///
    /// As [`Control::suspend`].
    pub fn suspend(&self) -> Result<()> {
        self.sender.control.suspend()
    }

    /// As [`Control::stop`]; returns to the driver at once what was discarded.
    ///
    /// # Errors
    ///
    /// As [`Control::stop`].
    pub fn stop(&mut self, how: Stop) -> Result<Discarded> {
        let discarded = self.sender.control.stop(how)?;
        self.receiver.return_discarded()?;
        Ok(discarded)
    }

    /// As [`Control::state`].
    pub fn state(&self) -> StreamState {
        self.sender.control.state()
    }

    /// Who fills the buffers.
    pub fn mode(&self) -> StreamMode {
        M::MODE
    }

    /// As [`Control::info`].
    ///
    /// # Errors
    ///
    /// As [`Control::info`].
    pub fn info(&self) -> Result<StreamInfo> {
        self.sender.control.info()
    }

    /// How many buffers there are.
    pub fn buffer_count(&self) -> usize {
        self.sender.control.buffer_count()
    }

    /// The size of each buffer's data area.
    pub fn data_bytes(&self) -> usize {
        self.sender.control.data_bytes()
    }

    /// The size of each buffer's control area, which may be 0.
    pub fn control_bytes(&self) -> usize {
        self.sender.control.control_bytes()
    }

    /// As [`Control::has_new_buffers`].
    pub fn has_new_buffers(&self) -> bool {
        self.sender.control.has_new_buffers()
    }

    /// As [`Control::refresh`].
    ///
    /// # Errors
    ///
    /// As [`Control::refresh`].
    pub fn refresh(&mut self) -> Result<usize> {
        self.sender.control.refresh()
    }

    /// As [`Control::notify`].
    ///
    /// # Errors
    ///
    /// As [`Control::notify`].
    pub fn notify(&self, token: u32) -> Result<bool> {
        self.sender.control.notify(token)
    }

    /// As [`Control::force_notify`].
    ///
    /// # Errors
    ///
    /// As [`Control::force_notify`].
    pub fn force_notify(&self, token: u32) -> Result<()> {
        self.sender.control.force_notify(token)
    }

    /// As [`Control::notify_sync`].
    ///
    /// # Errors
    ///
    /// As [`Control::notify_sync`].
    pub fn notify_sync(&self, token: u32) -> Result<()> {
        self.sender.control.notify_sync(token)
    }

    /// As [`Receiver::wait`].
    ///
    /// # Errors
    ///
    /// As [`Receiver::wait`].
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<()> {
        self.receiver.wait(timeout)
    }

    /// As [`Receiver::for_each`].
    ///
    /// # Errors
    ///
    /// As [`Receiver::for_each`].
    pub fn for_each<B>(&mut self, f: impl FnMut(Buffer<M>) -> ControlFlow<B>) -> Result<B> {
        self.receiver.for_each(f)
    }

    /// The half at which buffers arrive, for what is rarely needed.
    pub fn receiver(&mut self) -> &mut Receiver<M> {
        &mut self.receiver
    }

    /// The half from which buffers go, for what is rarely needed.
    pub fn sender(&self) -> &Sender<M> {
        &self.sender
    }

    /// How often a wait looks before it sleeps, as [`Receiver::set_spin`].
    pub fn set_spin(&mut self, looks: u32) {
        self.receiver.set_spin(looks);
    }

    /// System calls that this crate made for the session since it was opened.
    pub fn system_calls(&self) -> u64 {
        self.receiver.open.device.calls()
    }
}

impl<M: Receives> Stream<M> {
    /// As [`Receiver::dequeue`].
    ///
    /// # Errors
    ///
    /// As [`Receiver::dequeue`].
    #[inline]
    pub fn dequeue(&mut self) -> Result<Buffer<M>> {
        self.receiver.dequeue()
    }

    /// As [`Receiver::dequeue_wait`].
    ///
    /// # Errors
    ///
    /// As [`Receiver::dequeue_wait`].
    #[inline]
    pub fn dequeue_wait(&mut self, timeout: Option<Duration>) -> Result<Buffer<M>> {
        self.receiver.dequeue_wait(timeout)
    }

    /// As [`Receiver::next`].
    ///
    /// # Errors
    ///
    /// As [`Receiver::next`].
    #[expect(
        clippy::should_implement_trait,
        reason = "it does not wait, which Iterator would; see `into_iter`"
    )]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Buffer<M>>> {
        self.receiver.next()
    }
}

impl Stream<Input> {
    /// As [`Receiver::buffer`].
    ///
    /// # Errors
    ///
    /// As [`Receiver::buffer`].
    #[inline]
    pub fn buffer(&mut self) -> Result<Buffer<Input>> {
        self.receiver.buffer()
    }

    /// As [`Receiver::buffer_wait`].
    ///
    /// # Errors
    ///
    /// As [`Receiver::buffer_wait`].
    #[inline]
    pub fn buffer_wait(&mut self, timeout: Option<Duration>) -> Result<Buffer<Input>> {
        self.receiver.buffer_wait(timeout)
    }
}

impl<M: Mode> AsFd for Stream<M> {
    /// The session's descriptor: readable in poll when buffers wait.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}

impl<M: Mode> AsRawFd for Stream<M> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
