// SPDX-License-Identifier: MIT OR Apache-2.0

//! Other processes: children of the clause's.

use std::fs::File;
use std::io::{Read, Write};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::PathBuf;

use iostream_raw::{Area, Session, INPUT};
use rustix::io::{Errno, Result};
use rustix::pipe::pipe;

use crate::support::waiting::wait_asleep;

/// Runs `check` in a child of this process. Fails if that panics.
pub fn in_own_child(check: impl FnOnce()) {
    // SAFETY: This process has one thread that matters to `check`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let passed = catch_unwind(AssertUnwindSafe(check)).is_ok();
        // SAFETY: It ends the process.
        unsafe { libc::_exit(i32::from(!passed)) }
    }
    let mut status = -1;
    // SAFETY: `status` is writable.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0, "the child fails");
}

/// Makes a call in a child, and kills it once it sleeps in the system call of this number.
#[track_caller]
pub fn kill_asleep(number: libc::c_long, call: impl FnOnce() -> Result<()>) {
    // SAFETY: The child makes the call and ends.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        let status = call().map_or_else(Errno::raw_os_error, |()| 0);
        // SAFETY: It ends the process.
        unsafe { libc::_exit(status) }
    }
    wait_asleep(&PathBuf::from(format!("/proc/{child}")), number);
    let mut status = 0;
    // SAFETY: The child is this process's own and was not waited for.
    unsafe {
        assert_eq!(libc::kill(child, libc::SIGKILL), 0);
        // The time-out of the clause ends it if the child cannot be killed.
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
    }
    assert!(libc::WIFSIGNALED(status));
}

/// What ends a mapping of another process.
#[derive(Clone, Copy, Debug)]
pub enum End {
    Unmap,
    Exit,
    Exec,
    Kill,
}

impl End {
    pub const ALL: [Self; 4] = [Self::Unmap, Self::Exit, Self::Exec, Self::Kill];
}

/// The letter with which the child confirms that it has mapped, or done, something.
const DONE: u8 = b'+';

/// A child that has mapped the words that a client writes of a queue.
pub struct Mapper {
    child: libc::pid_t,
    tell: File,
    hear: File,
}

impl Mapper {
    /// Starts a child, which maps the words of the queue of a direction.
    pub fn new(session: &Session, direction: u32) -> Self {
        let (orders, tell) = pipe().map(|(r, w)| (File::from(r), File::from(w))).unwrap();
        let (hear, says) = pipe().map(|(r, w)| (File::from(r), File::from(w))).unwrap();
        // SAFETY: This process has one thread.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            drop((tell, hear));
            let obeys = || obey(session, direction, &orders, &says);
            let status = catch_unwind(AssertUnwindSafe(obeys)).map_or(1, |()| 0);
            // SAFETY: It ends the process.
            unsafe { libc::_exit(status) }
        }
        let mapper = Self { child, tell, hear };
        mapper.confirmed();
        mapper
    }

    fn confirmed(&self) {
        let mut said = [0];
        (&self.hear)
            .read_exact(&mut said)
            .expect("the child confirms");
        assert_eq!(said, [DONE]);
    }

    /// Moves the mapping to another address.
    pub fn move_it(&self) {
        (&self.tell).write_all(b"m").unwrap();
        self.confirmed();
    }

    /// Ends the mapping. After an exec the kernel may take a moment.
    pub fn end(&self, end: End) {
        match end {
            End::Unmap => {
                (&self.tell).write_all(b"u").unwrap();
                self.confirmed();
            }
            End::Exit => (&self.tell).write_all(b"q").unwrap(),
            End::Exec => (&self.tell).write_all(b"x").unwrap(),
            // SAFETY: The child is this process's own, and was not waited for.
            End::Kill => assert_eq!(unsafe { libc::kill(self.child, libc::SIGKILL) }, 0),
        }
    }
}

impl Drop for Mapper {
    fn drop(&mut self) {
        let mut status = 0;
        // SAFETY: The child is this process's own, and was not waited for.
        unsafe {
            libc::kill(self.child, libc::SIGKILL);
            libc::waitpid(self.child, &mut status, 0);
        }
    }
}

/// The child: maps the words, and does what it is told.
fn obey(session: &Session, direction: u32, orders: &File, says: &File) {
    let area = match direction {
        INPUT => Area::Producer,
        _ => Area::Consumer,
    };
    let map = session.map_writable(direction, area);
    let mut address = map.as_ptr();
    let len = map.len();
    // Unmapped by address: the mapping moves.
    std::mem::forget(map);
    let confirm = || (&mut &*says).write_all(&[DONE]).unwrap();
    confirm();
    loop {
        let mut order = [0];
        (&mut &*orders).read_exact(&mut order).unwrap();
        match order[0] {
            b'm' => {
                // SAFETY: The old range is this function's own mapping, and the new one as well:
                // it is replaced.
                address = unsafe {
                    let to = libc::mmap(
                        std::ptr::null_mut(),
                        len,
                        libc::PROT_NONE,
                        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                        -1,
                        0,
                    );
                    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
                    let moved = libc::mremap(address, len, len, flags, to);
                    assert_eq!(moved, to, "{}", std::io::Error::last_os_error());
                    moved
                };
                confirm();
            }
            b'u' => {
                // SAFETY: The range is this function's own mapping.
                assert_eq!(unsafe { libc::munmap(address, len) }, 0);
                confirm();
            }
            b'x' => {
                // It does not end by itself.
                let program = [c"tail", c"-f", c"/dev/null"].map(std::ffi::CStr::as_ptr);
                let program = [program[0], program[1], program[2], std::ptr::null()];
                // SAFETY: The arguments are strings, and end with a null pointer.
                unsafe { libc::execvp(program[0], program.as_ptr()) };
                panic!("exec: {}", std::io::Error::last_os_error());
            }
            _ => return,
        }
    }
}
