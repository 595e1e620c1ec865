// SPDX-License-Identifier: MIT OR Apache-2.0

//! Streams, in an async program.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{ready, Context, Poll};

use tokio::io::Interest;

use super::{in_turn, Reactor};
use crate::mode::{self, Mode, Receives};
use crate::{Buffer, Error, Receiver, Result, Sender, Stream};

/// The half of a stream at which buffers arrive, in an async program.
///
/// As a [`futures_core::Stream`] it returns the buffers as they arrive, and ends once the stream is
/// stopped or the driver is gone, and all buffers that the driver sent are taken.
///
/// Buffers go back when they are dropped or sent, which never waits.
///
/// # Examples
///
/// ```no_run
/// use iostream::ReadStream;
///
/// # async fn run() -> std::io::Result<()> {
/// let (mut frames, sender) = ReadStream::open("pattern")?.into_async()?;
/// sender.control().start()?;
/// loop {
///     let frame = frames.dequeue().await?;
///     println!("{} bytes", frame.len());
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct AsyncReceiver<M: Mode> {
    receiver: Receiver<M>,
    reactor: Reactor,
}

impl<M: Mode> Stream<M> {
    /// Splits the stream, and prepares the receiving half for an async program.
    ///
    /// # Errors
    ///
    /// [`Error::NoRuntime`] outside a tokio runtime; [`Error::Os`] if the process has too many
    /// descriptors.
    ///
    /// # Panics
    ///
    /// Panics if the runtime's reactor is not enabled (`enable_io`).
    pub fn into_async(self) -> Result<(AsyncReceiver<M>, Sender<M>)> {
        let (receiver, sender) = self.split();
        Ok((receiver.into_async()?, sender))
    }
}

impl<M: Mode> Receiver<M> {
    /// Prepares the receiver for an async program.
    ///
    /// # Errors
    ///
    /// [`Error::NoRuntime`] outside a tokio runtime; [`Error::Os`] if the process has too many
    /// descriptors.
    ///
    /// # Panics
    ///
    /// Panics if the runtime's reactor is not enabled (`enable_io`).
    pub fn into_async(self) -> Result<AsyncReceiver<M>> {
        Ok(AsyncReceiver {
            reactor: Reactor::new(&self, Interest::READABLE)?,
            receiver: self,
        })
    }
}

impl<M: Mode> AsyncReceiver<M> {
    /// The receiver, for operations that do not wait.
    pub fn get_mut(&mut self) -> &mut Receiver<M> {
        &mut self.receiver
    }

    /// Returns the receiver.
    pub fn into_inner(self) -> Receiver<M> {
        self.receiver
    }

    fn poll_take(&mut self, context: &mut Context<'_>) -> Poll<Result<Buffer<M>>> {
        loop {
            match self.receiver.take_or_arm(context.waker()) {
                Err(Error::Empty) => {}
                taken => return Poll::Ready(taken),
            }
            let mut guard = ready!(self.reactor.poll_readable(context))?;
            match self.receiver.take_or_arm(context.waker()) {
                Err(Error::Empty) => guard.clear_ready(),
                taken => return Poll::Ready(taken),
            }
        }
    }
}

impl<M: Receives> AsyncReceiver<M> {
    /// Waits for the next buffer that the driver sends, and takes it. If the future is dropped, no
    /// buffer is taken.
    ///
    /// # Errors
    ///
    /// Those of [`Receiver::dequeue_wait`], except [`Error::TimedOut`].
    pub async fn dequeue(&mut self) -> Result<Buffer<M>> {
        poll_fn(|context| in_turn(context, |context| self.poll_take(context))).await
    }
}

impl AsyncReceiver<mode::Write> {
    /// Waits for an unused buffer, and takes it, to be filled. If the future is dropped, no buffer
    /// is taken.
    ///
    /// # Errors
    ///
    /// Those of [`Receiver::buffer_wait`], except [`Error::TimedOut`].
    pub async fn buffer(&mut self) -> Result<Buffer<mode::Write>> {
        poll_fn(|context| in_turn(context, |context| self.poll_take(context))).await
    }
}

impl<M: Receives> futures_core::Stream for AsyncReceiver<M> {
    type Item = Result<Buffer<M>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let receiver = self.get_mut();
        match ready!(in_turn(context, |context| receiver.poll_take(context))) {
            Err(Error::NotRunning | Error::Gone) => Poll::Ready(None),
            item => Poll::Ready(Some(item)),
        }
    }
}
