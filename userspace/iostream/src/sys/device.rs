// SPDX-License-Identifier: MIT OR Apache-2.0

//! One open device: its ioctls and `poll`, typed and counted.

use std::ffi::c_void;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use iostream_ring::uapi;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::ioctl::{IntegerSetter, Ioctl, Opcode, Setter, Updater};

use super::calls::{Calls, Kernel};
use crate::{Direction, Error};

const VERSION: Opcode = uapi::IOSTREAM_IOC_VERSION as Opcode;
const SETUP: Opcode = uapi::IOSTREAM_IOC_SETUP as Opcode;
const QUEUE: Opcode = uapi::IOSTREAM_IOC_QUEUE as Opcode;
const EVENTFD: Opcode = uapi::IOSTREAM_IOC_EVENTFD as Opcode;
const NOTIFY: Opcode = uapi::IOSTREAM_IOC_NOTIFY as Opcode;
const RESET: Opcode = uapi::IOSTREAM_IOC_RESET as Opcode;
const RUN: Opcode = uapi::IOSTREAM_IOC_RUN as Opcode;
const WATERMARK: Opcode = uapi::IOSTREAM_IOC_WATERMARK as Opcode;

/// The largest batch of `IOSTREAM_IOC_RUN`, as iostream.h says.
const MAX_BATCH: u64 = 65536;

/// What `poll` reports for a device, apart from readiness.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    /// The driver is gone.
    pub(crate) hang_up: bool,
    /// The kernel found the queue corrupt: it cannot use what this process wrote.
    pub(crate) error: bool,
    /// The waker is readable.
    pub(crate) woken: bool,
}

/// An open device. Counts the system calls that go through it.
pub(crate) struct Device {
    fd: OwnedFd,
    calls: Box<dyn Calls>,
    count: AtomicU64,
}

