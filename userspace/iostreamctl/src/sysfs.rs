// SPDX-License-Identifier: MIT OR Apache-2.0

//! The nodes in sysfs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use iostream::OpenError;
use serde_json::{json, Value};

use crate::attribute::{number, text};
use crate::counters::Counters;
use crate::failure::{Failure, OnDevice, Result};
use crate::streams::StreamNode;
use crate::surroundings::{sees_sys, NO_SYS};

/// The root below which sysfs, procfs and devices are: the real one, or a test's.
#[derive(Clone, Debug)]
pub struct System {
    root: PathBuf,
}

/// The names of a queue's counters, in the kernel's order.
pub const COUNTERS: [&str; 9] = [
    "entries",
    "bytes",
    "wakeups_sent",
    "wakeups_suppressed",
    "notifications",
    "full",
    "lost",
    "corrupt",
    "high_water_bytes",
];

/// One device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The name that its driver gave it.
    pub name: String,
    /// Its file in /dev.
    pub path: PathBuf,
    /// How many sessions are open on it.
    pub sessions: Option<u64>,
    /// How many pages all queues together take; only of `/dev/iostream`.
    pub pages: Option<u64>,
    /// How many entries were refused because nobody had it open; only of drivers' nodes.
    pub unopened: Option<u64>,
    /// The counters of the open session's queues by direction; only of drivers' nodes.
    pub queues: Vec<(&'static str, Counters)>,
    /// Its stream, if it has one.
    pub stream: Option<StreamNode>,
    /// Its folder in sysfs.
    pub directory: PathBuf,
    /// The module's limit for one queue in bytes.
    pub max_queue_bytes: Option<u64>,
    /// The module's limit for all that one user has, in bytes.
    pub max_total_bytes: Option<u64>,
    /// How the queues of each session are made; only of drivers' nodes.
    pub made: Vec<Made>,
}

/// How a driver's queue is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// `output` or `input`.
    pub direction: &'static str,
    /// Its size in bytes.
    pub data_bytes: u64,
    /// Its longest entry in bytes.
    pub max_entry_bytes: u64,
    /// Whether it overwrites its oldest entries when it is full.
    pub overwrite: bool,
}

impl Made {
    /// Reads the folder of a queue; `None` if there is none.
    fn read(direction: &'static str, folder: &Path) -> Option<Self> {
        Some(Self {
            direction,
            data_bytes: number(&folder.join("data_bytes"))?,
            max_entry_bytes: number(&folder.join("max_entry_bytes"))?,
            overwrite: number(&folder.join("overwrite"))? != 0,
        })
    }

    fn json(&self) -> Value {
        json!({
            "direction": self.direction,
            "data_bytes": self.data_bytes,
            "max_entry_bytes": self.max_entry_bytes,
            "overwrite": self.overwrite,
        })
    }
}

impl System {
    /// The root of this machine.
    pub fn real() -> Self {
        Self::at(Path::new("/"))
    }

    /// Another root.
    pub fn at(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// A path below the root.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Whether the module is loaded.
    pub fn is_loaded(&self) -> bool {
        self.path("sys/class/iostream").is_dir()
    }

    /// All nodes, sorted by path. Fails if the module is not loaded.
    pub fn loaded_nodes(&self) -> Result<Vec<Node>> {
        if !sees_sys(self) {
            return Err(Failure::Unsound(NO_SYS.to_owned()));
        }
        if !self.is_loaded() {
            let path = iostream::BuiltIn::PATH.into();
            return Err(OpenError::NotFound { path }).on(iostream::BuiltIn::PATH.as_ref());
        }
        let nodes = self.nodes();
        nodes.map_err(|error| Failure::of_file("/sys/class/iostream", error))
    }

    /// All nodes, sorted by path.
    pub fn nodes(&self) -> io::Result<Vec<Node>> {
        let mut nodes = Vec::new();
        for entry in fs::read_dir(self.path("sys/class/iostream"))? {
            let entry = entry?;
            let directory = entry.path();
            let file = entry.file_name();
            nodes.push(Node {
                name: text(&directory.join("name"))
                    .unwrap_or_else(|| file.to_string_lossy().into_owned()),
                path: self
                    .path("dev")
                    .join(device_name(&directory).unwrap_or(file)),
                sessions: number(&directory.join("sessions")),
                pages: number(&directory.join("pages")),
                unopened: number(&directory.join("unopened")),
                queues: ["output", "input"]
                    .into_iter()
                    .map(|direction| {
                        let folder = directory.join(direction);
                        (direction, Counters::read(&folder, &COUNTERS))
                    })
                    .filter(|(_, counters)| !counters.is_empty())
                    .collect(),
                stream: StreamNode::read(&directory),
                max_queue_bytes: number(&directory.join("max_queue_bytes")),
                max_total_bytes: number(&directory.join("max_total_bytes")),
                made: ["output", "input"]
                    .into_iter()
                    .filter_map(|direction| Made::read(direction, &directory.join(direction)))
                    .collect(),
                directory,
            });
        }
        nodes.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(nodes)
    }
}

impl Node {
    /// The counters of a direction's queue; empty if there is no such queue.
    pub fn queue(&self, direction: &str) -> &Counters {
        const NONE: &Counters = &Counters::new();
        let found = self.queues.iter().find(|(name, _)| *name == direction);
        found.map_or(NONE, |(_, counters)| counters)
    }

