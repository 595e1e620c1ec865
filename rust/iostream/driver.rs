// SPDX-License-Identifier: GPL-2.0

//! What a driver's author needs: this page, and [`Producer`](crate::Producer) and [`Consumer`](crate::Consumer) for queues of entries
//! or [`Stream`](crate::Stream) for buffers that travel.
//!
//! A driver describes its node ([`Config`](crate::Config)), makes its ends ([`Ports::new`](crate::Ports::new),
//! [`Stream::new`](crate::Stream::new)), keeps those that it wants to use, and publishes the node
//! ([`Registration`](crate::Registration)). Dropping the registration takes everything back, whoever has the node open.
//!
//! # Two whole drivers
//!
//! `rust/drivers/iostream_ticker.rs` has a queue: a timer that produces in interrupt context.
//! `rust/drivers/template/iostream_example.rs` has a stream, and is what a driver of your own begins
//! with. The README prints both, and the tests build and run them.
//!
//! # What callbacks may do
//!
//! Callbacks run in process context and may sleep. They must not drop the registration, nor disable
//! or cancel callbacks: those wait for them. They may run at the same time in several threads.

use kernel::{cred::Credential, prelude::*};

use crate::pool::{spec::Mode, state::Stop};

/// Who opens a node.
pub struct Opener<'a> {
    /// The credentials with which the file was opened.
    pub credential: &'a Credential,
}

/// What a driver does about what its clients do. All of it has a default.
pub trait Driver: Send + Sync + 'static {
    /// A client wants to open the node. An error refuses it, and is what its open(2) returns. Nothing
    /// has been allocated for it yet; if that fails, [`closed`](Self::closed) follows at once.
    fn open(&self, _opener: &Opener<'_>) -> Result {
        Ok(())
    }

    /// A client has the node open, and its queues are there: the driver may produce from now on, also
    /// from here. Called after [`open`](Self::open) has let it in.
    fn opened(&self) {}

    /// The client is gone, its last descriptor and mapping included. Not called for a client that
    /// outlives the registration: nothing of the driver's is called after that.
    fn closed(&self) {}

    /// Entries came into an input queue that the [`Consumer`](crate::Consumer) had found empty; buffers came back to
    /// a stream in input or input-output mode whose [`receive`](crate::Stream::receive) had found
    /// none.
    fn data_available(&self) {}

    /// Room was made in an output queue that the [`Producer`](crate::Producer) had found full; buffers are free
    /// again in a stream in output mode whose [`take`](crate::Stream::take) had found none.
    fn room_available(&self) {}

    /// The stream is to run, for the first time or again. An error is what the client gets.
    ///
    /// The driver may send from here on. What it took or received and still has is its own.
    fn start(&self) -> Result {
        Ok(())
    }

    /// The stream is to pause; what is queued stays. An error is what the client gets.
    fn suspend(&self) -> Result {
        Ok(())
    }

    /// The stream stops: because the client says so, or its session ends, or the registration is
    /// dropped. When this returns the driver, and its device, use no buffer of the stream any more
    /// but those that it has as [`Buffer`](crate::Buffer); a device that a stream was made for
    /// ([`dma`](crate::StreamConfig::dma)) is at rest.
    fn stop(&self, _how: Stop) {}

    /// The client wants another mode for its session. An error refuses it; the default does.
    fn mode_change(&self, _mode: Mode) -> Result {
        Err(EOPNOTSUPP)
    }

    /// A notice of the client's, in a worker.
    fn input_callback(&self, _token: u32) {}

    /// A notice of the client's, in its own thread, which gets the result.
    fn input_sync_callback(&self, _token: u32) -> Result {
        Err(EOPNOTSUPP)
    }
}

/// A driver that does nothing about it: for sources that only produce.
pub struct NoCallbacks;

impl Driver for NoCallbacks {}
