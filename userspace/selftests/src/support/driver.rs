// SPDX-License-Identifier: MIT OR Apache-2.0

//! The kernel's half: a node of iostream_test.ko, which the tests tell what to do through a file.

use std::fs::read_to_string;
use std::path::PathBuf;

use iostream_raw::{node_called, Control, Session, Stream};
use rustix::fs::OFlags;
use rustix::io::{Errno, Result};

use crate::support::waiting::wait_until;

/// What the spare nodes are published as.
const SPARE: &str = "selftest";

/// A node whose driver does what it is told. It belongs to one clause, until it is dropped.
pub struct Driver {
    /// The command file's name.
    control: &'static str,
    /// The node's name.
    name: &'static str,
}

impl Drop for Driver {
    fn drop(&mut self) {
        if !self.is_there() {
            // The module was removed, and its nodes with it.
            return;
        }
        let _ = self.tell("release-callbacks");
        let _ = self.tell("slow 0");
        let _ = self.tell("refuse 0");
        // The kernel's client only.
        let _ = self.tell("close");
        // Streams only.
        let _ = self.tell("behave");
        let _ = self.tell("release-all-clients");
        let _ = self.tell("destroy-queues");
        // The module's own nodes stay.
        if self.name == SPARE {
            let _ = self.tell("unpublish");
        }
    }
}

impl Driver {
    fn is_there(&self) -> bool {
        Control::path(self.control).exists()
    }

    fn spare(control: &'static str) -> Self {
        let driver = Self {
            control,
            name: SPARE,
        };
        assert!(driver.is_there(), "iostream_test.ko is not loaded");
        // A clause that was killed may have left the other one, which has the same name.
        for other in ["spare", "stspare"] {
            if other != control {
                let _ = Control::open(other).tell("unpublish");
            }
        }
        driver
    }

    /// The spare node, not published.
    pub fn unpublished() -> Self {
        let driver = Self::spare("spare");
        for command in [
            "release-callbacks",
            "unpublish",
            "slow 0",
            "refuse 0",
            "sequence 0",
        ] {
            driver.command(command);
        }
        driver
    }

    /// The spare node, published with queues of these sizes; 0: no queue.
    pub fn new(output_bytes: u64, input_bytes: u64) -> Self {
        let driver = Self::unpublished();
        driver.publish(output_bytes, input_bytes);
        driver
    }

    /// The spare node, published: bytes of the output and the input queue, and what else there is
    /// to say.
    pub fn queues(plan: &str) -> Self {
        let driver = Self::unpublished();
        driver.command(&format!("publish {SPARE} {plan}"));
        driver
    }

    /// The spare node, published with an output queue that overwrites.
    pub fn overwriting(output_bytes: u64) -> Self {
        Self::queues(&format!("{output_bytes} 0 overwrite"))
    }

    /// The spare node, published with an output queue of 4096 bytes, which may overwrite.
    pub fn output(overwriting: bool) -> Self {
        if overwriting {
            Self::overwriting(4096)
        } else {
            Self::new(4096, 0)
        }
    }

    /// The spare stream, not published.
    pub fn unpublished_stream() -> Self {
        let driver = Self::spare("stspare");
        driver.command("release-callbacks");
        driver.command("release-all-clients");
        driver.command("unpublish");
        driver.command("behave");
        driver
    }

    /// The spare stream, published: mode, buffers, their bytes, and what else there is to say.
    pub fn stream(plan: &str) -> Self {
        let driver = Self::unpublished_stream();
        driver.command(&format!("publish {SPARE} {plan}"));
        driver
    }

    /// The client inside the kernel, without a session.
    pub fn client() -> Self {
        let driver = Self {
            control: "client",
            name: "client",
        };
        driver.command("close");
        driver
    }

    /// A node that the module publishes when it is loaded.
    pub fn loaded(name: &'static str) -> Self {
        let driver = Self {
            control: name,
            name,
        };
        // Streams have no such command.
        let _ = driver.tell("sequence 0");
        driver
    }

    /// Publishes the node with queues of these sizes.
    #[track_caller]
    pub fn publish(&self, output_bytes: u64, input_bytes: u64) {
        self.command(&format!("publish {SPARE} {output_bytes} {input_bytes}"));
    }

    /// Removes the node.
    #[track_caller]
    pub fn unpublish(&self) {
        self.command("unpublish");
    }

