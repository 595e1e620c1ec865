// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sessions of `/dev/iostream`, whose other side the program chooses.

use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use crate::notify::timeout_ns;
#[cfg(doc)]
use crate::Error;
use crate::{EndpointStats, Result, Session, Setup};

/// A session of the built-in device `/dev/iostream`, with the queues and the endpoint on the
/// kernel's side that a [`Setup`] asked for: an echo, a source or a sink.
///
/// It is for tests, measurements and first steps. It dereferences to its [`Session`], from which the
/// ends are taken, and can be cloned like one.
///
/// # Examples
///
/// ```no_run
/// use iostream::Setup;
///
/// # fn main() -> std::io::Result<()> {
/// let built_in = Setup::source(16, 64).open()?;
/// let mut consumer = built_in.consumer()?;
/// // The source makes ten entries in this very call.
/// built_in.run(10, None).result?;
/// assert!(consumer.dequeue()?.len() >= 16);
/// # Ok(())
/// # }
/// ```
///
/// The sessions of drivers' nodes have no such operations:
///
/// ```compile_fail,E0599
/// # fn main() -> std::io::Result<()> {
/// iostream::Session::open("ticker")?.run(10, None).result
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct BuiltIn {
    session: Session,
}

/// What [`BuiltIn::run`] did.
#[derive(Debug)]
#[non_exhaustive]
#[must_use]
pub struct Run {
    /// How many entries were moved, even if the run ended with an error.
    pub entries: u64,
    /// How the run ended.
    pub result: Result<()>,
}

impl BuiltIn {
    /// The path of the built-in device.
    pub const PATH: &'static str = "/dev/iostream";

    /// Makes the queues and the endpoint of a session of the built-in device, which is possible once
    /// in a session. [`Setup::open`] opens the device as well.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if the session is one of another device; [`Error::AlreadySetUp`] if
    /// the session has queues; [`Error::InvalidArgument`] if the request contradicts itself;
    /// [`Error::Overflow`], [`Error::LimitExceeded`] or [`Error::Quota`] if it asks for too much
    /// capacity; [`Error::RateTooHigh`] if it asks for too high a rate; [`Error::OutOfMemory`] if
    /// there is not enough memory.
    pub fn set_up(session: Session, setup: &Setup) -> Result<Self> {
        let request = setup.request()?;
        let limit = session.device_info().max_queue_bytes;
        let done = session.device().set_up(request);
        done.map_err(|errno| setup.explain(errno, limit))?;
        Ok(Self { session })
    }

    /// Runs the endpoint in this thread, without pauses.
    ///
    /// The run ends after `entries` entries (0: no limit), or when no entry has moved for `timeout`
    /// (`None`: no limit). A signal ends it as well. Other threads can use the session's ends
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// [`Run::result`] is [`Error::TimedOut`] or [`Error::Interrupted`] if the run ended early;
    /// [`Error::Busy`] if another thread or a timer runs the endpoint; [`Error::Corrupt`] if this
    /// process wrote an invalid position or header; [`Error::Gone`] if the device is gone.
    pub fn run(&self, entries: u64, timeout: Option<Duration>) -> Run {
        self.run_batched(entries, 1, timeout)
    }

    /// Runs the endpoint like [`Self::run`]; a source publishes `batch` entries together, up to
    /// 65536.
    ///
    /// # Errors
    ///
    /// Those of [`Self::run`]; [`Error::LimitExceeded`] if `batch` is too large.
    pub fn run_batched(&self, entries: u64, batch: u32, timeout: Option<Duration>) -> Run {
        let device = self.session.device();
        let (entries, result) = device.run(entries, timeout_ns(timeout), batch);
        Run { entries, result }
    }

    /// The statistics of the endpoint.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`] if the device is gone.
    pub fn endpoint_stats(&self) -> Result<EndpointStats> {
        Ok(self.session.device().endpoint_counters()?.into())
    }

    /// Returns the session. The endpoint stays, and works as long as the session lasts.
    pub fn into_session(self) -> Session {
        self.session
    }
}

impl Deref for BuiltIn {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl From<BuiltIn> for Session {
    fn from(built_in: BuiltIn) -> Self {
        built_in.session
    }
}

impl AsFd for BuiltIn {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.session.as_fd()
    }
}

impl AsRawFd for BuiltIn {
    fn as_raw_fd(&self) -> RawFd {
        self.session.as_raw_fd()
    }
}
