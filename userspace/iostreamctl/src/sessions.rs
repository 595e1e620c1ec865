// SPDX-License-Identifier: MIT OR Apache-2.0

//! The sessions that are open on devices, from `/proc/PID/fdinfo`.

use std::fs;
use std::path::Path;

use serde_json::{json, Value};

use crate::counters::Counters;
use crate::sysfs::System;

/// One open descriptor of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The id of the process.
    pub pid: u32,
    /// The command of the process.
    pub command: String,
    /// The descriptor.
    pub fd: u32,
    /// The node's name.
    pub node: String,
    /// `data_bytes` and the counters of its queues, by direction.
    pub queues: Vec<(&'static str, Counters)>,
}

impl Session {
    /// The session as JSON.
    pub fn json(&self) -> Value {
        let mut session = json!({
            "pid": self.pid,
            "command": self.command,
            "fd": self.fd,
            "node": self.node,
        });
        for (direction, counters) in &self.queues {
            session[*direction] = counters.json();
        }
        session
    }
}

impl System {
    /// All sessions that this user may see, of one node or of all.
    pub fn sessions(&self, node: Option<&str>) -> Vec<Session> {
        let mut sessions = Vec::new();
        // Skips what cannot be read: processes come and go, and those of other users are hidden.
        for (pid, process) in numbered(&self.path("proc")) {
            for (fd, file) in numbered(&process.join("fdinfo")) {
                let Ok(text) = fs::read_to_string(file) else {
                    continue;
                };
                let Some((name, queues)) = parse(&text) else {
                    continue;
                };
                if node.is_some_and(|node| node != name) {
                    continue;
                }
                let command = fs::read_to_string(process.join("comm")).unwrap_or_default();
                sessions.push(Session {
                    pid,
                    command: command.trim_end().to_owned(),
                    fd,
                    node: name,
                    queues,
                });
            }
        }
        sessions.sort_by_key(|session| (session.pid, session.fd));
        sessions
    }
}

/// The entries of a directory whose names are numbers.
fn numbered(directory: &Path) -> Vec<(u32, std::path::PathBuf)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .collect()
}

/// The node's name and the queues, if it is the fdinfo of an iostream device.
fn parse(fdinfo: &str) -> Option<(String, Vec<(&'static str, Counters)>)> {
    let value = |key: &str| {
        fdinfo
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(":\t"))
    };
    let name = value("iostream-node")?.to_owned();
    let mut queues = Vec::new();
    for (direction, key) in [("output", "iostream-output"), ("input", "iostream-input")] {
        if let Some(line) = value(key) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let pairs = words.chunks_exact(2);
            let counter = |pair: &[&str]| Some((pair[0].to_owned(), pair[1].parse().ok()?));
            queues.push((direction, pairs.filter_map(counter).collect()));
        }
    }
    Some((name, queues))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sysfs::tests::fake;

    const FDINFO: &str = "pos:\t0\nflags:\t02\niostream-node:\tticks\n\
        iostream-output:\tdata_bytes 4096 entries 3 bytes 24\n";

    #[test]
    fn fdinfo_is_read() {
        let (name, queues) = parse(FDINFO).unwrap();
        assert_eq!(name, "ticks");
        let expected = [("data_bytes", 4096), ("entries", 3), ("bytes", 24)];
        let expected = expected.map(|(name, n)| (name.to_owned(), n));
        let expected = expected.into_iter().collect();
        assert_eq!(queues, [("output", expected)]);
        assert_eq!(parse("pos:\t0\n"), None);
    }

    #[test]
    fn processes_are_searched() {
        let system = fake(
            "sessions",
            &[
                ("proc/12/comm", "reader\n"),
                ("proc/12/fdinfo/0", "pos:\t0\n"),
                ("proc/12/fdinfo/5", FDINFO),
                ("proc/13/fdinfo/3", "iostream-node:\tother\n"),
                ("proc/sys/fdinfo/3", FDINFO),
            ],
        );
        let all = system.sessions(None);
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].pid, all[0].fd), (12, 5));
        assert_eq!(all[0].command, "reader");
        assert_eq!(all[0].json()["output"]["data_bytes"], 4096);
        assert_eq!(system.sessions(Some("other")).len(), 1);
        system.remove();
    }
}
