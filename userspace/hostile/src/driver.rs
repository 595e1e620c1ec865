// SPDX-License-Identifier: MIT OR Apache-2.0

//! A driver's node of the tests' own, which comes and goes as told.

use libc::{O_CLOEXEC, O_WRONLY};

use crate::device::Session;
use crate::sys::{self, Fd, Result};

const CONTROL: &str = "/sys/kernel/debug/iostream_test/spare";
const STREAM: &str = "/sys/kernel/debug/iostream_test/stspare";
const NAME: &str = "hostile";

/// The commands' file; each thread has one of its own.
pub struct Driver(Fd);

impl Drop for Driver {
    fn drop(&mut self) {
        sys::close(self.0);
    }
}

impl Driver {
    pub fn new() -> Self {
        Self::at(CONTROL)
    }

    /// As [`Self::new`], of a stream.
    pub fn of_stream() -> Self {
        Self::at(STREAM)
    }

    fn at(path: &str) -> Self {
        let fd = sys::open(path, O_WRONLY | O_CLOEXEC);
        Self(fd.unwrap_or_else(|error| panic!("{path}: errno {error}")))
    }

    /// Tells the driver what to do.
    pub fn tell(&self, command: &str) -> Result<()> {
        sys::write(self.0, command.as_bytes()).map(|_| ())
    }

    /// Publishes the node, if it is not there.
    pub fn publish(&self) -> Result<()> {
        self.publish_sized(4096, 4096)
    }

    /// As [`Self::publish`], with queues of these sizes; 0: none.
    pub fn publish_sized(&self, output_bytes: u64, input_bytes: u64) -> Result<()> {
        self.tell(&format!("publish {NAME} {output_bytes} {input_bytes}"))
    }

    pub fn unpublish(&self) -> Result<()> {
        self.tell("unpublish")
    }
}

/// Where the node is, once it was published.
pub fn path() -> Option<String> {
    let class = std::fs::read_dir("/sys/class/iostream").ok()?;
    for entry in class.flatten() {
        let name = std::fs::read_to_string(entry.path().join("name")).unwrap_or_default();
        if name.trim() == NAME {
            return Some(format!("/dev/{}", entry.file_name().to_string_lossy()));
        }
    }
    None
}

/// Opens the node, once whoever had it is gone for good: the end of a session takes a moment.
pub fn open(path: &str) -> Session {
    for _ in 0..100_000 {
        match Session::open(path) {
            Ok(session) => return session,
            Err(libc::EBUSY) => std::thread::yield_now(),
            Err(error) => panic!("{path}: errno {error}"),
        }
    }
    panic!("{path} stays busy");
}
