// SPDX-License-Identifier: MIT OR Apache-2.0

//! Waiting for what others do: for a condition, with a deadline, and never for a length of time.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::clause::limit;

/// After this long a condition counts as never met: before the clause's own limit, so that the
/// message tells which condition it was.
pub fn deadline() -> Duration {
    limit(50)
}

/// The limit, in milliseconds, of a driver's wait that a test ends: the clause's own limit comes
/// first.
pub const HOUR_MS: u64 = 3_600_000;

/// Waits for a condition that another thread or the kernel brings about.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < deadline(), "not in time: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until a thread of this process, or another process, sleeps in a system call.
#[track_caller]
pub fn wait_asleep(task: &Path, call: libc::c_long) {
    wait_until("sleeps in the call", || is_asleep(task, call));
}

/// The system call of epoll_wait(3). Architectures after x86 have the newer ones alone.
#[cfg(target_arch = "x86_64")]
pub const EPOLL_WAIT: libc::c_long = libc::SYS_epoll_wait;
/// The system call of epoll_wait(3).
#[cfg(not(target_arch = "x86_64"))]
pub const EPOLL_WAIT: libc::c_long = libc::SYS_epoll_pwait;

/// The system call by which a node is opened.
#[cfg(target_arch = "x86_64")]
pub const OPEN: libc::c_long = libc::SYS_open;
/// The system call by which a node is opened.
#[cfg(not(target_arch = "x86_64"))]
pub const OPEN: libc::c_long = libc::SYS_openat;

fn is_asleep(task: &Path, call: libc::c_long) -> bool {
    let doing = std::fs::read_to_string(task.join("syscall")).unwrap_or_default();
    doing.split(' ').next() == Some(&call.to_string())
}

/// How often a thread has gone to sleep.
pub fn sleeps(task: &Path) -> u64 {
    let status = std::fs::read_to_string(task.join("status")).expect("the thread is there");
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.expect("a count").trim().parse().expect("a number")
}

/// This thread, for [`wait_asleep`].
pub fn this_thread() -> PathBuf {
    let tid = rustix::thread::gettid().as_raw_nonzero();
    PathBuf::from(format!("/proc/self/task/{tid}"))
}

/// Runs `wait` in a thread of its own; once that sleeps in the system call, runs `wake`. Returns
/// what `wait` returned. Fails if `wait` returns without having slept.
#[track_caller]
pub fn woken_by<R: Send>(
    call: libc::c_long,
    wait: impl FnOnce() -> R + Send,
    wake: impl FnOnce(),
) -> R {
    asleep_when(call, wait, wake).expect("it does not wait")
}

/// Does what [`woken_by`] does. Returns `None`, and runs nothing, if `wait` returns without having
/// been seen asleep.
#[track_caller]
pub fn asleep_when<R: Send>(
    call: libc::c_long,
    wait: impl FnOnce() -> R + Send,
    wake: impl FnOnce(),
) -> Option<R> {
    std::thread::scope(|scope| {
        let (send, receive) = std::sync::mpsc::channel();
        let waiter = scope.spawn(move || {
            send.send(this_thread()).expect("the test receives it");
            wait()
        });
        let task = receive.recv().expect("the thread sends its id");
        wait_until("sleeps in the call", || {
            waiter.is_finished() || is_asleep(&task, call)
        });
        let asleep = !waiter.is_finished();
        if asleep {
            wake();
        }
        let result = waiter.join().expect("the thread that waits");
        asleep.then_some(result)
    })
}
