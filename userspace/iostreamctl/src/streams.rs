// SPDX-License-Identifier: MIT OR Apache-2.0

//! The streams in sysfs.

use std::path::Path;

use serde_json::{json, Value};

use crate::attribute::{number, text};
use crate::counters::Counters;
use crate::units::human_bytes;

/// The names of a stream's counters, in the kernel's order.
const COUNTERS: [&str; 8] = [
    "sent",
    "received",
    "discarded",
    "lost",
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
    /// The number of buffers.
    pub buffers: u64,
    /// A letter for each buffer of the open session, which says where it is: see [`Places`].
    pub buffers_where: String,
    /// The size of a buffer's data area in bytes.
    pub data_bytes: u64,
    /// The size of a buffer's control area in bytes.
    pub control_bytes: u64,
    /// The clock of the timestamps: `realtime`, `monotonic`, `boottime`, or `tai`.
    pub clock: String,
    /// The driver's description of the stream.
    pub description: String,
    /// The driver's format tag.
    pub format: String,
    /// The counters of the open session.
    pub counters: Counters,
}

/// How many buffers are free, held by the driver, and with the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Free: the driver can take them.
    pub free: u64,
    /// Held by the driver, or queued for it.
    pub held: u64,
    /// With the client, or queued for it.
    pub client: u64,
}

impl StreamNode {
    /// Reads a node's folder; `None` if the node has no stream.
    pub fn read(directory: &Path) -> Option<Self> {
        let read = |name: &str| text(&directory.join(name));
        let count = |name: &str| number(&directory.join(name)).unwrap_or_default();
        Some(Self {
            mode: read("mode")?,
            state: read("state")?,
            buffers: count("buffers"),
            buffers_where: read("buffers_where").unwrap_or_default(),
            data_bytes: count("data_bytes"),
            control_bytes: count("control_bytes"),
            clock: read("clock").unwrap_or_default(),
            description: read("description").unwrap_or_default(),
            format: read("format").unwrap_or_default(),
            counters: Counters::read(&directory.join("stream"), &COUNTERS),
        })
    }

    /// Where the buffers of the open session are.
    pub fn places(&self) -> Places {
        let mut places = Places::default();
        for letter in self.buffers_where.chars() {
            match letter {
                'f' => places.free += 1,
                'h' => places.held += 1,
                'c' => places.client += 1,
                _ => {}
            }
        }
        places
    }

    /// The number and size of the buffers.
    pub fn shape(&self) -> String {
        let data = human_bytes(self.data_bytes);
        if self.control_bytes == 0 {
            return format!("{} x {data}", self.buffers);
        }
        format!("{} x {data} + {} B", self.buffers, self.control_bytes)
    }

    /// The stream as JSON.
    pub fn json(&self) -> Value {
        json!({
            "mode": self.mode,
            "state": self.state,
            "buffers": self.buffers,
            "buffers_where": self.buffers_where,
            "data_bytes": self.data_bytes,
            "control_bytes": self.control_bytes,
            "clock": self.clock,
            "description": self.description,
            "format": self.format,
            "counters": self.counters.json(),
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
            ("buffers_where", "fhccf\n"),
            ("data_bytes", "65536\n"),
            ("control_bytes", "32\n"),
            ("description", "a test pattern\n"),
            ("format", "TEST\n"),
            ("stream/sent", "7\n"),
            ("stream/lost", "3\n"),
            ("clock", "tai\n"),
        ]
        .map(|(name, content)| (format!("{folder}/{name}"), content));
        let mut files: Vec<_> = files.iter().map(|(p, c)| (p.as_str(), *c)).collect();
        files.push(("sys/class/iostream/iostream1/name", "queue\n"));
        let system = fake("streams", &files);
        let stream = StreamNode::read(&system.path(folder)).unwrap();
        let places = Places {
            free: 2,
            held: 1,
            client: 2,
        };
        assert_eq!((stream.places(), stream.buffers), (places, 5));
        let counters = &stream.counters;
        assert_eq!((counters.get("sent"), counters.get("lost")), (7, 3));
        assert_eq!(stream.json()["clock"], "tai");
        assert_eq!(stream.shape(), format!("5 x {} + 32 B", human_bytes(65536)));
        assert_eq!(stream.json()["counters"]["sent"], 7);
        assert_eq!(
            StreamNode::read(&system.path("sys/class/iostream/iostream1")),
            None
        );
        system.remove();
    }
}
