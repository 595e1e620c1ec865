// SPDX-License-Identifier: MIT OR Apache-2.0

//! The test driver's command files, and nodes by name.

use std::fs::{read_dir, read_to_string, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use rustix::io::{Errno, Result};

/// An open command file of `iostream_test.ko`. While it is open the module cannot be removed.
pub struct Control(File);

impl Control {
    /// Where the command file of a node is.
    pub fn path(node: &str) -> PathBuf {
        Path::new("/sys/kernel/debug/iostream_test").join(node)
    }

    /// Opens the command file of a node: `spare`, `stspare`, `client`, or one that the module has
    /// published.
    pub fn open(node: &str) -> Self {
        let path = Self::path(node);
        let file = OpenOptions::new().write(true).open(&path);
        Self(file.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    /// Runs a command, in the kernel, in this thread.
    ///
    /// # Errors
    ///
    /// What the driver got.
    pub fn tell(&self, command: &str) -> Result<()> {
        match (&self.0).write(command.as_bytes()) {
            Ok(len) => {
                assert_eq!(len, command.len());
                Ok(())
            }
            Err(error) => Err(Errno::from_io_error(&error).expect("an errno")),
        }
    }
}

/// The device node of this name, if it is published.
pub fn node_called(name: &str) -> Option<PathBuf> {
    for entry in read_dir("/sys/class/iostream").ok()?.flatten() {
        // A node may go while it is looked at.
        if read_to_string(entry.path().join("name")).is_ok_and(|found| found.trim() == name) {
            return Some(Path::new("/dev").join(entry.file_name()));
        }
    }
    None
}
