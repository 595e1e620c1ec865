// SPDX-License-Identifier: MIT OR Apache-2.0

//! The kernel's messages, and which of them are complaints.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Result, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;
use rustix::io::Errno;

/// One substring a line. The rest of the format is said in the file itself.
const COMPLAINTS: &str = include_str!("../../../qemu/kernel-complaints");

/// Stands for messages that were overwritten.
const LOST: &str = "messages were lost before they were read";

/// Whether a line of the log is a complaint. Patterns behind `~` also occur where a test provokes a
/// failure, so that they are left to the judge of the whole log.
fn is_complaint(line: &str) -> bool {
    let mut patterns = COMPLAINTS
        .lines()
        .filter(|pattern| !pattern.is_empty() && !pattern.starts_with(['#', '~']));
    patterns.any(|pattern| line.contains(pattern))
}

/// `/dev/kmsg`, from where it was opened on.
pub struct KernelLog(File);

impl KernelLog {
    /// Begins behind the messages that are there.
    ///
    /// # Errors
    ///
    /// Those of open(2) and lseek(2).
    pub fn open() -> Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NONBLOCK.bits() as i32)
            .open("/dev/kmsg")?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self(file))
    }

    /// Writes a line into the log, so that the messages after it can be told from those before.
    pub fn mark(&self, line: &str) {
        // A log without the mark is still a log.
        let _ = (&self.0).write_all(format!("{line}\n").as_bytes());
    }

    /// The complaints since the last call.
    ///
    /// # Panics
    ///
    /// If the log cannot be read.
    pub fn complaints(&self) -> Vec<String> {
        let mut messages = self.messages();
        messages.retain(|line| line == LOST || is_complaint(line));
        messages
    }

    /// The messages since the last call.
    ///
    /// # Panics
    ///
    /// If the log cannot be read.
    pub fn messages(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut record = [0; 8192];
        loop {
            match (&self.0).read(&mut record) {
                Ok(0) => return found,
                Ok(len) => {
                    let text = String::from_utf8_lossy(&record[..len]);
                    // "level,sequence,time,flags;message", and after a line break what devices say
                    // of themselves.
                    let message = text.split_once(';').map_or("", |(_, message)| message);
                    found.push(message.lines().next().unwrap_or("").to_owned());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return found,
                // Messages were overwritten before they were read; those after them follow.
                Err(error) if error.raw_os_error() == Some(Errno::PIPE.raw_os_error()) => {
                    found.push(LOST.to_owned());
                }
                Err(error) => panic!("/dev/kmsg: {error}"),
            }
        }
    }
}
