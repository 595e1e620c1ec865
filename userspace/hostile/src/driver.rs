// SPDX-License-Identifier: MIT OR Apache-2.0

//! The test driver's node, published and removed by the classes.

use iostream_raw::{node_called, Control, Session};
use rustix::fs::OFlags;
use rustix::io::{Errno, Result};

const NAME: &str = "hostile";

/// The command file of the spare node; each thread opens its own.
pub struct Driver(Control);

impl Driver {
    /// Opens the command file of the node with queues.
    pub fn new() -> Self {
        Self(Control::open("spare"))
    }

    /// Opens the command file of the node with a stream.
    pub fn of_stream() -> Self {
        Self(Control::open("stspare"))
    }

    /// Runs a command.
    pub fn tell(&self, command: &str) -> Result<()> {
        self.0.tell(command)
    }

    /// Publishes the node, if it is not there.
    pub fn publish(&self) -> Result<()> {
        self.publish_sized(4096, 4096)
    }

    /// Publishes the node with queues of these sizes; 0: no queue.
    pub fn publish_sized(&self, output_bytes: u64, input_bytes: u64) -> Result<()> {
        self.tell(&format!("publish {NAME} {output_bytes} {input_bytes}"))
    }

    /// Removes the node.
    pub fn unpublish(&self) -> Result<()> {
        self.tell("unpublish")
    }
}

/// Where the node is, once it was published.
pub fn path() -> Option<String> {
    node_called(NAME).map(|path| path.to_string_lossy().into_owned())
}

/// Opens a node; calls do not block.
pub fn try_open(path: &str) -> Result<Session> {
    Session::open(path, OFlags::RDWR | OFlags::NONBLOCK)
}

/// Opens the node once its last session has ended, which takes a moment.
pub fn open(path: &str) -> Session {
    for _ in 0..100_000 {
        match try_open(path) {
            Ok(session) => return session,
            Err(Errno::BUSY | Errno::AGAIN) => std::thread::yield_now(),
            Err(error) => panic!("{path}: {error}"),
        }
    }
    panic!("{path} stays busy");
}
