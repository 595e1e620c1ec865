// SPDX-License-Identifier: MIT OR Apache-2.0

//! The handle that starts, stops and inspects a stream.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;

use rustix::io::Errno;

use super::core::Open;
use crate::{
    Counters, Discarded, Error, Result, Stop, StreamCounters, StreamInfo, StreamMode, StreamState,
};

/// A handle that starts, stops and inspects a stream, from any thread.
///
/// It is cheap to clone. The stream stays open as long as there is a handle.
#[derive(Clone)]
pub struct Control {
    pub(crate) open: Arc<Open>,
}

impl Control {
    /// Starts the stream, or resumes it if it is suspended.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyInState`] if the stream runs; [`Error::Gone`] if the driver is gone; other
    /// errors of the driver as [`Error::Os`].
    pub fn start(&self) -> Result<()> {
        self.open.check_owner()?;
        self.open.device.start().map_err(|errno| match errno {
            Errno::ALREADY => Error::AlreadyInState(StreamState::Running),
            errno => Error::of_driver("IOSTREAM_IOC_START", errno),
        })
    }

    /// Suspends the stream: the driver pauses, and queued buffers stay queued.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`] if the stream is stopped; [`Error::AlreadyInState`] if it is
    /// suspended; [`Error::Gone`] if the driver is gone; other errors of the driver as
    /// [`Error::Os`].
    pub fn suspend(&self) -> Result<()> {
        self.open.check_owner()?;
        self.open.device.suspend().map_err(|errno| match errno {
            Errno::BADFD => Error::NotRunning,
            Errno::ALREADY => Error::AlreadyInState(StreamState::Suspended),
            errno => Error::of_driver("IOSTREAM_IOC_SUSPEND", errno),
        })
    }

    /// Stops the stream. Returns how many queued buffers were discarded.
    ///
    /// Buffers that are with this process stay there.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyInState`] if the stream is stopped; [`Error::Gone`] if the driver is gone.
    /// With [`Stop::Drain`] also [`Error::TimedOut`] and [`Error::Interrupted`], after which the
    /// stream keeps running.
    pub fn stop(&self, how: Stop) -> Result<Discarded> {
        self.open.check_owner()?;
        let (flags, timeout_ns) = how.raw();
        match self.open.device.stop(flags, timeout_ns) {
            Ok((output, input)) => Ok(Discarded { output, input }),
            Err(Errno::ALREADY) => Err(Error::AlreadyInState(StreamState::Stopped)),
            Err(errno) => Err(Error::of_driver("IOSTREAM_IOC_STOP", errno)),
        }
    }

    /// Whether the stream is running, suspended or stopped. Makes no system call.
    pub fn state(&self) -> StreamState {
        self.open.state()
    }

    /// The stream's geometry and state, by a system call.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`] if the driver is gone.
    pub fn info(&self) -> Result<StreamInfo> {
        self.open.check_owner()?;
        let stream = self.open.device.stream().map_err(Error::of_stream_call)?;
        StreamInfo::new(&stream)
    }

    /// The kernel's counters of the stream. Makes no system call.
    pub fn counters(&self) -> StreamCounters {
        if self.open.check_owner().is_err() {
            return StreamCounters::default();
        }
        self.open.page.counters()
    }

    /// The kernel's counters of the input queue. Makes no system call.
    pub fn input_counters(&self) -> Counters {
        self.open.core.input_counters().unwrap_or_default()
    }

    /// The side that fills the buffers.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if the device has a mode that this crate does not know.
    pub fn mode(&self) -> Result<StreamMode> {
        self.open.check_owner()?;
        StreamMode::from_raw(u32::try_from(self.open.page.mode()).unwrap_or(u32::MAX))
    }

    /// How many buffers are mapped.
    pub fn buffer_count(&self) -> usize {
        self.open.core.pool.count() as usize
    }

    /// The size of each buffer's data area in bytes.
    pub fn data_bytes(&self) -> usize {
        self.open.core.pool.data_bytes()
    }

    /// The size of each buffer's control area in bytes, which may be 0.
    pub fn control_bytes(&self) -> usize {
        self.open.core.pool.control_bytes()
    }

    /// Whether the driver has added buffers since the last [`Self::refresh`]. Makes no system call.
    ///
    /// In an event loop the descriptor reports this as `EPOLLPRI`.
    pub fn has_new_buffers(&self) -> bool {
        self.open.has_new()
    }

    /// Maps the buffers that the driver has added. Returns how many.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`] or [`Error::Quota`] if there is not enough memory;
    /// [`Error::Mismatch`] if the device describes the buffers wrongly; [`Error::Gone`] if the
    /// driver is gone.
    pub fn refresh(&self) -> Result<usize> {
        self.open.refresh()
    }

    /// Notifies the driver of what was sent with [`Wake::Suppress`](crate::Wake::Suppress), if it
    /// waits for input. Returns whether it did.
    ///
    /// The driver's input callback then runs soon, with `token` as its argument. Buffers that are
    /// sent without `Suppress` do this by themselves.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyNotices`] if too many notices wait already; [`Error::Gone`] if the driver is
    /// gone.
    pub fn notify(&self, token: u32) -> Result<bool> {
        let wanted = self.open.core.must_wake()?;
        if wanted {
            self.force_notify(token)?;
        }
        Ok(wanted)
    }

    /// Notifies the driver whether it waits for input or not.
    ///
    /// The driver's input callback then runs soon, in a thread of the kernel, with `token` as its
    /// argument.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyNotices`] if too many notices wait already; [`Error::Gone`] if the driver is
    /// gone.
    pub fn force_notify(&self, token: u32) -> Result<()> {
        self.open.check_owner()?;
        self.open.device.input(token).map_err(|errno| match errno {
            Errno::AGAIN => Error::TooManyNotices,
            errno => Error::of_driver("IOSTREAM_IOC_INPUT", errno),
        })
    }

    /// Runs the driver's input callback in this thread, with `token` as its argument.
    ///
    /// # Errors
    ///
    /// [`Error::NotOffered`] if the driver has no such callback; [`Error::Gone`] if the driver is
    /// gone; an error of the callback as [`Error::Os`].
    pub fn notify_sync(&self, token: u32) -> Result<()> {
        self.open.check_owner()?;
        let call = self.open.device.input_sync(token);
        call.map_err(|errno| match errno {
            Errno::OPNOTSUPP => Error::NotOffered("input callback to wait for"),
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
