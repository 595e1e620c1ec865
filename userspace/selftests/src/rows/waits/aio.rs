// SPDX-License-Identifier: MIT OR Apache-2.0

//! The poll of Linux's native aio.

use std::sync::Arc;

use rustix::event::PollFlags;
use rustix::io::Errno;

use super::ground::Ground;
use super::means::Wait;
use super::outcome::Outcome;

const CMD_POLL: u16 = 5;

/// `struct iocb`.
#[repr(C)]
#[derive(Default)]
struct Request {
    data: u64,
    key: u32,
    rw_flags: u32,
    opcode: u16,
    priority: i16,
    fd: u32,
    events: u64,
    bytes: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    eventfd: u32,
}

/// `struct io_event`.
#[repr(C)]
#[derive(Default)]
struct Event {
    data: u64,
    request: u64,
    result: i64,
    result2: i64,
}

/// A context of aio, until dropped.
struct Context(u64);

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: The context is not used any more.
        unsafe { libc::syscall(libc::SYS_io_destroy, self.0) };
    }
}

fn errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).expect("an errno")
}

pub fn poll(ground: &Arc<Ground>) -> Wait {
    let mut context = Context(0);
    // SAFETY: The kernel writes the context's number.
    let done = unsafe { libc::syscall(libc::SYS_io_setup, 4, &raw mut context.0) };
    assert_eq!(done, 0, "io_setup: {}", errno());
    let ground = ground.clone();
    Box::new(move || {
        // All of it, so that it lives as long as the closure.
        let context = &context;
        let mut request = Request {
            opcode: CMD_POLL,
            fd: ground.session().raw_fd() as u32,
            events: ground.events().bits().into(),
            ..Default::default()
        };
        let requests = [&raw mut request];
        // SAFETY: The kernel copies the request in the call.
        let done = unsafe { libc::syscall(libc::SYS_io_submit, context.0, 1, &requests) };
        if done != 1 {
            return Outcome::Failed(errno());
        }
        let mut event = Event::default();
        let time = ground.timeout();
        let time = [time.as_secs(), time.subsec_nanos().into()];
        // SAFETY: There is room for one event, and the time outlives the call.
        let count = unsafe {
            libc::syscall(
                libc::SYS_io_getevents,
                context.0,
                1,
                1,
                &raw mut event,
                time.as_ptr(),
            )
        };
        match count {
            0 => Outcome::TimedOut,
            1 if event.result >= 0 => {
                Outcome::Events(PollFlags::from_bits_retain(event.result as u16))
            }
            1 => Outcome::Failed(Errno::from_raw_os_error(-event.result as i32)),
            _ => Outcome::Failed(errno()),
        }
    })
}
