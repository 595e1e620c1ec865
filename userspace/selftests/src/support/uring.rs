// SPDX-License-Identifier: MIT OR Apache-2.0

//! io_uring, by the system calls alone.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering::*};
use std::time::Duration;

use iostream_raw::{Map, Prot};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::mm::MapFlags;

const ENTRIES: u32 = 8;
const SETUP_SQPOLL: u32 = 1 << 1;
const ENTER_GETEVENTS: u32 = 1;
const ENTER_SQ_WAKEUP: u32 = 2;
const ENTER_EXT_ARG: u32 = 8;
const OFFSET_CQ: u64 = 0x0800_0000;
const OFFSET_SQES: u64 = 0x1000_0000;
const SQE_BYTES: usize = 64;
const CQE_BYTES: usize = 16;

/// A request. Its fields are those of `struct io_uring_sqe` of the same names.
#[derive(Clone, Copy, Default)]
pub struct Request {
    pub opcode: u8,
    pub flags: u8,
    pub addr: u64,
    pub len: u32,
    /// `poll32_events`, and the flags of a read or write.
    pub op_flags: u32,
    /// Comes back with the completion.
    pub user_data: u64,
}

/// What a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    pub user_data: u64,
    /// What the system call would return, or a negative errno.
    pub result: i32,
    /// Whether more completions of the request will follow.
    pub more: bool,
}

impl Request {
    const OP_POLL_ADD: u8 = 6;
    const OP_READ: u8 = 22;
    const OP_WRITE: u8 = 23;
    const POLL_ADD_MULTI: u32 = 1;
    const ASYNC: u8 = 1 << 4;

    /// A poll.
    pub fn poll(events: PollFlags, multishot: bool) -> Self {
        Self {
            opcode: Self::OP_POLL_ADD,
            len: if multishot { Self::POLL_ADD_MULTI } else { 0 },
            op_flags: events.bits().into(),
            ..Self::default()
        }
    }

    /// A read(2) into memory that is never freed.
    pub fn read(bytes: &'static mut [u8]) -> Self {
        Self {
            opcode: Self::OP_READ,
            addr: bytes.as_mut_ptr().expose_provenance() as u64,
            len: bytes.len() as u32,
            ..Self::default()
        }
    }

    /// A write(2).
    pub fn write(bytes: &'static [u8]) -> Self {
        Self {
            opcode: Self::OP_WRITE,
            addr: bytes.as_ptr().expose_provenance() as u64,
            len: bytes.len() as u32,
            ..Self::default()
        }
    }

    /// A request that completes at once.
    pub fn nop(user_data: u64) -> Self {
        Self {
            user_data,
            ..Self::default()
        }
    }

    /// The request as a thread of io_uring's does it, which may wait inside the call.
    pub fn by_a_worker(self) -> Self {
        Self {
            flags: Self::ASYNC,
            ..self
        }
    }
}

/// `struct io_uring_params`, as words of 32 bits.
type Params = [u32; 30];
const SETUP_FLAGS: usize = 2;
const SQ_TAIL: usize = 11;
const SQ_MASK: usize = 12;
const SQ_ARRAY: usize = 16;
const CQ_HEAD: usize = 20;
const CQ_TAIL: usize = 21;
const CQ_MASK: usize = 22;
const CQ_CQES: usize = 25;

/// `struct io_uring_getevents_arg`.
#[repr(C)]
struct WaitArg {
    sigmask: u64,
    sigmask_bytes: u32,
    pad: u32,
    timespec: u64,
}

/// A ring.
pub struct Uring {
    fd: OwnedFd,
    params: Params,
    sq: Map,
    cq: Map,
    sqes: Map,
}

/// A system call's result.
fn checked(result: libc::c_long) -> Result<libc::c_long, Errno> {
    if result >= 0 {
        return Ok(result);
    }
    let error = std::io::Error::last_os_error();
    Err(Errno::from_io_error(&error).expect("an errno"))
}

/// A word of 32 bits that the kernel shares.
fn word(map: &Map, offset: usize) -> &AtomicU32 {
    assert!(offset % 4 == 0 && offset + 4 <= map.len());
    // SAFETY: In bounds and aligned, as asserted; the pages are mapped as long as `map` lives.
    unsafe { &*map.as_ptr().byte_add(offset).cast::<AtomicU32>() }
}

