// SPDX-License-Identifier: MIT OR Apache-2.0

//! A child that freezes this process by its control group, or stops it by a signal, and lets it go on:
//! a process can do neither to itself and go on.

use std::fs::{create_dir, read_to_string, remove_dir, write};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::OnceLock;

use crate::clause::skip;
use crate::support::waiting::wait_until;

/// What the child is asked to do.
const FREEZE: u8 = b'f';
const STOP: u8 = b's';
/// What it answers.
const DONE: u8 = b'd';
const NO_GROUPS: u8 = b'n';

/// The child, which hears and answers through the socket.
pub struct Interrupter(UnixStream);

/// The one child of this process. Called first while the process has one thread.
pub fn interrupter() -> &'static Interrupter {
    static ONE: OnceLock<Interrupter> = OnceLock::new();
    ONE.get_or_init(Interrupter::new)
}

impl Interrupter {
    fn new() -> Self {
        let (ours, mut its) = UnixStream::pair().expect("socketpair");
        // SAFETY: No preconditions.
        let parent = unsafe { libc::getpid() };
        // SAFETY: This process has one thread.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child != 0 {
            return Self(ours);
        }
        drop(ours);
        let served = std::panic::catch_unwind(move || {
            let mut asked = [0];
            while its.read_exact(&mut asked).is_ok() {
                let done = match asked[0] {
                    FREEZE => freeze_and_thaw(parent),
                    _ => stop_and_continue(parent),
                };
                its.write_all(&[done]).expect("the answer");
            }
        });
        // SAFETY: It ends the process.
        unsafe { libc::_exit(i32::from(served.is_err())) }
    }

    fn ask(&self, what: u8) -> u8 {
        (&self.0).write_all(&[what]).expect("the child hears");
        let mut answer = [0];
        (&self.0)
            .read_exact(&mut answer)
            .expect("the child has done it");
        answer[0]
    }

    /// Freezes and thaws this process. Skips the clause if there are no control groups.
    pub fn freeze(&self) {
        if self.ask(FREEZE) == NO_GROUPS {
            skip("no control groups");
        }
    }

    /// Stops this process, and continues it.
    pub fn stop(&self) {
        assert_eq!(self.ask(STOP), DONE);
    }
}

/// Freezes a process by the control group, and thaws it.
fn freeze_and_thaw(process: libc::pid_t) -> u8 {
    let group = Path::new("/sys/fs/cgroup").join(format!("frozen-{process}"));
    if create_dir(&group).is_err() {
        return NO_GROUPS;
    }
    write(group.join("cgroup.procs"), process.to_string()).unwrap();
    for (order, is) in [("1", "frozen 1"), ("0", "frozen 0")] {
        write(group.join("cgroup.freeze"), order).unwrap();
        wait_until(is, || {
            let events = read_to_string(group.join("cgroup.events")).unwrap();
            events.contains(is)
        });
    }
    write("/sys/fs/cgroup/cgroup.procs", process.to_string()).unwrap();
    remove_dir(&group).unwrap();
    DONE
}

/// Stops a process, as Ctrl-Z does, and lets it go on.
fn stop_and_continue(process: libc::pid_t) -> u8 {
    let tasks = format!("/proc/{process}/task");
    let is_stopped = || {
        std::fs::read_dir(&tasks).unwrap().all(|task| {
            let status = read_to_string(task.unwrap().path().join("status"));
            // A thread that has ended meanwhile has no status.
            status.is_ok_and(|status| status.contains("State:\tT"))
        })
    };
    // SAFETY: The process is this one's parent, which waits for the answer.
    assert_eq!(unsafe { libc::kill(process, libc::SIGSTOP) }, 0);
    wait_until("stopped", is_stopped);
    // SAFETY: As above.
    assert_eq!(unsafe { libc::kill(process, libc::SIGCONT) }, 0);
    DONE
}
