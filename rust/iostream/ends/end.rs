// SPDX-License-Identifier: GPL-2.0

//! Exclusive access to one direction of a port, on which `Producer`, `Consumer` and `Stream` are
//! built.
//!
//! A port has one [`OutputEnd`] and one [`InputEnd`], and their methods take `&mut self`. So the
//! compiler makes sure that a queue has one producer or consumer in the kernel.

use kernel::sync::ArcBorrow;

use crate::{
    channel::lane::Lane,
    error::Error,
    port::{Port, PortRef},
    queue::{config::Direction, EndLayout, Queue},
    ring::{self, Entry, Layout, Mapped},
};

/// The producing side of a port.
///
/// # Invariants
///
/// There is no other for the port, except that whoever drops a buffer of a stream in input mode
/// sends it, under the lock that [`Self::with`] takes as well.
pub(crate) struct OutputEnd(PortRef);

impl OutputEnd {
    /// Creates the producing side of a port. The caller does this once for a port.
    pub(crate) fn new(port: PortRef) -> Self {
        // INVARIANT: The caller creates no other one for this port.
        Self(port)
    }

    /// The port.
    #[inline(always)]
    pub(crate) fn port(&self) -> &PortRef {
        &self.0
    }

    /// Runs `f` with this end of the open session's ring. Nothing else uses the end meanwhile. `f`
    /// drops no buffer of the stream.
    ///
    /// # Errors
    ///
    /// [`Error::NotOpen`]; [`Error::Gone`]; [`Error::Stopped`]; [`Error::Invalid`] if the ring has
    /// another layout; the error of `f`.
    #[inline(always)]
    pub(crate) fn with<L: EndLayout, R>(
        &mut self,
        f: impl FnOnce(&Lane, &mut ring::Producer<Mapped, L>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.with_counted(|lane, producer| f(&lane, producer))
    }

    /// Does what [`Self::with`] does. `f` can take references to the lane that outlive the call.
    ///
    /// # Errors
    ///
    /// Those of [`Self::with`].
    #[inline(always)]
    pub(crate) fn with_counted<L: EndLayout, R>(
        &mut self,
        f: impl FnOnce(ArcBorrow<'_, Lane>, &mut ring::Producer<Mapped, L>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.0.with_counted_lane(Direction::Output, |lane| {
            // Whoever drops a buffer of a stream may send it; see `Port::return_free`. Not if the
            // stream is in output mode and stays so.
            let same = lane;
            let _one = match same.pool() {
                Ok(pool) if L::OF_STREAM && !pool.spec().output_only => Some(pool.sending.lock()),
                _ => None,
            };
            // SAFETY: `self` is the port's only producer and is borrowed exclusively, and nobody
            // else is in `return_free` with an end. This is inside the section in which the lane was
            // found published.
            match unsafe { (*lane).producer() } {
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
    /// Creates the consuming side of a port. The caller does this once for a port.
    pub(crate) fn new(port: PortRef) -> Self {
        // INVARIANT: The caller creates no other one for this port.
        Self(port)
    }

    /// The port.
    #[inline(always)]
    pub(crate) fn port(&self) -> &PortRef {
        &self.0
    }

    /// Runs `f` with this end of the open session's ring. Nothing else uses the end meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::NotOpen`]; [`Error::Gone`]; [`Error::Stopped`]; [`Error::Invalid`] if the ring has
    /// another layout; the error of `f`.
    #[inline(always)]
    pub(crate) fn with<L: EndLayout, R>(
        &mut self,
        f: impl FnOnce(&Port, &Lane, &mut ring::Consumer<Mapped, L>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.with_counted(|port, lane, consumer| f(port, &lane, consumer))
    }

    /// Does what [`Self::with`] does. `f` can take references to the lane that outlive the call.
    ///
    /// # Errors
    ///
    /// Those of [`Self::with`].
    #[inline(always)]
    pub(crate) fn with_counted<L: EndLayout, R>(
        &mut self,
        f: impl FnOnce(&Port, ArcBorrow<'_, Lane>, &mut ring::Consumer<Mapped, L>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let port = &self.0;
        port.with_counted_lane(Direction::Input, |lane| {
            // SAFETY: `self` is the port's only consumer and is borrowed exclusively. This is
            // inside the section in which the lane was found published.
            match unsafe { (*lane).consumer() } {
                Some(consumer) => f(port, lane, consumer),
                None => Err(Error::Invalid),
            }
        })
    }
}

/// The next entry. If there is none, arms for the next one and looks again.
///
/// # Errors
///
/// [`Error::Empty`]; [`Error::Corrupt`].
#[inline(always)]
pub(crate) fn peek<L: Layout>(
    port: &Port,
    queue: &Queue,
    consumer: &mut ring::Consumer<Mapped, L>,
) -> Result<Entry, Error> {
    let found = match consumer.peek() {
        Err(ring::Error::Empty) if port.input_watermark().0 != 0 => {
            // `is_due` arms relative to the published position.
            if consumer.released_pos() != consumer.published_pos() {
                queue.publish_consumed(consumer, 0, 0);
            }
            // Takes what waits, even below the watermark.
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
