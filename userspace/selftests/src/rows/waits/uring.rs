// SPDX-License-Identifier: MIT OR Apache-2.0

//! io_uring's poll, single and multishot, by the system calls alone.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering::*};
use std::sync::Arc;
use std::time::Duration;

use iostream_raw::{Map, Prot};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::mm::MapFlags;

use super::ground::Ground;
use super::means::Wait;
use super::outcome::Outcome;

const ENTRIES: u32 = 8;
const OP_POLL_ADD: u8 = 6;
const POLL_ADD_MULTI: u32 = 1;
const ENTER_GETEVENTS: u32 = 1;
const ENTER_EXT_ARG: u32 = 8;
const OFFSET_CQ: u64 = 0x0800_0000;
const OFFSET_SQES: u64 = 0x1000_0000;
const SQE_BYTES: usize = 64;
const CQE_BYTES: usize = 16;

/// `struct io_uring_params`, as words of 32 bits.
type Params = [u32; 30];
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

struct Uring {
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
    fn new() -> Self {
        let mut params: Params = [0; 30];
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

    /// Submits a poll.
    fn submit(&self, fd: i32, events: PollFlags, multishot: bool) {
        let tail = word(&self.sq, self.params[SQ_TAIL] as usize);
        let at = tail.load(Relaxed) & word(&self.sq, self.params[SQ_MASK] as usize).load(Relaxed);
        let mut sqe = [0; SQE_BYTES];
        sqe[0] = OP_POLL_ADD;
        sqe[4..8].copy_from_slice(&fd.to_ne_bytes());
        let multi = if multishot { POLL_ADD_MULTI } else { 0 };
        sqe[24..28].copy_from_slice(&multi.to_ne_bytes());
        sqe[28..32].copy_from_slice(&u32::from(events.bits()).to_ne_bytes());
        self.sqes.write(at as usize * SQE_BYTES, &sqe);
        word(&self.sq, self.params[SQ_ARRAY] as usize + at as usize * 4).store(at, Relaxed);
        tail.fetch_add(1, Release);
        assert_eq!(self.enter(1, 0, None), Ok(1), "io_uring_enter");
    }

    fn enter(&self, submit: u32, wait: u32, timeout: Option<Duration>) -> Result<i64, Errno> {
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
                ENTER_GETEVENTS | ENTER_EXT_ARG,
                std::ptr::from_ref(&arg),
                size_of::<WaitArg>(),
            )
        };
        checked(result)
    }

    /// The result of the next completion, and whether more will follow.
    fn completion(&self) -> Option<(i32, bool)> {
        let head = word(&self.cq, self.params[CQ_HEAD] as usize);
        let at = head.load(Relaxed);
        if at == word(&self.cq, self.params[CQ_TAIL] as usize).load(Acquire) {
            return None;
        }
        let index = at & word(&self.cq, self.params[CQ_MASK] as usize).load(Relaxed);
        let cqe = self.params[CQ_CQES] as usize + index as usize * CQE_BYTES;
        let result = word(&self.cq, cqe + 8).load(Relaxed) as i32;
        let more = word(&self.cq, cqe + 12).load(Relaxed) & 2 != 0;
        head.store(at + 1, Release);
        Some((result, more))
    }

    /// Sleeps until there is a completion.
    fn wait(&self, timeout: Duration) -> (Outcome, bool) {
        loop {
            match self.completion() {
                Some((result, more)) if result >= 0 => {
                    let events = PollFlags::from_bits_retain(result as u16);
                    return (Outcome::Events(events), more);
                }
                Some((result, more)) => {
                    let errno = Errno::from_raw_os_error(-result);
                    return (Outcome::Failed(errno), more);
                }
                None => {}
            }
            match self.enter(0, 1, Some(timeout)) {
                Ok(_) => {}
                Err(Errno::TIME) => return (Outcome::TimedOut, true),
                Err(errno) => return (Outcome::Failed(errno), true),
            }
        }
    }
}

pub fn single(ground: &Arc<Ground>) -> Wait {
    let (ground, ring) = (ground.clone(), Uring::new());
    Box::new(move || {
        ring.submit(ground.session().raw_fd(), ground.events(), false);
        ring.wait(ground.timeout()).0
    })
}

/// Submits once; every end must bring a completion. A poll that is over is submitted again, as
/// io_uring tells programs to do.
pub fn multishot(ground: &Arc<Ground>) -> Wait {
    let (ground, ring) = (ground.clone(), Uring::new());
    Box::new(wait_for_each(ground, ring, false))
}

/// Submits before the set-up, which completes at once: each call would fail. All that follows must
/// bring a completion, too.
pub fn multishot_early(ground: &Arc<Ground>) -> Wait {
    let (ground, ring) = (ground.clone(), Uring::new());
    ring.submit(ground.session().raw_fd(), ground.events(), true);
    Box::new(wait_for_each(ground, ring, true))
}

fn wait_for_each(ground: Arc<Ground>, ring: Uring, mut armed: bool) -> impl FnMut() -> Outcome {
    move || {
        // One end may complete twice; what the round before left, or the set-up, is not waited for.
        // The kernel keeps what found no place in the ring, and brings it with the next call.
        loop {
            let _ = ring.enter(0, 0, None);
            let Some((_, more)) = ring.completion() else {
                break;
            };
            armed = more;
        }
        if !armed {
            ring.submit(ground.session().raw_fd(), ground.events(), true);
        }
        let (outcome, more) = ring.wait(ground.timeout());
        armed = more;
        outcome
    }
}
