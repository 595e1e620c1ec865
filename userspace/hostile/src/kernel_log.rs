// SPDX-License-Identifier: MIT OR Apache-2.0

//! The kernel's messages: the first complaint ends the campaign.

use crate::sys::{self, Fd};

const SPLATS: &[&str] = &[
    "WARNING:",
    "BUG:",
    "Oops",
    "general protection fault",
    "Unable to handle",
    "Kernel panic",
    "KASAN",
    "refcount_t:",
    "list_add corruption",
    "list_del corruption",
    "possible circular locking",
    "possible recursive locking",
    "inconsistent lock state",
    "suspicious RCU usage",
    "blocked for more than",
    "detected stall",
    "soft lockup",
    "hard LOCKUP",
    "rust_kernel: panicked",
    "bad page state",
    "unreferenced object",
    "ODEBUG:",
];

/// `/dev/kmsg`, from now on.
pub struct KernelLog(Fd);

impl KernelLog {
    pub fn open() -> Self {
        let fd = sys::open(
            "/dev/kmsg",
            libc::O_RDWR | libc::O_NONBLOCK | libc::O_CLOEXEC,
        );
        let fd = fd.unwrap_or_else(|error| panic!("/dev/kmsg: errno {error}"));
        // SAFETY: No memory is involved.
        unsafe { libc::lseek(fd, 0, libc::SEEK_END) };
        Self(fd)
    }

    /// Says in the log what begins.
    pub fn mark(&self, what: &str) {
        // Nothing depends on it.
        let _ = sys::write(self.0, format!("hostile: {what}\n").as_bytes());
    }

    /// The first complaint since the last call.
    pub fn splat(&self) -> Option<String> {
        let mut record = [0; 8192];
        let mut found = None;
        loop {
            match sys::read(self.0, &mut record) {
                Ok(0) | Err(libc::EAGAIN) => return found,
                Ok(len) => {
                    let text = String::from_utf8_lossy(&record[..len]);
                    // "level,sequence,time,flags;message"
                    let message = text.split_once(';').map_or("", |(_, message)| message);
                    if found.is_none() && SPLATS.iter().any(|splat| message.contains(splat)) {
                        found = message.lines().next().map(str::to_owned);
                    }
                }
                Err(libc::EPIPE) => found = Some("messages were lost before they were read".into()),
                Err(error) => panic!("/dev/kmsg: errno {error}"),
            }
        }
    }
}
