// SPDX-License-Identifier: MIT OR Apache-2.0

//! One open of a node, and its calls.

use std::ffi::c_void;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::path::Path;

use iostream_ring::uapi::*;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, Result};

use crate::{DEVICE, OUTPUT};

/// One open of a node.
pub struct Session {
    fd: OwnedFd,
}

impl AsFd for Session {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Any ioctl with any argument.
struct Call {
    number: u32,
    arg: *mut c_void,
}

// SAFETY: `opcode` and `as_ptr` are what the caller of `ioctl` passed. What an argument that does
// not fit its number does is up to the kernel, which checks it: the tests try just that.
unsafe impl rustix::ioctl::Ioctl for Call {
    type Output = ();
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> rustix::ioctl::Opcode {
        self.number as rustix::ioctl::Opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.arg
    }

    unsafe fn output_from_ptr(_: rustix::ioctl::IoctlOutput, _: *mut c_void) -> Result<()> {
        Ok(())
    }
}

/// Calls ioctl(2) with a number and an argument that may both be wrong.
///
/// # Errors
///
/// What the kernel answers.
pub fn ioctl(fd: impl AsFd, number: u32, arg: *mut c_void) -> Result<()> {
    // SAFETY: The kernel checks the number and the argument.
    unsafe { rustix::ioctl::ioctl(fd, Call { number, arg }) }
}

/// A set-up of `/dev/iostream` with an echo endpoint and two queues of `bytes`.
pub fn echo(bytes: u64) -> iostream_setup {
    iostream_setup {
        flags: IOSTREAM_SETUP_OUTPUT | IOSTREAM_SETUP_INPUT,
        endpoint: IOSTREAM_ENDPOINT_ECHO,
        output_bytes: bytes,
        input_bytes: bytes,
        ..Default::default()
    }
}

/// A set-up with a source of records of `min` to `max` bytes; `rate` is in records a second, and
/// with 0 they are made in `IOSTREAM_IOC_RUN`.
pub fn source(bytes: u64, min: u32, max: u32, rate: u64) -> iostream_setup {
    iostream_setup {
        flags: IOSTREAM_SETUP_OUTPUT,
        endpoint: IOSTREAM_ENDPOINT_SOURCE,
        output_bytes: bytes,
        source_min_bytes: min,
        source_max_bytes: max,
        source_rate: rate,
        ..Default::default()
    }
}

/// A set-up with a sink that checks the records that it gets.
pub fn sink(bytes: u64) -> iostream_setup {
    iostream_setup {
        flags: IOSTREAM_SETUP_INPUT,
        endpoint: IOSTREAM_ENDPOINT_SINK,
        input_bytes: bytes,
        ..Default::default()
    }
}

impl Session {
    /// Opens a node.
    ///
    /// # Errors
    ///
    /// Those of open(2).
    pub fn open(path: impl AsRef<Path>, flags: OFlags) -> Result<Self> {
        let fd = rustix::fs::open(path.as_ref(), flags | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { fd })
    }

    /// Takes over a descriptor from elsewhere.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Opens `/dev/iostream`, without a set-up.
    pub fn bare() -> Self {
        Self::open(DEVICE, OFlags::RDWR).expect("open /dev/iostream")
    }

    /// Opens `/dev/iostream` and sets it up.
    pub fn new(setup: iostream_setup) -> Self {
        let session = Self::bare();
        session.setup(setup).expect("IOSTREAM_IOC_SETUP");
        session
    }

    /// Opens `/dev/iostream` and sets it up; calls do not block.
    pub fn nonblocking(setup: iostream_setup) -> Self {
        Self::try_nonblocking(setup).expect("open and IOSTREAM_IOC_SETUP")
    }

    /// Opens `/dev/iostream` and sets it up, if the kernel agrees; calls do not block.
    ///
    /// # Errors
    ///
    /// Those of open(2) and of the set-up.
    pub fn try_nonblocking(setup: iostream_setup) -> Result<Self> {
        let session = Self::open(DEVICE, OFlags::RDWR | OFlags::NONBLOCK)?;
        session.setup(setup)?;
        Ok(session)
    }

    /// The descriptor as a number, for system calls that take any.
    pub fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Gives the descriptor up as a number, without closing it.
    pub fn into_raw_fd(self) -> RawFd {
        self.fd.into_raw_fd()
    }

    /// Calls an ioctl with a struct.
    ///
    /// # Errors
    ///
    /// What the kernel answers.
    pub fn pass<T>(&self, number: u32, arg: &mut T) -> Result<()> {
        ioctl(&self.fd, number, std::ptr::from_mut(arg).cast())
    }

    /// Calls an ioctl whose argument is a number.
    ///
    /// # Errors
    ///
    /// What the kernel answers.
    pub fn pass_number(&self, number: u32, arg: usize) -> Result<()> {
        ioctl(&self.fd, number, std::ptr::without_provenance_mut(arg))
    }

    /// Sets up `/dev/iostream`.
    ///
    /// # Errors
    ///
    /// Those of `IOSTREAM_IOC_SETUP`.
    pub fn setup(&self, mut setup: iostream_setup) -> Result<()> {
        self.pass(IOSTREAM_IOC_SETUP, &mut setup)
    }

