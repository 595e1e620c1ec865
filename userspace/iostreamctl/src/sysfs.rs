// SPDX-License-Identifier: MIT OR Apache-2.0

//! Nodes, as sysfs shows them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{json, Map, Value};

use crate::streams::StreamNode;

/// Where sysfs, procfs and devices are: real ones, or a test's.
#[derive(Clone, Debug)]
pub struct System {
    root: PathBuf,
}

/// The counters of one queue, in the kernel's order and by the kernel's names.
pub type Counters = Vec<(String, u64)>;

/// Names of the counters that tables show.
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
    /// Its name, as its driver gave it.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// How many have it open.
    pub sessions: Option<u64>,
    /// Pages that all queues together take; of `/dev/iostream` alone.
    pub pages: Option<u64>,
    /// Entries refused because nobody had it open; of drivers' nodes alone.
    pub unopened: Option<u64>,
    /// By direction, the counters of the open session's queues; of drivers' nodes alone.
    pub queues: Vec<(&'static str, Counters)>,
    /// Its stream, if it has one.
    pub stream: Option<StreamNode>,
    /// Its folder in sysfs.
    pub directory: PathBuf,
}

impl System {
    /// This machine's.
    pub fn real() -> Self {
        Self::at(Path::new("/"))
    }

    /// A copy elsewhere.
    pub fn at(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// A path below it.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Whether the module is there.
    pub fn is_loaded(&self) -> bool {
        self.path("sys/class/iostream").is_dir()
    }

    /// All nodes, by their files' names.
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
                    .map(|direction| (direction, counters(&directory.join(direction))))
                    .filter(|(_, counters)| !counters.is_empty())
                    .collect(),
                stream: StreamNode::read(&directory),
                directory,
            });
        }
        nodes.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(nodes)
    }
}

impl Node {
    /// The counters of the queue of a direction; none if there is no such queue.
    pub fn queue(&self, direction: &str) -> &Counters {
        const NONE: &Counters = &Counters::new();
        let found = self.queues.iter().find(|(name, _)| *name == direction);
        found.map_or(NONE, |(_, counters)| counters)
    }

    /// What it has: a stream and its mode, or queues.
    pub fn kind(&self) -> String {
        match &self.stream {
            Some(stream) => format!("{} stream", stream.mode),
            None => "queues".to_owned(),
        }
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        let mut node = json!({
            "name": self.name,
            "path": self.path,
            "sessions": self.sessions,
        });
        if let Some(pages) = self.pages {
            node["pages"] = pages.into();
        }
        if let Some(unopened) = self.unopened {
            node["unopened"] = unopened.into();
        }
        for (direction, counters) in &self.queues {
            node[*direction] = counters_json(counters);
        }
        if let Some(stream) = &self.stream {
            node["stream"] = stream.json();
        }
        node
    }
}

/// Counters as a JSON object.
pub fn counters_json(counters: &Counters) -> Value {
    let pairs = counters.iter().map(|(name, n)| (name.clone(), (*n).into()));
    Value::Object(pairs.collect::<Map<_, _>>())
}

/// One counter; `-` where there is none.
pub fn counter_text(counters: &Counters, name: &str) -> String {
    let found = counters.iter().find(|(counter, _)| counter == name);
    found.map_or("-".to_owned(), |(_, n)| n.to_string())
}

/// The file below /dev, as the kernel tells udev.
fn device_name(directory: &Path) -> Option<std::ffi::OsString> {
    let uevent = fs::read_to_string(directory.join("uevent")).ok()?;
    let name = uevent
        .lines()
        .find_map(|line| line.strip_prefix("DEVNAME="));
    name.map(Into::into)
}

fn counters(directory: &Path) -> Counters {
    let read = |name: &&str| Some(((*name).to_owned(), number(&directory.join(name))?));
    COUNTERS.iter().filter_map(read).collect()
}

/// What a file says, without the last line's end.
pub fn text(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim_end().to_owned())
}

/// The number that a file says.
pub fn number(path: &Path) -> Option<u64> {
    text(path)?.parse().ok()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A copy of what a machine shows, in a folder of its own.
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
        /// Takes the copy away.
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
        let entries = vec![("entries".to_owned(), 7)];
        assert_eq!(nodes[1].queues, [("output", entries.clone())]);
        assert_eq!(counter_text(&entries, "entries"), "7");
        assert_eq!(counter_text(&entries, "bytes"), "-");
        assert_eq!(nodes[1].json()["output"]["entries"], 7);
        assert_eq!(
            crate::device::resolve(Path::new("ticks"), &system),
            system.path("dev/iostream0")
        );
        system.remove();
    }

    #[test]
    fn without_the_module_there_is_nothing() {
        let system = System::at(Path::new("/nonexistent"));
        assert!(!system.is_loaded() && system.nodes().is_err());
    }
}