impl Uring {
    /// A ring for a few requests.
    pub fn new() -> Self {
        Self::with_flags(0)
    }

    /// A ring from which a thread of the kernel takes the requests.
    pub fn with_a_thread() -> Self {
        Self::with_flags(SETUP_SQPOLL)
    }

    fn with_flags(flags: u32) -> Self {
        let mut params: Params = [0; 30];
        params[SETUP_FLAGS] = flags;
        // SAFETY: The array has the size of the struct.
        let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, ENTRIES, params.as_mut_ptr()) };
        let fd = checked(fd).expect("io_uring_setup") as i32;
        // SAFETY: The descriptor is new, and nothing else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let map = |offset, bytes: usize| {
            Map::try_new(
                &fd,
                offset,
                bytes,
                Prot::READ | Prot::WRITE,
                MapFlags::SHARED,
            )
            .expect("mmap of a ring")
        };
        let sq_bytes = params[SQ_ARRAY] as usize + ENTRIES as usize * 4;
        let cq_bytes = params[CQ_CQES] as usize + 2 * ENTRIES as usize * CQE_BYTES;
        Self {
            sq: map(0, sq_bytes),
            cq: map(OFFSET_CQ, cq_bytes),
            sqes: map(OFFSET_SQES, ENTRIES as usize * SQE_BYTES),
            params,
            fd,
        }
    }

    /// Submits a request for a file.
    pub fn submit(&self, fd: i32, request: Request) {
        let tail = word(&self.sq, self.params[SQ_TAIL] as usize);
        let at = tail.load(Relaxed) & word(&self.sq, self.params[SQ_MASK] as usize).load(Relaxed);
        let mut sqe = [0; SQE_BYTES];
        sqe[0] = request.opcode;
        sqe[1] = request.flags;
        sqe[4..8].copy_from_slice(&fd.to_ne_bytes());
        sqe[16..24].copy_from_slice(&request.addr.to_ne_bytes());
        sqe[24..28].copy_from_slice(&request.len.to_ne_bytes());
        sqe[28..32].copy_from_slice(&request.op_flags.to_ne_bytes());
        sqe[32..40].copy_from_slice(&request.user_data.to_ne_bytes());
        self.sqes.write(at as usize * SQE_BYTES, &sqe);
        word(&self.sq, self.params[SQ_ARRAY] as usize + at as usize * 4).store(at, Relaxed);
        tail.fetch_add(1, Release);
        assert_eq!(self.enter(1, 0, None), Ok(1), "io_uring_enter");
    }

    /// Calls io_uring_enter(2): submits so many requests, and waits for so many completions.
    ///
    /// # Errors
    ///
    /// Those of the call; `ETIME`.
    pub fn enter(&self, submit: u32, wait: u32, timeout: Option<Duration>) -> Result<i64, Errno> {
        let time = timeout.map(|time| [time.as_secs(), time.subsec_nanos().into()]);
        let arg = WaitArg {
            sigmask: 0,
            sigmask_bytes: 0,
            pad: 0,
            timespec: time
                .as_ref()
                .map_or(0, |time| time.as_ptr().expose_provenance() as u64),
        };
        // SAFETY: The argument and the time that it names outlive the call.
        let result = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                self.fd.as_raw_fd(),
                submit,
                wait,
                ENTER_GETEVENTS | ENTER_SQ_WAKEUP | ENTER_EXT_ARG,
                std::ptr::from_ref(&arg),
                size_of::<WaitArg>(),
            )
        };
        checked(result)
    }

    /// The next completion, if there is one.
    pub fn completion(&self) -> Option<Completion> {
        let head = word(&self.cq, self.params[CQ_HEAD] as usize);
        let at = head.load(Relaxed);
        if at == word(&self.cq, self.params[CQ_TAIL] as usize).load(Acquire) {
            return None;
        }
        let index = at & word(&self.cq, self.params[CQ_MASK] as usize).load(Relaxed);
        let cqe = self.params[CQ_CQES] as usize + index as usize * CQE_BYTES;
        let result = word(&self.cq, cqe + 8).load(Relaxed) as i32;
        let more = word(&self.cq, cqe + 12).load(Relaxed) & 2 != 0;
        let user_data = self.cq.read(cqe, 8);
        head.store(at + 1, Release);
        Some(Completion {
            user_data: u64::from_ne_bytes(user_data.try_into().expect("eight bytes")),
            result,
            more,
        })
    }
}
