// SPDX-License-Identifier: MIT OR Apache-2.0

//! Streams, as sysfs shows them.

use std::path::Path;

use serde_json::{json, Value};

use crate::sysfs::{counters_json, number, text, Counters};
use crate::units::human_bytes;

/// Names of the counters of a stream.
const COUNTERS: [&str; 7] = [
    "sent",
    "received",
    "discarded",
    "rejected_id",
    "rejected_owner",
    "rejected_range",
    "rejected_flags",
];

/// The stream of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamNode {
    /// `output`, `input`, or `input-output`.
    pub mode: String,
    /// `stopped`, `running`, or `suspended`.
    pub state: String,
    /// How many buffers there are.
    pub buffers: u64,
    /// A letter for each buffer of the session that is open: see [`Places`].
    pub buffers_where: String,
    /// The size of a buffer's data area.
    pub data_bytes: u64,
    /// The size of a buffer's control area.
    pub control_bytes: u64,
    /// The driver's words.
    pub description: String,
    /// The driver's tag.
    pub format: String,
    /// The counters of the session that is open.
    pub counters: Counters,
}

/// How many buffers are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The driver has it free.
    pub free: u64,
    /// The driver works on it, or it is on its way to the driver's work.
    pub working: u64,
    /// The client has it, or it is on its way there.
    pub client: u64,
}

impl StreamNode {
    /// Of a node's folder; `None` if it has no stream.
    pub fn read(directory: &Path) -> Option<Self> {
        let read = |name: &str| text(&directory.join(name));
        let count = |name: &str| number(&directory.join(name)).unwrap_or_default();
        let group = directory.join("stream");
        let counter = |name: &&str| Some(((*name).to_owned(), number(&group.join(name))?));
        Some(Self {
            mode: read("mode")?,
            state: read("state")?,
            buffers: count("buffers"),
            buffers_where: read("buffers_where").unwrap_or_default(),
            data_bytes: count("data_bytes"),
            control_bytes: count("control_bytes"),
            description: read("description").unwrap_or_default(),
            format: read("format").unwrap_or_default(),
            counters: COUNTERS.iter().filter_map(counter).collect(),
        })
    }

    /// How many buffers are where, in the session that is open.
    pub fn places(&self) -> Places {
        let mut places = Places::default();
        for letter in self.buffers_where.chars() {
            match letter {
                'd' => places.free += 1,
                't' => places.working += 1,
                'c' => places.client += 1,
                _ => {}
            }
        }
        places
    }

    /// One of its counters; 0 if there is none.
    pub fn counter(&self, name: &str) -> u64 {
        let found = self.counters.iter().find(|(counter, _)| counter == name);
        found.map_or(0, |(_, n)| *n)
    }

    /// Descriptors that the kernel did not take.
    pub fn rejected(&self) -> u64 {
        let rejected = |(name, _): &&(String, u64)| name.starts_with("rejected_");
        self.counters.iter().filter(rejected).map(|(_, n)| n).sum()
    }

    /// Number and size of the buffers.
    pub fn shape(&self) -> String {
        let data = human_bytes(self.data_bytes);
        if self.control_bytes == 0 {
            return format!("{} x {data}", self.buffers);
        }
        format!("{} x {data} + {} B", self.buffers, self.control_bytes)
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        json!({
            "mode": self.mode,
            "state": self.state,
            "buffers": self.buffers,
            "buffers_where": self.buffers_where,
            "data_bytes": self.data_bytes,
            "control_bytes": self.control_bytes,
            "description": self.description,
            "format": self.format,
            "counters": counters_json(&self.counters),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sysfs::tests::fake;

    #[test]
    fn a_stream_is_read_and_a_queue_is_none() {
        let folder = "sys/class/iostream/iostream0";
        let files = [
            ("mode", "output\n"),
            ("state", "running\n"),
            ("buffers", "5\n"),
            ("buffers_where", "dtccd\n"),
            ("data_bytes", "65536\n"),
            ("control_bytes", "32\n"),
            ("description", "a test pattern\n"),
            ("format", "TEST\n"),
            ("stream/sent", "7\n"),
            ("stream/rejected_id", "2\n"),
            ("stream/rejected_range", "1\n"),
        ]
        .map(|(name, content)| (format!("{folder}/{name}"), content));
        let mut files: Vec<_> = files.iter().map(|(p, c)| (p.as_str(), *c)).collect();
        files.push(("sys/class/iostream/iostream1/name", "queue\n"));
        let system = fake("streams", &files);
        let stream = StreamNode::read(&system.path(folder)).unwrap();
        let places = Places {
            free: 2,
            working: 1,
            client: 2,
        };
        assert_eq!((stream.places(), stream.buffers), (places, 5));
        assert_eq!((stream.counter("sent"), stream.rejected()), (7, 3));
        assert_eq!(stream.shape(), format!("5 x {} + 32 B", human_bytes(65536)));
        assert_eq!(stream.json()["counters"]["sent"], 7);
        assert_eq!(
            StreamNode::read(&system.path("sys/class/iostream/iostream1")),
            None
        );
        system.remove();
    }
}