impl Device {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self::with_calls(fd, Box::new(Kernel))
    }

    /// A device whose ioctls and mappings `calls` provides.
    pub(crate) fn with_calls(fd: OwnedFd, calls: Box<dyn Calls>) -> Self {
        Self {
            fd,
            calls,
            count: AtomicU64::new(0),
        }
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// The system calls made so far.
    pub(crate) fn calls(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    fn count_call(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Makes an ioctl.
    ///
    /// # Safety
    ///
    /// `request` is one of iostream.h, with the argument that iostream.h gives it.
    pub(super) unsafe fn call<I: Ioctl>(&self, mut request: I) -> Result<I::Output, Errno> {
        self.count_call();
        let opcode = request.opcode();
        let argument = request.as_ptr();
        // SAFETY: The caller passes a request of iostream.h with its argument.
        let output = unsafe { self.calls.ioctl(self.fd.as_fd(), opcode, argument) }?;
        // SAFETY: The call has succeeded, and `argument` is still the request's own.
        unsafe { I::output_from_ptr(output, argument) }
    }

    /// Maps `bytes` bytes from `offset`.
    pub(super) fn map(
        &self,
        offset: u64,
        bytes: usize,
        writable: bool,
    ) -> Result<NonNull<c_void>, Errno> {
        self.count_call();
        self.calls.map(self.fd.as_fd(), offset, bytes, writable)
    }

    /// `IOSTREAM_IOC_VERSION`. Returns the errno: the caller knows the file's name.
    pub(crate) fn version(&self) -> Result<uapi::iostream_version, Errno> {
        let mut version = uapi::iostream_version::default();
        // SAFETY: It reads and writes one `iostream_version`.
        unsafe { self.call(Updater::<VERSION, _>::new(&mut version)) }?;
        Ok(version)
    }

    /// `IOSTREAM_IOC_SETUP`. Returns the errno: the caller knows what it asked for.
    pub(crate) fn set_up(&self, setup: uapi::iostream_setup) -> Result<(), Errno> {
        // SAFETY: It reads one `iostream_setup`.
        unsafe { self.call(Setter::<SETUP, _>::new(setup)) }
    }

    /// `IOSTREAM_IOC_QUEUE`.
    pub(crate) fn queue(&self, direction: Direction) -> Result<uapi::iostream_queue, Error> {
        let mut queue = uapi::iostream_queue {
            direction: direction.raw(),
            ..Default::default()
        };
        // SAFETY: It reads and writes one `iostream_queue`.
        unsafe { self.call(Updater::<QUEUE, _>::new(&mut queue)) }
            .map_err(|errno| Error::of_queue_call("IOSTREAM_IOC_QUEUE", errno, direction))?;
        Ok(queue)
    }

    /// `IOSTREAM_IOC_EVENTFD`.
    pub(crate) fn set_eventfd(
        &self,
        direction: Direction,
        eventfd: Option<BorrowedFd<'_>>,
    ) -> Result<(), Error> {
        use std::os::fd::AsRawFd;
        let argument = uapi::iostream_eventfd {
            direction: direction.raw(),
            fd: eventfd.map_or(-1, |fd| fd.as_raw_fd()),
        };
        // SAFETY: It reads one `iostream_eventfd`; the kernel takes a reference of its own.
        unsafe { self.call(Setter::<EVENTFD, _>::new(argument)) }.map_err(|errno| {
            if errno == Errno::INVAL {
                Error::InvalidArgument("the descriptor is not an eventfd")
            } else {
                Error::of_queue_call("IOSTREAM_IOC_EVENTFD", errno, direction)
            }
        })
    }

    /// `IOSTREAM_IOC_WATERMARK`.
    pub(crate) fn set_watermark(&self, bytes: u64, latency_ns: u64) -> Result<(), Error> {
        let argument = uapi::iostream_watermark {
            direction: Direction::Output.raw(),
            reserved: 0,
            bytes,
            latency_ns,
        };
        // SAFETY: It reads one `iostream_watermark`.
        unsafe { self.call(Setter::<WATERMARK, _>::new(argument)) }.map_err(|errno| match errno {
            Errno::RANGE => Error::InvalidArgument(
                "a watermark of more bytes than the queue has, or a latency out of range",
            ),
            Errno::INVAL => Error::InvalidArgument("a latency without a watermark"),
            errno => Error::of_queue_call("IOSTREAM_IOC_WATERMARK", errno, Direction::Output),
        })
    }

    /// `IOSTREAM_IOC_NOTIFY`, because the armed position was crossed.
    pub(crate) fn notify(&self, direction: Direction) -> Result<(), Error> {
        self.notify_with(direction, 0)
    }

    /// `IOSTREAM_IOC_NOTIFY` for any other reason: notifies the driver even below its watermark.
    pub(crate) fn notify_flushed(&self, direction: Direction) -> Result<(), Error> {
        self.notify_with(direction, uapi::IOSTREAM_NOTIFY_FLUSH)
    }

    fn notify_with(&self, direction: Direction, flags: u32) -> Result<(), Error> {
        let argument = (direction.raw() | flags) as usize;
        // SAFETY: The argument is an integer.
        unsafe { self.call(IntegerSetter::<NOTIFY>::new_usize(argument)) }
            .map_err(|errno| Error::of_queue_call("IOSTREAM_IOC_NOTIFY", errno, direction))
    }

    /// `IOSTREAM_IOC_RESET`.
    pub(crate) fn reset(&self, direction: Direction) -> Result<(), Error> {
        // SAFETY: The argument is an integer. The ends call this with `&mut self`, so no slice of
        // the queue is alive in this process. The kernel refuses if another process has mapped it.
        unsafe { self.call(IntegerSetter::<RESET>::new_usize(direction.raw() as usize)) }.map_err(
            |errno| match errno {
                Errno::BUSY => Error::Busy(
                    "the queue cannot be reset: another process has it mapped, or a call uses it",
                ),
                errno => Error::of_queue_call("IOSTREAM_IOC_RESET", errno, direction),
            },
        )
    }

    /// `IOSTREAM_IOC_RUN`. Returns the number of entries moved, even if the call failed.
    pub(crate) fn run(
        &self,
        entries: u64,
        timeout_ns: u64,
        batch: u32,
    ) -> (u64, Result<(), Error>) {
        let mut run = uapi::iostream_run {
            entries,
            timeout_ns,
            batch,
            ..Default::default()
        };
        // SAFETY: It reads and writes one `iostream_run`.
        let result = unsafe { self.call(Updater::<RUN, _>::new(&mut run)) };
        let result = result.map_err(|errno| match errno {
            Errno::TOOBIG => Error::LimitExceeded {
                asked: batch.into(),
                limit: MAX_BATCH,
            },
            Errno::BUSY => {
                Error::Busy("the endpoint is busy: another thread or its timer drives it")
            }
            errno => Error::of_device_call("IOSTREAM_IOC_RUN", errno),
        });
        (run.done, result)
    }

    /// Sleeps until the direction is ready, the driver is gone, or `waker` or `bell` is readable.
    /// Returns `None` if the time is over first.
    ///
    /// A signal ends the wait, with [`Error::Interrupted`], only if it is `interruptible`.
    pub(crate) fn poll(
        &self,
        direction: Direction,
        waker: Option<BorrowedFd<'_>>,
        bell: Option<BorrowedFd<'_>>,
        timeout: Option<Duration>,
        interruptible: bool,
    ) -> Result<Option<Ready>, Error> {
        let end = timeout.and_then(|time| std::time::Instant::now().checked_add(time));
        let device = self.fd.as_fd();
        let events = match direction {
            Direction::Output => PollFlags::IN,
            Direction::Input => PollFlags::OUT,
        };
        loop {
            // A timeout that the clock cannot represent never ends.
            let left = end.map(|end| end.saturating_duration_since(std::time::Instant::now()));
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            let others = [waker.or(bell), waker.and(bell)];
            // What is not there is not passed to poll.
            let [first, second] =
                others.map(|fd| PollFd::from_borrowed_fd(fd.unwrap_or(device), PollFlags::IN));
            let mut fds = [PollFd::from_borrowed_fd(device, events), first, second];
            let count = 1 + others.iter().flatten().count();
            self.count_call();
            match poll(&mut fds[..count], left.as_ref()) {
                Ok(0) => return Ok(None),
                Ok(_) => {
                    let seen = fds[0].revents();
                    return Ok(Some(Ready {
                        hang_up: seen.contains(PollFlags::HUP),
                        error: seen.contains(PollFlags::ERR),
                        woken: waker.is_some() && !fds[1].revents().is_empty(),
                    }));
                }
                Err(Errno::INTR) if !interruptible => {}
                Err(errno) => return Err(Error::of_call("poll", errno)),
            }
        }
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
