// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl start`, `stop` and `suspend`, for a stream that another program has open.

use std::fs;
use std::io;
use std::path::Path;

use iostream::{Error, StreamState};
use rustix::io::Errno;

use crate::device::resolve;
use crate::failure::{Failure, OnDevice, Result};
use crate::sysfs::{Node, System};

/// Changes the state of a node's stream. `word` is one that the kernel accepts.
pub fn set(node: &Path, word: &str) -> Result<()> {
    let system = System::real();
    let path = resolve(node, &system);
    let nodes = system.nodes().unwrap_or_default();
    let Some(found) = nodes.into_iter().find(|node| node.path == path) else {
        return Err(Error::NotFound { path: path.clone() }).on(&path);
    };
    write(&found, word)
}

fn write(node: &Node, word: &str) -> Result<()> {
    if node.stream.is_none() {
        return Err(Error::NotAStream).on(&node.path);
    }
    match fs::write(node.directory.join("state"), word) {
        Ok(()) => Ok(()),
        Err(error) => Err(explain(node, word, error)),
    }
}

/// The failure for an error of the kernel.
fn explain(node: &Node, word: &str, error: io::Error) -> Failure {
    let device = |source| Failure::Device {
        device: node.path.clone(),
        source,
    };
    match Errno::from_io_error(&error) {
        Some(Errno::NOTCONN) => Failure::NotOpen(node.path.clone()),
        Some(Errno::ALREADY) => device(Error::AlreadyInState(match word {
            "running" => StreamState::Running,
            "suspended" => StreamState::Suspended,
            _ => StreamState::Stopped,
        })),
        Some(Errno::BADFD) if word == "suspended" => device(Error::NotRunning),
        Some(Errno::NODEV) => device(Error::Gone),
        Some(Errno::TIMEDOUT) => device(Error::TimedOut),
        Some(Errno::INTR) => Failure::Interrupted,
        Some(Errno::ACCESS | Errno::PERM) => device(Error::Permission {
            what: node.path.clone(),
        }),
        _ => Failure::of_file(&node.path.display().to_string(), error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sysfs::tests::fake;

    #[test]
    fn the_word_is_written_to_a_stream_and_to_nothing_else() {
        let system = fake(
            "state",
            &[
                ("sys/class/iostream/iostream0/name", "frames\n"),
                ("sys/class/iostream/iostream0/mode", "output\n"),
                ("sys/class/iostream/iostream0/state", "stopped\n"),
                ("sys/class/iostream/iostream1/name", "queue\n"),
            ],
        );
        let nodes = system.nodes().unwrap();
        write(&nodes[0], "running").unwrap();
        let file = system.path("sys/class/iostream/iostream0/state");
        assert_eq!(fs::read_to_string(file).unwrap(), "running");
        assert_eq!(write(&nodes[1], "running").unwrap_err().exit_code(), 2);
        system.remove();
    }

    #[test]
    fn errnos_are_told_from_each_other() {
        let node = Node::default();
        let code = |errno: Errno| explain(&node, "suspended", errno.into()).exit_code();
        assert_eq!(code(Errno::NODEV), 6);
        assert_eq!(code(Errno::ACCESS), 4);
        assert_eq!(code(Errno::TIMEDOUT), 9);
        assert_eq!(code(Errno::NOTCONN), 1);
        let said = explain(&node, "running", Errno::ALREADY.into()).to_string();
        assert!(said.contains("running already"), "{said}");
    }
}
