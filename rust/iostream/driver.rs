// SPDX-License-Identifier: GPL-2.0

//! The trait that a driver implements, and an introduction for its author.
//!
//! A driver of queues works with [`Producer`](crate::Producer) and [`Consumer`](crate::Consumer).
//! A driver of buffers that travel works with [`Stream`](crate::Stream).
//!
//! A driver describes its node ([`Config`](crate::Config)), creates its ends
//! ([`Ports::new`](crate::Ports::new), [`Stream::new`](crate::Stream::new)), keeps those that it
//! wants to use, and publishes the node ([`Registration`](crate::Registration)). Dropping the
//! registration takes everything back, even while clients have the node open.
//!
//! # Two complete drivers
//!
//! `rust/drivers/iostream_ticker.rs` has a queue: a timer produces entries in interrupt context.
//! `rust/drivers/template/iostream_example.rs` has a stream, and is a starting point for a driver
//! of your own. The README prints both, and the tests build and run them.
//!
//! # What callbacks may do
//!
//! Callbacks run in process context and may sleep. They may run at the same time in several
//! threads:
//!
//! | | |
//! |---|---|
//! | `start`, `suspend`, `stop` of one session | never overlap each other |
//! | `data_available`, `room_available` of a stream | only between a successful `start` and the next `suspend` or `stop`; they can overlap each other |
//! | `data_available`, `room_available` of a queue | at any time between `opened` and `closed`, in several threads at once; a call that was asked for by `call_again` also later |
//! | `open`, `opened`, `closed` | with those of other sessions, if the node serves several |
//! | anything | after the registration was dropped: nothing |
//!
//! A callback must not drop the registration, nor disable or cancel callbacks: these calls wait
//! until no callback runs. It often runs in the thread of a client, which must not be kept for long: it
//! returns after some entries or buffers, and asks to be called again
//! ([`Consumer::call_again`](crate::Consumer::call_again),
//! [`Stream::call_again`](crate::Stream::call_again)).

use kernel::{cred::Credential, prelude::*};

use crate::pool::{spec::Mode, state::Stop};

/// The process or module that opens a node.
pub struct Opener<'a> {
    /// The credentials with which the file was opened.
    pub credential: &'a Credential,
}

/// The callbacks of a driver. All of them have a default.
///
/// # Examples
///
/// A timer that runs while the stream runs. Dropping its handle waits for a tick that is running, so
/// that the driver touches no buffer when `stop` returns:
///
/// ```rust,ignore,from:rust/drivers/iostream_pattern.rs
/// fn start(&self) -> Result {
///     if !self.source.interval.is_zero() {
///         let timer = self.source.clone().start(self.source.interval);
///         *self.timer.lock() = Some(timer);
///     }
///     Ok(())
/// }
///
/// fn suspend(&self) -> Result {
///     self.stop_timer();
///     Ok(())
/// }
///
/// fn stop(&self, _how: Stop) {
///     self.stop_timer();
/// }
/// ```
pub trait Driver: Send + Sync + 'static {
    /// A client wants to open the node. An error refuses the client: its open(2) returns the error.
    ///
    /// Nothing has been allocated for the client yet. If an allocation fails afterwards,
    /// [`closed`](Self::closed) follows at once.
    fn open(&self, _opener: &Opener<'_>) -> Result {
        Ok(())
    }

    /// A client has opened the node and its queues exist: the driver may produce from now on, even
    /// from inside this call.
    fn opened(&self) {}

    /// The client has closed its last descriptor and removed its last mapping. What it had published
    /// before was taken, or the time for that is over
    /// ([`Config::drain_at_close`](crate::Config::drain_at_close)). Not called if the registration
    /// was dropped first: no callback runs after that.
    fn closed(&self) {}

    /// An input queue has entries again, after the [`Consumer`](crate::Consumer) found it empty. Or
    /// the client has sent buffers of a stream in input or input-output mode, after
    /// [`receive`](crate::Stream::receive) found none.
    fn data_available(&self) {}

    /// An output queue has room again, after the [`Producer`](crate::Producer) found it full. Or
    /// buffers of a stream in output mode are free again, after [`take`](crate::Stream::take) found
    /// none.
    fn room_available(&self) {}

    /// Starts the stream, or resumes it after [`suspend`](Self::suspend). The client gets the
    /// error.
    ///
    /// The driver may send as soon as this is called. It keeps the buffers that it still holds.
    fn start(&self) -> Result {
        Ok(())
    }

    /// Pauses the stream; what is queued stays queued. The client gets the error.
    fn suspend(&self) -> Result {
        Ok(())
    }

    /// Stops the stream, because the client asked for it, its session ends, or the registration is
    /// dropped.
    ///
    /// When this returns, the driver and its device use no buffer of the stream except those that
    /// the driver holds as [`Buffer`](crate::Buffer). A device that the stream was declared for
    /// ([`dma`](crate::StreamConfig::dma)) is at rest.
    fn stop(&self, _how: Stop) {}

    /// The client asks for another mode for its session. An error refuses it, as the default does.
    fn mode_change(&self, _mode: Mode) -> Result {
        Err(EOPNOTSUPP)
    }

    /// The client has sent a notice. Called in a worker.
    fn input_callback(&self, _token: u32) {}

    /// The client has sent a notice and waits. Called in the client's thread, which gets the
    /// result.
    fn input_sync_callback(&self, _token: u32) -> Result {
        Err(EOPNOTSUPP)
    }
}

/// A driver without callbacks, for sources that only produce.
pub struct NoCallbacks;

impl Driver for NoCallbacks {}