    /// Version and limits of the module.
    ///
    /// # Errors
    ///
    /// Those of `IOSTREAM_IOC_VERSION`.
    pub fn version(&self) -> Result<iostream_version> {
        let mut version = iostream_version::default();
        self.pass(IOSTREAM_IOC_VERSION, &mut version)?;
        Ok(version)
    }

    /// Geometry of a queue, if there is one.
    ///
    /// # Errors
    ///
    /// Those of `IOSTREAM_IOC_QUEUE`.
    pub fn try_queue(&self, direction: u32) -> Result<iostream_queue> {
        let mut queue = iostream_queue {
            direction,
            ..Default::default()
        };
        self.pass(IOSTREAM_IOC_QUEUE, &mut queue)?;
        Ok(queue)
    }

    /// Geometry of a queue that exists.
    pub fn queue(&self, direction: u32) -> iostream_queue {
        self.try_queue(direction).expect("IOSTREAM_IOC_QUEUE")
    }

    /// Sets the eventfd of a direction, or removes it (-1).
    ///
    /// # Errors
    ///
    /// Those of `IOSTREAM_IOC_EVENTFD`.
    pub fn eventfd(&self, direction: u32, fd: RawFd) -> Result<()> {
        let mut eventfd = iostream_eventfd { direction, fd };
        self.pass(IOSTREAM_IOC_EVENTFD, &mut eventfd)
    }

    /// Sets the watermark of the output queue.
    ///
    /// # Errors
    ///
    /// Those of `IOSTREAM_IOC_WATERMARK`.
    pub fn watermark(&self, bytes: u64, latency_ns: u64) -> Result<()> {
        self.pass(
            IOSTREAM_IOC_WATERMARK,
            &mut iostream_watermark {
                direction: OUTPUT,
                reserved: 0,
                bytes,
                latency_ns,
            },
        )
    }

    /// Tells the kernel that entries, or room, are there.
    ///
    /// # Errors
    ///
    /// Those of `IOSTREAM_IOC_NOTIFY`.
    pub fn notify(&self, direction: u32) -> Result<()> {
        self.pass_number(IOSTREAM_IOC_NOTIFY, direction as usize)
    }

    /// Resets a queue.
    ///
    /// # Errors
    ///
    /// Those of `IOSTREAM_IOC_RESET`.
    pub fn reset(&self, direction: u32) -> Result<()> {
        self.pass_number(IOSTREAM_IOC_RESET, direction as usize)
    }

    /// Runs the endpoint as fast as it can. Returns how many entries it moved, even when it fails.
    pub fn run_with(&self, mut run: iostream_run) -> (u64, Result<()>) {
        let result = self.pass(IOSTREAM_IOC_RUN, &mut run);
        (run.done, result)
    }

    /// Runs the endpoint for `entries` entries; gives up after a second without progress.
    pub fn run(&self, entries: u64) -> (u64, Result<()>) {
        self.run_for(entries, 1_000_000_000)
    }

    /// Runs the endpoint for `entries` entries; gives up after `timeout_ns` without progress (0:
    /// never).
    pub fn run_for(&self, entries: u64, timeout_ns: u64) -> (u64, Result<()>) {
        self.run_with(iostream_run {
            entries,
            timeout_ns,
            ..Default::default()
        })
    }

    /// Runs until the endpoint has moved `entries` entries in all, in this call or in callbacks.
    pub fn run_until(&self, entries: u64) {
        while self
            .endpoint()
            .expect("the counters of the endpoint")
            .entries
            < entries
        {
            let (_, result) = self.run_for(0, 20_000_000);
            assert!(
                matches!(result, Ok(()) | Err(Errno::TIMEDOUT)),
                "{result:?}"
            );
        }
    }

    /// What poll says within `timeout_ms`; empty after the time-out. -1: no time-out.
    pub fn poll(&self, events: PollFlags, timeout_ms: i64) -> PollFlags {
        wait_for(&self.fd, events, timeout_ms)
    }

    /// read(2).
    ///
    /// # Errors
    ///
    /// Those of read(2).
    pub fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        rustix::io::read(&self.fd, buffer)
    }

    /// write(2).
    ///
    /// # Errors
    ///
    /// Those of write(2).
    pub fn write(&self, bytes: &[u8]) -> Result<usize> {
        rustix::io::write(&self.fd, bytes)
    }

    /// Writes all of the bytes as one entry.
    #[track_caller]
    pub fn write_entry(&self, bytes: &[u8]) {
        assert_eq!(self.write(bytes), Ok(bytes.len()));
    }

    /// Reads one entry.
    #[track_caller]
    pub fn read_entry(&self) -> Vec<u8> {
        let mut buffer = vec![0; self.queue(OUTPUT).max_entry_bytes as usize];
        let len = self.read(&mut buffer).expect("read");
        buffer.truncate(len);
        buffer
    }
}

/// Polls one descriptor; see [`Session::poll`].
pub fn wait_for(fd: impl AsFd, events: PollFlags, timeout_ms: i64) -> PollFlags {
    let timeout = Timespec {
        tv_sec: timeout_ms / 1000,
        tv_nsec: (timeout_ms % 1000) * 1_000_000,
    };
    let mut fds = [PollFd::new(&fd, events)];
    loop {
        match poll(&mut fds, (timeout_ms >= 0).then_some(&timeout)) {
            Ok(_) => return fds[0].revents(),
            Err(Errno::INTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
    }
}
