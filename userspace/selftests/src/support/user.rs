// SPDX-License-Identifier: MIT OR Apache-2.0

//! Users without privileges, each action in a process of its own.

use std::fs::{set_permissions, File, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use rustix::thread::{capabilities, set_capabilities, CapabilitySet};

/// Two users. Numbers are enough for the kernel: it has no list of them.
pub const ALICE: u32 = 1000;
pub const BOB: u32 = 1001;

/// How many files a process may have open after [`allow_files`].
pub const MAX_FILES: u64 = 20_000;

/// A process of another user, until dropped. It keeps what it has opened.
pub struct OtherUser {
    pid: libc::pid_t,
    /// What it found.
    pub found: u64,
}

impl OtherUser {
    /// Runs `act` as a user without privileges, in a new process, and waits for what it returns: a
    /// number to report, and something to keep until the result is dropped. To be called while this
    /// process has a single thread.
    #[track_caller]
    pub fn run<T>(uid: u32, act: impl FnOnce() -> (u64, T)) -> Self {
        let (found, says) = rustix::pipe::pipe().unwrap();
        // SAFETY: This process has a single thread.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            let _ = catch_unwind(AssertUnwindSafe(|| {
                become_user(uid);
                let (number, _kept) = act();
                rustix::io::write(&says, &number.to_ne_bytes()).unwrap();
                loop {
                    // SAFETY: No preconditions. The other process kills this one.
                    unsafe { libc::pause() };
                }
            }));
            // SAFETY: No preconditions.
            unsafe { libc::_exit(1) };
        }
        drop(says);
        let mut user = Self { pid, found: 0 };
        let mut number = [0; 8];
        let read = File::from(found).read_exact(&mut number);
        assert!(read.is_ok(), "user {uid} fails, as said above");
        user.found = u64::from_ne_bytes(number);
        user
    }
}

impl Drop for OtherUser {
    fn drop(&mut self) {
        // SAFETY: The child is waited for once, so the number is still its.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            libc::waitpid(self.pid, std::ptr::null_mut(), 0);
        }
    }
}

/// Lets this process have many files open. Needs privileges.
pub fn allow_files() {
    let files = libc::rlimit {
        rlim_cur: MAX_FILES,
        rlim_max: MAX_FILES,
    };
    // SAFETY: `files` is valid.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &files) }, 0);
}

fn become_user(uid: u32) {
    // SAFETY: No preconditions; the list of groups is empty.
    let done = unsafe {
        [
            libc::setgroups(0, std::ptr::null()),
            libc::setresgid(uid, uid, uid),
            libc::setresuid(uid, uid, uid),
        ]
    };
    assert_eq!(done, [0; 3]);
    // It must not outlive a clause that is killed. A change of the user clears the setting.
    // SAFETY: No preconditions.
    let done = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    assert_eq!(done, 0);
}

/// Gives up the privilege of exceeding limits, for the rest of this process.
pub fn obey_limits() {
    let mut sets = capabilities(None).unwrap();
    sets.effective.remove(CapabilitySet::SYS_RESOURCE);
    set_capabilities(None, sets).unwrap();
}

/// A node that everyone may open, until dropped.
pub struct OpenToAll(PathBuf, Permissions);

impl OpenToAll {
    pub fn new(node: impl AsRef<Path>) -> Self {
        let path = node.as_ref().to_owned();
        let before = path.metadata().unwrap().permissions();
        set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        Self(path, before)
    }
}

impl Drop for OpenToAll {
    fn drop(&mut self) {
        let _ = set_permissions(&self.0, self.1.clone());
    }
}