    /// Runs a command, in the kernel, in this thread.
    ///
    /// # Errors
    ///
    /// What the driver got.
    pub fn tell(&self, command: &str) -> Result<()> {
        Control::open(self.control).tell(command)
    }

    /// Runs a command that must succeed.
    #[track_caller]
    pub fn command(&self, command: &str) {
        assert_eq!(self.tell(command), Ok(()), "{command}");
    }

    /// Runs a command that must fail.
    #[track_caller]
    pub fn fails(&self, command: &str, error: Errno) {
        assert_eq!(self.tell(command), Err(error), "{command}");
    }

    /// Runs a command that must succeed, and returns how many it counted.
    #[track_caller]
    pub fn count(&self, command: &str) -> u64 {
        self.command(command);
        self.log("count")
    }

    /// A number in the driver's log.
    pub fn log(&self, key: &str) -> u64 {
        self.text(key).parse().unwrap()
    }

    /// A line of the driver's log.
    pub fn text(&self, key: &str) -> String {
        let text = read_to_string(Control::path(self.control)).expect("the command file");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("no {key} in the log")).into()
    }

    /// Waits until a number in the log is as wanted. The clause's time-out ends the wait.
    pub fn wait_for(&self, key: &str, wanted: impl Fn(u64) -> bool) {
        while !wanted(self.log(key)) {
            std::thread::yield_now();
        }
    }

    /// Runs a command that the driver holds half-way while `meanwhile` runs. Returns what the
    /// command got.
    pub fn held(&self, command: &str, meanwhile: impl FnOnce()) -> Result<()> {
        std::thread::scope(|scope| {
            let holder = scope.spawn(|| self.tell(command));
            wait_until("held", || self.log("held") == 1 || holder.is_finished());
            meanwhile();
            self.command("go");
            holder.join().expect("the thread that holds")
        })
    }

    /// Holds each callback that begins, until the result is dropped.
    pub fn hold_callbacks(&self) -> HeldCallbacks<'_> {
        self.command("hold-callbacks");
        HeldCallbacks(self)
    }

    /// Takes a buffer of the stream, and sends it with so many bytes of data.
    #[track_caller]
    pub fn send_buffer(&self, len: usize) {
        self.command("take");
        let id = self.log("id");
        self.command(&format!("range {id} 0 {len}"));
        self.command(&format!("send {id}"));
    }

    /// The device node.
    pub fn path(&self) -> PathBuf {
        node_called(self.name).expect("a node in /sys/class/iostream")
    }

    /// The node's folder in sysfs.
    pub fn sysfs(&self) -> PathBuf {
        let path = self.path();
        PathBuf::from("/sys/class/iostream").join(path.file_name().unwrap())
    }

    /// An attribute in sysfs, as text.
    pub fn shown(&self, name: &str) -> String {
        let text = read_to_string(self.sysfs().join(name)).expect(name);
        text.trim_end().into()
    }

    /// An attribute in sysfs that is a number.
    pub fn attribute(&self, name: &str) -> u64 {
        self.shown(name).parse().expect(name)
    }

    /// Opens the node.
    ///
    /// # Errors
    ///
    /// Those of open(2).
    pub fn try_open(&self) -> Result<Session> {
        Session::open(self.path(), OFlags::RDWR)
    }

    /// Opens the node.
    pub fn open(&self) -> Session {
        self.try_open().expect("open the driver's node")
    }

    /// Opens the node; calls do not block.
    pub fn open_nonblocking(&self) -> Session {
        Session::open(self.path(), OFlags::RDWR | OFlags::NONBLOCK).expect("open")
    }

    /// Opens the stream and maps all of it.
    pub fn open_stream(&self) -> Stream {
        Stream::new(self.open())
    }
}

/// Callbacks of a driver that do not end, until this is dropped.
///
/// Created inside the scope of the threads in which they run: otherwise a test that fails would
/// wait for them.
pub struct HeldCallbacks<'a>(&'a Driver);

impl HeldCallbacks<'_> {
    /// Waits until so many callbacks run.
    pub fn wait_running(&self, callbacks: u64) {
        self.0
            .wait_for("in_callback", |running| running == callbacks);
    }

    /// Lets the callbacks end.
    pub fn release(self) {}
}

impl Drop for HeldCallbacks<'_> {
    fn drop(&mut self) {
        let _ = self.0.tell("release-callbacks");
    }
}

/// Entry number `sequence` of `len` bytes, as the test driver makes it.
pub fn entry(sequence: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|i| (sequence + i) as u8).collect()
}
