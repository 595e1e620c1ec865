// SPDX-License-Identifier: MIT OR Apache-2.0

//! QEMU's monitor, which this machine can use if `qemu/run --monitor` started it: to pull a card
//! out, and to plug one in.

use std::fs::{read_dir, read_to_string, File, OpenOptions};
use std::io::{Read, Write};

use iostream_raw::wait_for;
use rustix::event::PollFlags;

use crate::support::waiting::deadline;

/// The name of the virtio port that is the monitor.
const PORT: &str = "iostream.monitor";

/// A conversation with QEMU, in QMP: a JSON object a line.
pub struct Monitor {
    port: File,
    /// What was read after the last complete line.
    rest: String,
}

impl Monitor {
    /// `None` if QEMU was started without it, or the kernel has no hotplug slots.
    pub fn open() -> Option<Self> {
        read_dir("/sys/bus/pci/slots").ok()?.next()?.ok()?;
        let ports = read_dir("/sys/class/virtio-ports").ok()?;
        let port = ports.filter_map(Result::ok).find(|port| {
            read_to_string(port.path().join("name")).is_ok_and(|n| n.trim() == PORT)
        })?;
        let path = std::path::Path::new("/dev").join(port.file_name());
        let port = OpenOptions::new().read(true).write(true).open(path);
        let mut monitor = Self {
            port: port.expect("the monitor's port"),
            rest: String::new(),
        };
        // It fails if it was done before; once is enough for QEMU.
        monitor.ask(r#""qmp_capabilities""#);
        Some(monitor)
    }

    /// Sends a command and returns QEMU's answer to it.
    fn ask(&mut self, command: &str) -> String {
        let command = format!("{{\"execute\": {command}, \"id\": \"selftests\"}}\n");
        self.port.write_all(command.as_bytes()).expect("write");
        self.wait_line(r#""id": "selftests""#)
    }

    /// Sends a command that must succeed.
    #[track_caller]
    pub fn command(&mut self, command: &str) {
        let answer = self.ask(command);
        assert!(answer.contains(r#""return""#), "{command}: {answer}");
    }

    /// Reads up to the next line that contains `wanted`.
    #[track_caller]
    pub fn wait_line(&mut self, wanted: &str) -> String {
        loop {
            while let Some((line, rest)) = self.rest.split_once('\n') {
                let line = line.to_owned();
                self.rest = rest.to_owned();
                if line.contains(wanted) {
                    return line;
                }
            }
            let ready = wait_for(&self.port, PollFlags::IN, deadline().as_millis() as i64);
            assert!(ready.contains(PollFlags::IN), "QEMU does not say {wanted}");
            let mut bytes = [0; 4096];
            let len = self.port.read(&mut bytes).expect("read");
            self.rest.push_str(&String::from_utf8_lossy(&bytes[..len]));
        }
    }

    /// Pulls a device out and waits until it is gone.
    pub fn unplug(&mut self, id: &str) {
        self.command(&format!(r#""device_del", "arguments": {{"id": "{id}"}}"#));
        self.wait_line("DEVICE_DELETED");
    }
}
