// SPDX-License-Identifier: GPL-2.0

//! Exclusive access to one direction of a port, which all that a driver holds is made of.
//!
//! There is one [`OutputEnd`] and one [`InputEnd`] for a port, and their methods take `&mut self`: the
//! compiler sees to it that a queue has one producer and one consumer in the kernel.

use crate::{
    channel::lane::Lane,
    error::Error,
    port::{Port, PortRef},
    queue::{config::Direction, Kind, Queue},
    ring::{self, Entry, Layout, Mapped},
};

/// The producing side of a port.
///
/// # Invariants
///
/// There is no other for the port.
pub(crate) struct OutputEnd(PortRef);

impl OutputEnd {
    /// The producing side of a port. To be called once for a port.
    pub(crate) fn new(port: PortRef) -> Self {
        // INVARIANT: It is the only one, says the caller.
        Self(port)
    }

    /// The port.
    #[inline(always)]
    pub(crate) fn port(&self) -> &PortRef {
        &self.0
    }

    /// Runs `f` with the ring of the open session, which nobody else in the kernel uses meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::NotOpen`]; [`Error::Gone`]; [`Error::Stale`]; [`Error::Invalid`]: the ring has another
    /// layout; that of `f`.
    #[inline(always)]
    pub(crate) fn with<L: Kind, R>(
        &mut self,
        f: impl FnOnce(&Lane, &mut ring::Producer<Mapped, L>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.0.with_lane(Direction::Output, |lane| {
            // SAFETY: `self` is the port's only producer and borrowed exclusively; this is inside
            // the section in which the lane was found published.
            match unsafe { lane.producer() } {
                Some(producer) => f(lane, producer),
                None => Err(Error::Invalid),
            }
        })
    }
}

/// The consuming side of a port.
///
/// # Invariants
///
/// There is no other for the port.
pub(crate) struct InputEnd(PortRef);

impl InputEnd {
    /// The consuming side of a port. To be called once for a port.
    pub(crate) fn new(port: PortRef) -> Self {
        // INVARIANT: It is the only one, says the caller.
        Self(port)
    }

    /// The port.
    #[inline(always)]
    pub(crate) fn port(&self) -> &PortRef {
        &self.0
    }

    /// Runs `f` with the ring of the open session, which nobody else in the kernel uses meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::NotOpen`]; [`Error::Gone`]; [`Error::Stale`]; [`Error::Invalid`]: the ring has another
    /// layout; that of `f`.
    #[inline(always)]
    pub(crate) fn with<L: Kind, R>(
        &mut self,
        f: impl FnOnce(&Port, &Lane, &mut ring::Consumer<Mapped, L>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let port = &self.0;
        port.with_lane(Direction::Input, |lane| {
            // SAFETY: `self` is the port's only consumer and borrowed exclusively; this is inside
            // the section in which the lane was found published.
            match unsafe { lane.consumer() } {
                Some(consumer) => f(port, lane, consumer),
                None => Err(Error::Invalid),
            }
        })
    }
}

/// The next entry; if there is none, asks to be told of the next and looks once more.
#[inline(always)]
pub(crate) fn peek<L: Layout>(
    port: &Port,
    queue: &Queue,
    consumer: &mut ring::Consumer<Mapped, L>,
) -> Result<Entry, Error> {
    let found = match consumer.peek() {
        Err(ring::Error::Empty) if port.input_watermark().0 != 0 => {
            // Who arms has published what it released.
            if consumer.released_pos() != consumer.published_pos() {
                queue.publish_consumed(consumer, 0, 0);
            }
            // What waits is taken, be it below the watermark.
            let _ = port.is_due(queue);
            consumer.peek()
        }
        Err(ring::Error::Empty) => match consumer.arm() {
            Ok(true) => consumer.peek(),
            Ok(false) => Err(ring::Error::Empty),
            Err(error) => Err(error),
        },
        found => found,
    };
    found.map_err(|error| queue.report(error, consumer.corrupt_events()))
}
