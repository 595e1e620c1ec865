// SPDX-License-Identifier: MIT OR Apache-2.0

//! The kernel's half: a node of iostream_test.ko, and the file through which it is told what to do.

use std::fs::{read_dir, read_to_string};
use std::io::Write;
use std::path::PathBuf;

use rustix::fs::OFlags;
use rustix::io::{Errno, Result};

use crate::raw::{Session, Stream};
use crate::support::waiting::wait_until;

/// A node that does what it is told. The tests' own, until it is dropped.
pub struct Driver {
    control: PathBuf,
    name: String,
}

impl Drop for Driver {
    fn drop(&mut self) {
        if !self.control.exists() {
            // The module was removed, and its nodes with it.
            return;
        }
        let _ = self.tell("slow 0");
        let _ = self.tell("refuse 0");
        // The client only.
        let _ = self.tell("close");
        // Streams only.
        let _ = self.tell("behave");
        let _ = self.tell("release-all-clients");
        let _ = self.tell("destroy-queues");
        // Those that were there before stay.
        if self.name == "selftest" {
            let _ = self.tell("unpublish");
        }
    }
}

impl Driver {
    /// The spare node, not published.
    pub fn unpublished() -> Self {
        let driver = Self {
            control: "/sys/kernel/debug/iostream_test/spare".into(),
            name: "selftest".into(),
        };
        assert!(driver.control.exists(), "iostream_test.ko is not loaded");
        for command in ["unpublish", "slow 0", "refuse 0", "sequence 0"] {
            driver.tell(command).unwrap();
        }
        driver
    }

    /// The spare node, published with queues of these sizes; 0: none.
    pub fn new(output_bytes: u64, input_bytes: u64) -> Self {
        let driver = Self::unpublished();
        driver.publish(output_bytes, input_bytes);
        driver
    }

    /// Publishes the node that was not, or was removed.
    pub fn publish(&self, output_bytes: u64, input_bytes: u64) {
        let command = format!("publish selftest {output_bytes} {input_bytes}");
        self.tell(&command).expect("publish");
    }

    /// Removes the node, which must work.
    #[track_caller]
    pub fn unpublish(&self) {
        self.does("unpublish");
    }

    /// The spare stream, not published.
    pub fn no_stream() -> Self {
        let driver = Self {
            control: "/sys/kernel/debug/iostream_test/stspare".into(),
            name: "selftest".into(),
        };
        assert!(driver.control.exists(), "iostream_test.ko is not loaded");
        driver.does("release-all-clients");
        driver.does("unpublish");
        driver.does("behave");
        driver
    }

    /// The spare stream, published: mode, buffers, their bytes, and what else there is to say.
    pub fn stream(plan: &str) -> Self {
        let driver = Self::no_stream();
        driver.does(&format!("publish selftest {plan}"));
        driver
    }

    /// The client inside the kernel, without a session.
    pub fn client() -> Self {
        let driver = Self {
            control: "/sys/kernel/debug/iostream_test/client".into(),
            name: "client".into(),
        };
        driver.does("close");
        driver
    }

    /// One of those that the module publishes when it is loaded.
    pub fn loaded(name: &str) -> Self {
        let driver = Self {
            control: PathBuf::from("/sys/kernel/debug/iostream_test").join(name),
            name: name.into(),
        };
        // Streams have none.
        let _ = driver.tell("sequence 0");
        driver
    }

    /// As [`Self::new`], with an output queue that overwrites.
    pub fn overwriting(output_bytes: u64) -> Self {
        let driver = Self::unpublished();
        let command = format!("publish selftest {output_bytes} 0 overwrite");
        driver.tell(&command).expect("publish");
        driver
    }

    /// Does a command, in the kernel, in this thread.
    pub fn tell(&self, command: &str) -> Result<()> {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .open(&self.control)
            .expect("the control file");
        match file.write(command.as_bytes()) {
            Ok(len) => {
                assert_eq!(len, command.len());
                Ok(())
            }
            Err(error) => Err(Errno::from_io_error(&error).expect("an errno")),
        }
    }

    /// Does a command that must work.
    #[track_caller]
    pub fn does(&self, command: &str) {
        assert_eq!(self.tell(command), Ok(()), "{command}");
    }

    /// Does a command that must fail.
    #[track_caller]
    pub fn fails(&self, command: &str, error: Errno) {
        assert_eq!(self.tell(command), Err(error), "{command}");
    }

    /// Does a command that must work, and tells how many it counted.
    pub fn count(&self, command: &str) -> u64 {
        assert_eq!(self.tell(command), Ok(()), "{command}");
        self.log("count")
    }

    /// A line of what happened.
    pub fn log(&self, key: &str) -> u64 {
        self.text(key).parse().unwrap()
    }

    /// A line of what happened, as text.
    pub fn text(&self, key: &str) -> String {
        let text = read_to_string(&self.control).expect("the control file");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("no {key} in the log")).into()
    }

    /// Waits until a line of the log is as it should be. The clause's time-out ends it.
    pub fn wait_for(&self, key: &str, wanted: impl Fn(u64) -> bool) {
        while !wanted(self.log(key)) {
            std::thread::yield_now();
        }
    }

    /// The device node.
    pub fn path(&self) -> PathBuf {
        node_called(&self.name).expect("a node in /sys/class/iostream")
    }

    /// Its folder in sysfs.
    pub fn sysfs(&self) -> PathBuf {
        let path = self.path();
        PathBuf::from("/sys/class/iostream").join(path.file_name().unwrap())
    }

    /// What sysfs shows.
    pub fn shown(&self, name: &str) -> String {
        let text = read_to_string(self.sysfs().join(name)).expect(name);
        text.trim_end().into()
    }

    /// A number that sysfs shows.
    pub fn attribute(&self, name: &str) -> u64 {
        self.shown(name).parse().expect(name)
    }

    pub fn try_open(&self) -> Result<Session> {
        Session::open(self.path(), OFlags::RDWR)
    }

    pub fn open(&self) -> Session {
        self.try_open().expect("open the driver's node")
    }

    /// Opens the stream and maps all of it.
    pub fn open_stream(&self) -> Stream {
        Stream::new(self.open())
    }

    pub fn open_nonblocking(&self) -> Session {
        Session::open(self.path(), OFlags::RDWR | OFlags::NONBLOCK).expect("open")
    }
}

/// The device node of this name.
pub fn node_called(name: &str) -> Option<PathBuf> {
    for entry in read_dir("/sys/class/iostream").expect("the class") {
        let entry = entry.unwrap();
        // A node may go while we look.
        if read_to_string(entry.path().join("name")).is_ok_and(|found| found.trim() == name) {
            return Some(PathBuf::from("/dev").join(entry.file_name()));
        }
    }
    None
}

/// Entry number `sequence` of `len` bytes, as the test driver makes it.
pub fn entry(sequence: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|i| (sequence + i) as u8).collect()
}

/// Has the driver hold a command half-way while `meanwhile` runs. Returns what the command did.
pub fn held(driver: &Driver, command: &str, meanwhile: impl FnOnce()) -> Result<()> {
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| driver.tell(command));
        wait_until("held", || driver.log("held") == 1 || holder.is_finished());
        meanwhile();
        driver.does("go");
        holder.join().expect("the thread that holds")
    })
}
