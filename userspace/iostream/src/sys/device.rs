// SPDX-License-Identifier: MIT OR Apache-2.0

//! One open device: its ioctls and `poll`, typed and counted.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use iostream_ring::uapi;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::ioctl::{ioctl, Getter, IntegerSetter, Ioctl, Opcode, Setter, Updater};

use crate::{Direction, Error};

const VERSION: Opcode = uapi::IOSTREAM_IOC_VERSION as Opcode;
const SETUP: Opcode = uapi::IOSTREAM_IOC_SETUP as Opcode;
const QUEUE: Opcode = uapi::IOSTREAM_IOC_QUEUE as Opcode;
const EVENTFD: Opcode = uapi::IOSTREAM_IOC_EVENTFD as Opcode;
const NOTIFY: Opcode = uapi::IOSTREAM_IOC_NOTIFY as Opcode;
const RESET: Opcode = uapi::IOSTREAM_IOC_RESET as Opcode;
const RUN: Opcode = uapi::IOSTREAM_IOC_RUN as Opcode;
const ENDPOINT: Opcode = uapi::IOSTREAM_IOC_ENDPOINT as Opcode;
const WATERMARK: Opcode = uapi::IOSTREAM_IOC_WATERMARK as Opcode;

/// The largest batch of `IOSTREAM_IOC_RUN`, as iostream.h has it.
const MAX_BATCH: u64 = 65536;

/// What `poll` said of a device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    /// The driver is gone.
    pub(crate) hang_up: bool,
    /// The kernel cannot go on with what this process wrote.
    pub(crate) error: bool,
}

/// An open device. Counts the system calls that go through it.
pub(crate) struct Device {
    fd: OwnedFd,
    calls: AtomicU64,
    #[cfg(test)]
    pub(super) loopback: Option<super::loopback::Seen>,
}

impl Device {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self {
            fd,
            calls: AtomicU64::new(0),
            #[cfg(test)]
            loopback: None,
        }
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// System calls so far.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(super) fn count_call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// # Safety
    ///
    /// `request` is one of iostream.h with the argument that iostream.h gives it. (On a file that
    /// is not iostream's, `_IOC` type 'j' and these sizes belong to nobody else; `version` is the
    /// first call on each.)
    pub(super) unsafe fn call<I: Ioctl>(&self, request: I) -> Result<I::Output, Errno> {
        self.count_call();
        // SAFETY: The caller's promise.
        unsafe { ioctl(&self.fd, request) }
    }

    /// `IOSTREAM_IOC_VERSION`. The errno is left to the caller, who knows the file's name.
    pub(crate) fn version(&self) -> Result<uapi::iostream_version, Errno> {
        // SAFETY: It writes one `iostream_version`, all of whose bit patterns are valid.
        unsafe { self.call(Getter::<VERSION, uapi::iostream_version>::new()) }
    }

    /// `IOSTREAM_IOC_SETUP`. The errno is left to the caller, who knows what was asked for.
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

    /// `IOSTREAM_IOC_NOTIFY` for any other reason: the driver is told below its watermark, too.
    pub(crate) fn notify_flushed(&self, direction: Direction) -> Result<(), Error> {
        self.notify_with(direction, uapi::IOSTREAM_NOTIFY_FLUSH)
    }

    fn notify_with(&self, direction: Direction, flags: u32) -> Result<(), Error> {
        #[cfg(test)]
        if let Some(seen) = &self.loopback {
            self.count_call();
            seen.notify(direction);
            return Ok(());
        }
        let argument = (direction.raw() | flags) as usize;
        // SAFETY: The argument is an integer.
        unsafe { self.call(IntegerSetter::<NOTIFY>::new_usize(argument)) }
            .map_err(|errno| Error::of_queue_call("IOSTREAM_IOC_NOTIFY", errno, direction))
    }

    /// `IOSTREAM_IOC_RESET`.
    pub(crate) fn reset(&self, direction: Direction) -> Result<(), Error> {
        #[cfg(test)]
        if let Some(seen) = &self.loopback {
            self.count_call();
            seen.reset();
            return Ok(());
        }
        // SAFETY: The argument is an integer. That no slice of the queue lives is the business of
        // the ends, which call this with `&mut self`.
        unsafe { self.call(IntegerSetter::<RESET>::new_usize(direction.raw() as usize)) }
            .map_err(|errno| Error::of_queue_call("IOSTREAM_IOC_RESET", errno, direction))
    }

    /// `IOSTREAM_IOC_RUN`. Returns the entries that were moved, also if it failed.
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
            errno => Error::of_call("IOSTREAM_IOC_RUN", errno),
        });
        (run.done, result)
    }

    /// `IOSTREAM_IOC_ENDPOINT`.
    pub(crate) fn endpoint(&self) -> Result<uapi::iostream_endpoint, Error> {
        // SAFETY: It writes one `iostream_endpoint`, all of whose bit patterns are valid.
        unsafe { self.call(Getter::<ENDPOINT, uapi::iostream_endpoint>::new()) }
            .map_err(|errno| Error::of_call("IOSTREAM_IOC_ENDPOINT", errno))
    }

    /// Sleeps until the direction is ready, the driver is gone, `also` is readable, or the time is
    /// over (`None`).
    ///
    /// A signal is no reason to return.
    pub(crate) fn poll(
        &self,
        direction: Direction,
        also: Option<BorrowedFd<'_>>,
        timeout: Option<Duration>,
    ) -> Result<Option<Ready>, Error> {
        let end = timeout.and_then(|time| std::time::Instant::now().checked_add(time));
        let events = match direction {
            Direction::Output => PollFlags::IN,
            Direction::Input => PollFlags::OUT,
        };
        loop {
            // A time-out too long for the clock is none.
            let left = end.map(|end| end.saturating_duration_since(std::time::Instant::now()));
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            let mut fds = [
                PollFd::new(&self.fd, events),
                // Counted only if there is one.
                PollFd::from_borrowed_fd(also.unwrap_or(self.fd.as_fd()), PollFlags::IN),
            ];
            let count = 1 + usize::from(also.is_some());
            self.count_call();
            match poll(&mut fds[..count], left.as_ref()) {
                Ok(0) => return Ok(None),
                Ok(_) => {
                    let seen = fds[0].revents();
                    return Ok(Some(Ready {
                        hang_up: seen.contains(PollFlags::HUP),
                        error: seen.contains(PollFlags::ERR),
                    }));
                }
                Err(Errno::INTR) => {}
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
