// SPDX-License-Identifier: MIT OR Apache-2.0

//! `/dev/iostream` by its header alone, without the crate: what the crate gets wrong is seen here.

mod map;
mod queue;
mod record;
pub mod stream;

use std::ffi::c_void;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use iostream_ring::uapi::{self, *};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, Result};

pub use map::{Area, Map, Prot};
pub use queue::{Input, Output};
pub use record::{check_record, make_record};
pub use stream::{Descriptor, Stream};

/// The built-in endpoint.
pub const DEVICE: &str = "/dev/iostream";
/// Output: kernel to user.
pub const OUTPUT: u32 = IOSTREAM_OUTPUT;
/// Input: user to kernel.
pub const INPUT: u32 = IOSTREAM_INPUT;

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

// SAFETY: Whatever the kernel makes of the argument is what is tested; the callers below pass structs
// of the right size.
unsafe impl rustix::ioctl::Ioctl for Call {
    type Output = ();
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> rustix::ioctl::Opcode {
        self.number as rustix::ioctl::Opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.arg
    }

    unsafe fn output_from_ptr(
        _: rustix::ioctl::IoctlOutput,
        _: *mut c_void,
    ) -> rustix::io::Result<()> {
        Ok(())
    }
}

/// Calls ioctl(2) with a number and an argument that may both be wrong.
pub fn ioctl(fd: impl AsFd, number: u32, arg: *mut c_void) -> Result<()> {
    // SAFETY: The kernel checks what it is given; it is tested for that.
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

/// A source of entries of `min` to `max` bytes; `rate` in entries a second, 0: in the call.
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

/// A sink that checks what comes.
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
    pub fn open(path: impl AsRef<Path>, flags: OFlags) -> Result<Self> {
        let fd = rustix::fs::open(path.as_ref(), flags | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { fd })
    }

    /// A session that somebody else opened.
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

    /// As [`Self::new`], for calls that do not block.
    pub fn nonblocking(setup: iostream_setup) -> Self {
        let session = Self::open(DEVICE, OFlags::RDWR | OFlags::NONBLOCK).expect("open");
        session.setup(setup).expect("IOSTREAM_IOC_SETUP");
        session
    }

    fn pass<T>(&self, number: u32, arg: &mut T) -> Result<()> {
        ioctl(&self.fd, number, std::ptr::from_mut(arg).cast())
    }

    fn pass_direction(&self, number: u32, direction: u32) -> Result<()> {
        let arg = std::ptr::without_provenance_mut(direction as usize);
        ioctl(&self.fd, number, arg)
    }

    pub fn setup(&self, mut setup: iostream_setup) -> Result<()> {
        self.pass(IOSTREAM_IOC_SETUP, &mut setup)
    }

    pub fn version(&self) -> Result<iostream_version> {
        let mut version = iostream_version::default();
        self.pass(IOSTREAM_IOC_VERSION, &mut version)?;
        Ok(version)
    }

    pub fn try_queue(&self, direction: u32) -> Result<iostream_queue> {
        let mut queue = iostream_queue {
            direction,
            ..Default::default()
        };
        self.pass(IOSTREAM_IOC_QUEUE, &mut queue)?;
        Ok(queue)
    }

    pub fn queue(&self, direction: u32) -> iostream_queue {
        self.try_queue(direction).expect("IOSTREAM_IOC_QUEUE")
    }

    pub fn counters(&self, direction: u32) -> iostream_counters {
        self.queue(direction).counters
    }

    pub fn eventfd(&self, direction: u32, fd: i32) -> Result<()> {
        let mut eventfd = iostream_eventfd { direction, fd };
        self.pass(IOSTREAM_IOC_EVENTFD, &mut eventfd)
    }

    /// Sets the watermark of the output queue.
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

    pub fn notify(&self, direction: u32) -> Result<()> {
        self.pass_direction(IOSTREAM_IOC_NOTIFY, direction)
    }

    pub fn reset(&self, direction: u32) -> Result<()> {
        self.pass_direction(IOSTREAM_IOC_RESET, direction)
    }

    /// Runs the endpoint flat out; tells how many entries it moved, also when it fails.
    pub fn run_with(&self, mut run: iostream_run) -> (u64, Result<()>) {
        let result = self.pass(IOSTREAM_IOC_RUN, &mut run);
        (run.done, result)
    }

    /// Runs the endpoint for `entries` entries, giving up after a second without progress.
    pub fn run(&self, entries: u64) -> (u64, Result<()>) {
        self.run_with(iostream_run {
            entries,
            timeout_ns: 1_000_000_000,
            ..Default::default()
        })
    }

    /// Runs until the endpoint has moved `entries` entries in all, in this call or in callbacks.
    pub fn run_until(&self, entries: u64) {
        while self.endpoint().unwrap().entries < entries {
            let (_, result) = self.run_with(iostream_run {
                timeout_ns: 20_000_000,
                ..Default::default()
            });
            assert!(
                matches!(result, Ok(()) | Err(Errno::TIMEDOUT)),
                "{result:?}"
            );
        }
    }

    pub fn endpoint(&self) -> Result<iostream_endpoint> {
        let mut endpoint = iostream_endpoint::default();
        self.pass(IOSTREAM_IOC_ENDPOINT, &mut endpoint)?;
        Ok(endpoint)
    }

    /// What poll says within `timeout_ms`; nothing if it says nothing. -1: no time-out.
    pub fn poll(&self, events: PollFlags, timeout_ms: i64) -> PollFlags {
        wait_for(&self.fd, events, timeout_ms)
    }

    pub fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        rustix::io::read(&self.fd, buffer)
    }

    pub fn write(&self, bytes: &[u8]) -> Result<usize> {
        rustix::io::write(&self.fd, bytes)
    }

    /// Writes all of the bytes as one entry.
    pub fn write_entry(&self, bytes: &[u8]) {
        assert_eq!(self.write(bytes), Ok(bytes.len()));
    }

    /// Reads one entry.
    pub fn read_entry(&self) -> Vec<u8> {
        let mut buffer = vec![0; self.queue(OUTPUT).max_entry_bytes as usize];
        let len = self.read(&mut buffer).expect("read");
        buffer.truncate(len);
        buffer
    }
}

/// An echo, stuck: both queues of a page are full of entries of 24 bytes. Each that is taken out,
/// with a notification, makes room for one.
pub fn stuck_echo() -> (Session, Input, Output) {
    let session = Session::new(echo(4096));
    let (mut input, output) = (Input::new(&session), Output::new(&session));
    for _ in 0..2 * 4096 / 32 {
        assert!(input.push(&session, &[7; 24]));
    }
    assert_eq!((input.room(), output.available()), (0, 4096));
    (session, input, output)
}

/// Polls one descriptor.
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

/// Where a word is in the producer's page.
pub mod producer {
    use super::uapi::iostream_producer as Page;
    use std::mem::offset_of;

    pub const POS: usize = offset_of!(Page, producer_pos);
    pub const OLDEST: usize = offset_of!(Page, oldest_pos);
    pub const WAKE: usize = offset_of!(Page, wake_pos);
    pub const ROOM: usize = offset_of!(Page, room_bytes);
}

/// Where a word is in the consumer's page.
pub mod consumer {
    use super::uapi::iostream_consumer as Page;
    use std::mem::offset_of;

    pub const POS: usize = offset_of!(Page, consumer_pos);
    pub const WAKE: usize = offset_of!(Page, wake_pos);
}
