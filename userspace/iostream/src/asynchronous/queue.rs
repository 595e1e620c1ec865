// SPDX-License-Identifier: MIT OR Apache-2.0

//! The ends of queues.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{ready, Context, Poll};

use tokio::io::Interest;

use super::Reactor;
use crate::{Consumer, Error, Producer, Received, Result};

/// The consuming end of an output queue in an async program.
///
/// As a [`futures_core::Stream`] it gives copies of the entries, and ends once the driver is gone;
/// [`Self::dequeue`] lends them in place.
///
/// # Examples
///
/// ```no_run
/// # async fn run() -> iostream::Result<()> {
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
    /// The consumer for an async program, within tokio's runtime.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] if the process has too many descriptors.
    ///
    /// # Panics
    ///
    /// Outside a runtime, or in one whose reactor is not enabled.
    pub fn into_async(self) -> Result<AsyncConsumer> {
        Ok(AsyncConsumer {
            reactor: Reactor::new(&self, Interest::READABLE)?,
            consumer: self,
        })
    }
}

impl AsyncConsumer {
    /// Takes the next entry in place, once there is one. Cancelled, it takes none.
    ///
    /// # Errors
    ///
    /// As [`Consumer::dequeue`], but for [`Error::Empty`].
    pub async fn dequeue(&mut self) -> Result<Received<'_>> {
        self.wait().await?;
        self.consumer.dequeue()
    }

    /// Waits until an entry is there.
    ///
    /// # Errors
    ///
    /// As [`Consumer::wait`], but for [`Error::TimedOut`].
    pub async fn wait(&mut self) -> Result<()> {
        poll_fn(|context| self.poll_entry(context)).await
    }

    /// The consumer, for all that does not wait.
    pub fn get_mut(&mut self) -> &mut Consumer {
        &mut self.consumer
    }

    /// The consumer again.
    pub fn into_inner(self) -> Consumer {
        self.consumer
    }

    fn poll_entry(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            match self.consumer.find() {
                Err(Error::Empty) => {}
                found => return Poll::Ready(found.map(drop)),
            }
            let mut guard = ready!(self.reactor.poll_readable(context))?;
            match self.consumer.find() {
                Err(Error::Empty) => guard.clear_ready(),
                found => return Poll::Ready(found.map(drop)),
            }
        }
    }
}

impl futures_core::Stream for AsyncConsumer {
    type Item = Result<Vec<u8>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match ready!(self.poll_entry(context)) {
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
    /// The producer for an async program, within tokio's runtime.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] if the process has too many descriptors.
    ///
    /// # Panics
    ///
    /// Outside a runtime, or in one whose reactor is not enabled.
    pub fn into_async(self) -> Result<AsyncProducer> {
        Ok(AsyncProducer {
            reactor: Reactor::new(&self, Interest::WRITABLE)?,
            producer: self,
        })
    }
}

impl AsyncProducer {
    /// Appends one entry by copy, once there is room. Cancelled, it appends none.
    ///
    /// # Errors
    ///
    /// As [`Producer::enqueue`], but for [`Error::Full`].
    pub async fn enqueue(&mut self, bytes: &[u8]) -> Result<()> {
        poll_fn(|context| self.poll_enqueue(context, bytes)).await
    }

    /// The producer, for all that does not wait.
    pub fn get_mut(&mut self) -> &mut Producer {
        &mut self.producer
    }

    /// The producer again.
    pub fn into_inner(self) -> Producer {
        self.producer
    }

    fn poll_enqueue(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<()>> {
        loop {
            match self.producer.enqueue(bytes) {
                Err(Error::Full) => {}
                done => return Poll::Ready(done),
            }
            // The length was right, or there would have been another error.
            let need =
                iostream_ring::occupied_bytes(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
            if self.producer.arm_room(need)? {
                continue;
            }
            let mut guard = ready!(self.reactor.poll_writable(context))?;
            // Once more after arming, so that never both sides sleep: a full queue wakes the other.
            match self.producer.enqueue(bytes) {
                Err(Error::Full) => guard.clear_ready(),
                done => return Poll::Ready(done),
            }
        }
    }
}
