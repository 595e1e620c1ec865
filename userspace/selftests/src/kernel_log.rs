// SPDX-License-Identifier: MIT OR Apache-2.0

//! The kernel's messages: whatever it complains of while a clause runs is that clause's failure.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;

/// What a kernel says when something is wrong with it.
const SPLATS: &[&str] = &[
    "WARNING:",
    "BUG:",
    "Oops",
    "kernel BUG at",
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
    "segfault at",
    "traps:",
];

/// `/dev/kmsg`, from now on.
pub struct KernelLog(Option<File>);

impl KernelLog {
    /// Starts at the end of what there is.
    pub fn open() -> Self {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg");
        match file {
            Ok(mut file) => {
                file.seek(SeekFrom::End(0)).expect("seek in /dev/kmsg");
                Self(Some(file))
            }
            Err(error) => {
                println!("# /dev/kmsg: {error}: kernel messages are not looked at");
                Self(None)
            }
        }
    }

    /// Says in the log which clause begins.
    pub fn mark(&mut self, name: &str) {
        if let Some(file) = &mut self.0 {
            // Nothing depends on it.
            let _ = file.write_all(format!("selftests: {name}\n").as_bytes());
        }
    }

    /// The complaints since the last call.
    pub fn splats(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        let Some(file) = &mut self.0 else {
            return found;
        };
        let mut record = [0; 8192];
        loop {
            match file.read(&mut record) {
                Ok(0) => return found,
                Ok(len) => {
                    let text = String::from_utf8_lossy(&record[..len]);
                    // "level,sequence,time,flags;message"
                    let message = text.split_once(';').map_or("", |(_, message)| message);
                    let first = message.lines().next().unwrap_or("");
                    if SPLATS.iter().any(|splat| first.contains(splat)) {
                        found.push(format!("kernel: {first}"));
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return found,
                // Messages were overwritten before they were read: go on with what is left.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {
                    found.push("kernel: messages were lost before they were read".into());
                }
                Err(error) => panic!("/dev/kmsg: {error}"),
            }
        }
    }
}
