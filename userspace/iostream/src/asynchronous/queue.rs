// SPDX-License-Identifier: MIT OR Apache-2.0

//! The ends of queues, in an async program.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{ready, Context, Poll};

use tokio::io::Interest;

use super::{in_turn, Reactor};
use crate::{Consumer, Error, Producer, Received, Result};

/// The consuming end of an output queue in an async program.
///
/// [`Self::dequeue`] lends entries in place. As a [`futures_core::Stream`] it returns copies of the
/// entries, and ends once the driver is gone and all entries that it had queued are taken.
///
/// # Examples
///
/// ```no_run
/// # async fn run() -> std::io::Result<()> {
/// # let session = iostream::Setup::source(16, 64).rate(10).open()?;
/// let mut consumer = session.consumer()?.into_async()?;
/// loop {
///     let entry = consumer.dequeue().await?;
///     println!("{} bytes", entry.len());
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct AsyncConsumer {
    consumer: Consumer,
    reactor: Reactor,
}

impl Consumer {
    /// Prepares the consumer for an async program.
    ///
    /// # Errors
    ///
    /// [`Error::NoRuntime`] outside a tokio runtime; [`Error::Os`] if the process has too many
    /// descriptors.
    ///
    /// # Panics
    ///
    /// Panics if the runtime's reactor is not enabled (`enable_io`).
    pub fn into_async(self) -> Result<AsyncConsumer> {
        Ok(AsyncConsumer {
            reactor: Reactor::new(&self, Interest::READABLE)?,
            consumer: self,
        })
    }
}

impl AsyncConsumer {
    /// Waits as [`Self::wait`] does, and takes the next entry in place. If the future is dropped,
    /// no entry is taken.
    ///
    /// # Errors
    ///
    /// Those of [`Consumer::dequeue`], except [`Error::Empty`].
    pub async fn dequeue(&mut self) -> Result<Received<'_>> {
        self.wait().await?;
        self.consumer.dequeue()
    }

    /// Waits until an entry is in the queue; with a [watermark](Consumer::set_watermark), until the
    /// queue is ready.
    ///
    /// # Errors
    ///
    /// Those of [`Consumer::wait`], except [`Error::TimedOut`].
    pub async fn wait(&mut self) -> Result<()> {
        poll_fn(|context| in_turn(context, |context| self.poll_entry(context))).await
    }

    /// The consumer, for operations that do not wait.
    pub fn get_mut(&mut self) -> &mut Consumer {
        &mut self.consumer
    }

    /// Returns the consumer.
    pub fn into_inner(self) -> Consumer {
        self.consumer
    }

    fn poll_entry(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            match self.consumer.look() {
                Err(Error::Empty) => {}
                found => return Poll::Ready(found),
            }
            let mut guard = ready!(self.reactor.poll_readable(context))?;
            match self.consumer.look() {
                Err(Error::Empty) => guard.clear_ready(),
                found => return Poll::Ready(found),
            }
        }
    }
}

impl futures_core::Stream for AsyncConsumer {
    type Item = Result<Vec<u8>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match ready!(in_turn(context, |context| self.poll_entry(context))) {
            Ok(()) => {
                let entry = self.consumer.dequeue().map(|entry| entry.to_vec());
                Poll::Ready(Some(entry))
            }
            Err(Error::Gone) => Poll::Ready(None),
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }
}

/// The producing end of an input queue in an async program.
#[derive(Debug)]
pub struct AsyncProducer {
    producer: Producer,
    reactor: Reactor,
}

impl Producer {
    /// Prepares the producer for an async program.
    ///
    /// # Errors
    ///
    /// [`Error::NoRuntime`] outside a tokio runtime; [`Error::Os`] if the process has too many
    /// descriptors.
    ///
    /// # Panics
    ///
    /// Panics if the runtime's reactor is not enabled (`enable_io`).
    pub fn into_async(self) -> Result<AsyncProducer> {
        Ok(AsyncProducer {
            reactor: Reactor::new(&self, Interest::WRITABLE)?,
            producer: self,
        })
    }
}

impl AsyncProducer {
    /// Waits for room, and copies `bytes` into the queue as one entry. If the future is dropped,
    /// nothing is written.
    ///
    /// # Errors
    ///
    /// Those of [`Producer::enqueue`], except [`Error::Full`].
    pub async fn enqueue(&mut self, bytes: &[u8]) -> Result<()> {
        poll_fn(|context| in_turn(context, |context| self.poll_enqueue(context, bytes))).await
    }

    /// The producer, for operations that do not wait.
    pub fn get_mut(&mut self) -> &mut Producer {
        &mut self.producer
    }

    /// Returns the producer.
    pub fn into_inner(self) -> Producer {
        self.producer
    }

    fn poll_enqueue(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<()>> {
        loop {
            match self.producer.enqueue(bytes) {
                Err(Error::Full) => {}
                done => return Poll::Ready(done),
            }
            // The length is valid, since `enqueue` returned no other error.
            let need =
                iostream_ring::occupied_bytes(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
            if self.producer.arm_room(need)? {
                continue;
            }
            let mut guard = ready!(self.reactor.poll_writable(context))?;
            // Tries again after arming: a full queue wakes the kernel, so that one side is awake.
            match self.producer.enqueue(bytes) {
                Err(Error::Full) => guard.clear_ready(),
                done => return Poll::Ready(done),
            }
        }
    }
}
