// SPDX-License-Identifier: MIT OR Apache-2.0

//! Starting, stopping and asking, from any thread.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;

use rustix::io::Errno;

use super::core::Open;
use crate::{
    Counters, Discarded, Error, Result, Stop, StreamCounters, StreamInfo, StreamMode, StreamState,
};

/// A handle with which a stream is started, stopped and asked, from any thread.
///
/// Cheap to clone. The stream stays open while there is one.
#[derive(Clone)]
pub struct Control {
    pub(crate) open: Arc<Open>,
}

impl Control {
    /// Starts the stream or, after a suspension, has it go on.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyInState`]; [`Error::Gone`]; else the driver's own, as [`Error::Os`].
    pub fn start(&self) -> Result<()> {
        self.open.device.start().map_err(|errno| match errno {
            Errno::ALREADY => Error::AlreadyInState(StreamState::Running),
            errno => Error::of_driver("IOSTREAM_IOC_START", errno),
        })
    }

    /// Has the driver pause. What is queued stays.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`], [`Error::AlreadyInState`]; [`Error::Gone`]; else the driver's own, as
    /// [`Error::Os`].
    pub fn suspend(&self) -> Result<()> {
        self.open.device.suspend().map_err(|errno| match errno {
            Errno::BADFD => Error::NotRunning,
            Errno::ALREADY => Error::AlreadyInState(StreamState::Suspended),
            errno => Error::of_driver("IOSTREAM_IOC_SUSPEND", errno),
        })
    }

    /// Stops the stream. Returns how many buffers that were queued it discarded.
    ///
    /// This process keeps the buffers that it has.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyInState`]; with [`Stop::Drain`] [`Error::TimedOut`] and
    /// [`Error::Interrupted`], and the stream goes on; [`Error::Gone`].
    pub fn stop(&self, how: Stop) -> Result<Discarded> {
        let (flags, timeout_ns) = how.raw();
        match self.open.device.stop(flags, timeout_ns) {
            Ok((output, input)) => Ok(Discarded { output, input }),
            Err(Errno::ALREADY) => Err(Error::AlreadyInState(StreamState::Stopped)),
            Err(errno) => Err(Error::of_driver("IOSTREAM_IOC_STOP", errno)),
        }
    }

    /// Whether it runs, without a system call.
    pub fn state(&self) -> StreamState {
        StreamState::from_raw(self.open.page.state())
    }

    /// Geometry, state and counters, by a system call.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`].
    pub fn info(&self) -> Result<StreamInfo> {
        let stream = self.open.device.stream().map_err(Error::of_stream_call)?;
        StreamInfo::new(&stream)
    }

    /// What the kernel counts of the stream, without a system call.
    pub fn counters(&self) -> StreamCounters {
        self.open.page.counters()
    }

    /// What the kernel counts of the input queue, without a system call.
    pub fn input_counters(&self) -> Counters {
        self.open.core.input_counters().unwrap_or_default()
    }

    /// Who fills the buffers.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`].
    pub fn mode(&self) -> Result<StreamMode> {
        StreamMode::from_raw(u32::try_from(self.open.page.mode()).unwrap_or(u32::MAX))
    }

    /// How many buffers there are, as far as they are mapped.
    pub fn buffer_count(&self) -> usize {
        self.open.core.pool.count() as usize
    }

    /// The size of each buffer's data area.
    pub fn data_bytes(&self) -> usize {
        self.open.core.pool.data_bytes()
    }

    /// The size of each buffer's control area, which may be 0.
    pub fn control_bytes(&self) -> usize {
        self.open.core.pool.control_bytes()
    }

    /// Whether the driver has added buffers since the last [`Self::refresh`], without a system call.
    /// In an event loop the descriptor then says `EPOLLPRI`.
    pub fn has_new_buffers(&self) -> bool {
        self.open.has_new()
    }

    /// Maps the buffers that the driver has added. Returns how many.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`], [`Error::Quota`], [`Error::Gone`], [`Error::Mismatch`].
    pub fn refresh(&self) -> Result<usize> {
        self.open.refresh()
    }

    /// Has the driver's input callback run soon, with this token, if the driver waits for input.
    /// Returns whether it did.
    ///
    /// It does what sending a buffer does by itself; it is for buffers that were sent with
    /// [`Wake::Suppress`](crate::Wake::Suppress).
    ///
    /// # Errors
    ///
    /// As [`Self::force_notify`].
    pub fn notify(&self, token: u32) -> Result<bool> {
        let wanted = self.open.core.must_wake()?;
        if wanted {
            self.force_notify(token)?;
        }
        Ok(wanted)
    }

    /// Has the driver's input callback run soon, with this token, in a thread of the kernel.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyNotices`] if too many wait already; [`Error::Gone`].
    pub fn force_notify(&self, token: u32) -> Result<()> {
        self.open.device.input(token).map_err(|errno| match errno {
            Errno::AGAIN => Error::TooManyNotices,
            errno => Error::of_driver("IOSTREAM_IOC_INPUT", errno),
        })
    }

    /// Runs the driver's input callback with this token in this thread.
    ///
    /// # Errors
    ///
    /// [`Error::NotOffered`] if the driver has none; [`Error::Gone`]; else what the callback says,
    /// as [`Error::Os`].
    pub fn notify_sync(&self, token: u32) -> Result<()> {
        let call = self.open.device.input_sync(token);
        call.map_err(|errno| match errno {
            Errno::OPNOTSUPP => Error::NotOffered("an input callback to wait for"),
            errno => Error::of_driver("IOSTREAM_IOC_INPUT_SYNC", errno),
        })
    }
}

impl AsFd for Control {
    /// The session's descriptor.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.open.device.as_fd()
    }
}

impl AsRawFd for Control {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control")
            .field("fd", &self.as_raw_fd())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