    /// Whether it has a stream, of which mode, or queues.
    pub fn kind(&self) -> String {
        match &self.stream {
            Some(stream) => format!("{} stream", stream.mode),
            None => "queues".to_owned(),
        }
    }

    /// The node as JSON.
    pub fn json(&self) -> Value {
        let mut node = json!({
            "name": self.name,
            "path": self.path,
            "sessions": self.sessions,
        });
        if let (Some(queue), Some(total)) = (self.max_queue_bytes, self.max_total_bytes) {
            node["limits"] = json!({ "max_queue_bytes": queue, "max_total_bytes": total });
        }
        if !self.made.is_empty() {
            node["queues"] = self.made.iter().map(Made::json).collect();
        }
        if let Some(pages) = self.pages {
            node["pages"] = pages.into();
        }
        if let Some(unopened) = self.unopened {
            node["unopened"] = unopened.into();
        }
        for (direction, counters) in &self.queues {
            node[*direction] = counters.json();
        }
        if let Some(stream) = &self.stream {
            node["stream"] = stream.json();
        }
        node
    }
}

/// The file name in /dev, which the kernel reports to udev.
fn device_name(directory: &Path) -> Option<std::ffi::OsString> {
    let uevent = fs::read_to_string(directory.join("uevent")).ok()?;
    let name = uevent
        .lines()
        .find_map(|line| line.strip_prefix("DEVNAME="));
    name.map(Into::into)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Makes a folder of its own with these files.
    pub fn fake(test: &str, files: &[(&str, &str)]) -> System {
        let folder = format!("iostreamctl-{}-{test}", std::process::id());
        let root = std::env::temp_dir().join(folder);
        for (path, content) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        System::at(&root)
    }

    impl System {
        /// Removes the folder.
        pub fn remove(self) {
            fs::remove_dir_all(self.root).unwrap();
        }
    }

    #[test]
    fn nodes_are_read() {
        let system = fake(
            "nodes",
            &[
                ("sys/class/iostream/iostream/name", "iostream\n"),
                ("sys/class/iostream/iostream/sessions", "2\n"),
                ("sys/class/iostream/iostream/pages", "70\n"),
                ("sys/class/iostream/iostream0/name", "ticks\n"),
                (
                    "sys/class/iostream/iostream0/uevent",
                    "MAJOR=1\nDEVNAME=iostream0\n",
                ),
                ("sys/class/iostream/iostream0/output/entries", "7\n"),
            ],
        );
        assert!(system.is_loaded());
        let nodes = system.nodes().unwrap();
        assert_eq!((nodes[0].sessions, nodes[0].pages), (Some(2), Some(70)));
        assert_eq!(nodes[1].name, "ticks");
        assert_eq!(nodes[1].path, system.path("dev/iostream0"));
        let entries: Counters = [("entries".to_owned(), 7)].into_iter().collect();
        assert_eq!(entries.text("entries"), "7");
        assert_eq!(entries.text("bytes"), "-");
        assert_eq!(nodes[1].queues, [("output", entries)]);
        assert_eq!(nodes[1].json()["output"]["entries"], 7);
        system.remove();
    }

    #[test]
    fn without_the_module_there_is_nothing() {
        let system = System::at(Path::new("/nonexistent"));
        assert!(!system.is_loaded() && system.nodes().is_err());
    }
}
