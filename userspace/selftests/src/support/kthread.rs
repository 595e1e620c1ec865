// SPDX-License-Identifier: MIT OR Apache-2.0

//! A kernel thread of iostream_test.ko that runs one command.

use std::fs::read_to_string;
use std::path::PathBuf;

use iostream_raw::Control;
use rustix::io::Result;

use crate::support::waiting::wait_until;

const CONTROL: &str = "thread";

/// The kernel thread, until it is stopped.
pub struct KernelThread(PathBuf);

impl KernelThread {
    /// Starts a thread that runs a command of the spare node (`spare`) or of the client inside the
    /// kernel (`client`).
    #[track_caller]
    pub fn start(file: &str, command: &str) -> Self {
        // A clause that failed may have left one.
        let _ = Control::open(CONTROL).tell("stop");
        let started = Control::open(CONTROL).tell(&format!("start {file} {command}"));
        assert_eq!(started, Ok(()), "{command}");
        let shown = read_to_string(Control::path(CONTROL)).expect("the thread's file");
        let number = shown.trim().strip_prefix("thread=").expect("a number");
        Self(PathBuf::from("/proc").join(number))
    }

    /// Waits until the thread sleeps in a wait of the framework.
    #[track_caller]
    pub fn wait_asleep(&self) {
        wait_until("the kernel thread sleeps", || {
            assert!(self.0.exists(), "it does not wait");
            let place = read_to_string(self.0.join("wchan"));
            place.is_ok_and(|place| place.contains("iostream_wait"))
        });
    }

    /// Waits until the command of the thread has returned.
    #[track_caller]
    pub fn wait_ended(&self) {
        wait_until("the kernel thread ends", || !self.0.exists());
    }

    /// Tells the thread to stop, waits for its end, and returns what its command got.
    ///
    /// # Errors
    ///
    /// Those of the command.
    pub fn stop(self) -> Result<()> {
        Control::open(CONTROL).tell("stop")
    }
}

impl Drop for KernelThread {
    fn drop(&mut self) {
        let _ = Control::open(CONTROL).tell("stop");
    }
}
