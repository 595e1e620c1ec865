// SPDX-License-Identifier: MIT OR Apache-2.0

//! How many system calls a thread makes, counted by the kernel.

use std::fs::{create_dir, read_to_string, remove_dir, write, File, OpenOptions};
use std::io::Write;

/// System calls of one thread, counted by the kernel's own tracepoint.
pub struct SystemCalls {
    dir: &'static str,
    switch: File,
}

impl SystemCalls {
    /// Begins to count the calls of the calling thread.
    pub fn of_this_thread() -> Self {
        let dir = "/sys/kernel/tracing/instances/selftests";
        // A run that was killed may have left it.
        let _ = remove_dir(dir);
        create_dir(dir).expect("an instance of the tracer");
        let switch = OpenOptions::new()
            .write(true)
            .open(format!("{dir}/tracing_on"));
        let mut calls = Self {
            dir,
            switch: switch.unwrap(),
        };
        calls.switch.write_all(b"0").unwrap();
        let id = rustix::thread::gettid().as_raw_nonzero();
        let event = format!("{dir}/events/raw_syscalls/sys_enter");
        write(format!("{event}/filter"), format!("common_pid == {id}")).expect("filter");
        write(format!("{event}/enable"), "1").expect("enable");
        calls.switch.write_all(b"1").unwrap();
        calls
    }

    /// How many calls the thread has made since then.
    pub fn count(mut self) -> usize {
        self.switch.write_all(b"0").unwrap();
        let text = read_to_string(format!("{}/trace", self.dir)).unwrap();
        let lines = text.lines().filter(|line| line.contains("sys_enter:"));
        // The last one is the write that stopped the tracer.
        lines.count() - 1
    }
}

impl Drop for SystemCalls {
    fn drop(&mut self) {
        let _ = write(format!("{}/events/enable", self.dir), "0");
        // While `switch` is open the instance cannot be removed: the next one does that.
    }
}
