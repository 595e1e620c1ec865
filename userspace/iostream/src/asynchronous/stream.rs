// SPDX-License-Identifier: MIT OR Apache-2.0

//! Streams.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{ready, Context, Poll};

use tokio::io::Interest;

use super::Reactor;
use crate::mode::{Input, Mode, Receives};
use crate::{Buffer, Error, Receiver, Result, Sender, Stream};

/// The half of a stream at which buffers arrive, in an async program.
///
/// As a [`futures_core::Stream`] it gives the buffers as they come, and ends once the stream is
/// stopped or the driver gone, and all is taken. Buffers are the same as ever: they go back when
/// dropped or sent, which never waits.
///
/// # Examples
///
/// ```no_run
/// use iostream::OutputStream;
///
/// # async fn run() -> iostream::Result<()> {
/// let (mut frames, sender) = OutputStream::open("pattern")?.into_async()?;
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
    /// The halves of the stream for an async program, within tokio's runtime.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] if the process has too many descriptors.
    ///
    /// # Panics
    ///
    /// Outside a runtime, or in one whose reactor is not enabled.
    pub fn into_async(self) -> Result<(AsyncReceiver<M>, Sender<M>)> {
        let (receiver, sender) = self.split();
        Ok((receiver.into_async()?, sender))
    }
}

impl<M: Mode> Receiver<M> {
    /// This half for an async program, within tokio's runtime.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] if the process has too many descriptors.
    ///
    /// # Panics
    ///
    /// Outside a runtime, or in one whose reactor is not enabled.
    pub fn into_async(self) -> Result<AsyncReceiver<M>> {
        Ok(AsyncReceiver {
            reactor: Reactor::new(&self, Interest::READABLE)?,
            receiver: self,
        })
    }
}

impl<M: Mode> AsyncReceiver<M> {
    /// The half, for all that does not wait.
    pub fn get_mut(&mut self) -> &mut Receiver<M> {
        &mut self.receiver
    }

    /// The half again.
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
    /// Takes the next buffer that the driver sent, once there is one. Cancelled, it takes none.
    ///
    /// # Errors
    ///
    /// As [`Receiver::dequeue_wait`], but for [`Error::TimedOut`].
    pub async fn dequeue(&mut self) -> Result<Buffer<M>> {
        poll_fn(|context| self.poll_take(context)).await
    }
}

impl AsyncReceiver<Input> {
    /// A buffer that is free to be filled, once there is one. Cancelled, it takes none.
    ///
    /// # Errors
    ///
    /// As [`Receiver::buffer_wait`], but for [`Error::TimedOut`].
    pub async fn buffer(&mut self) -> Result<Buffer<Input>> {
        poll_fn(|context| self.poll_take(context)).await
    }
}

impl<M: Receives> futures_core::Stream for AsyncReceiver<M> {
    type Item = Result<Buffer<M>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match ready!(self.get_mut().poll_take(context)) {
            Err(Error::NotRunning | Error::Gone) => Poll::Ready(None),
            item => Poll::Ready(Some(item)),
        }
    }
}
