// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl start`, `stop`, `suspend` and `wait`, for a stream that another program has open.

use std::fs;
use std::io;
use std::path::Path;

use iostream::{Error, OpenError};
use rustix::io::Errno;
use serde_json::json;

use crate::arguments::{Awaited, Wait};
use crate::changes::{kernel_makes_dev, Changes};
use crate::cli::Cli;
use crate::device::{find, resolve};
use crate::failure::{Failure, OnDevice, Result};
use crate::report::{print, Output};
use crate::stop::{Patience, Stop};
use crate::surroundings::{sees_sys, NO_SYS};
use crate::sysfs::{Node, System};

/// Changes the state of a node's stream. `word` is one that the kernel accepts.
pub fn set(cli: &Cli, node: &Path, word: &str) -> Result<()> {
    let system = System::real();
    let path = resolve(node, &system);
    let Some(found) = find(&path, &system) else {
        return Err(missing(&path));
    };
    write(&found, word)?;
    report(cli, &path, word)
}

/// The failure for a path at which there is no node.
pub fn missing(path: &Path) -> Failure {
    if !sees_sys(&System::real()) {
        return Failure::Unsound(NO_SYS.to_owned());
    }
    let is = if path.is_dir() {
        "a directory"
    } else if path.is_file() {
        "a regular file"
    } else {
        "another device"
    };
    let (is, path) = (is.to_owned(), path.to_owned());
    let source = match path.exists() {
        true => OpenError::NotADevice {
            path: path.clone(),
            is,
        },
        false => OpenError::NotFound { path: path.clone() },
    };
    Failure::Device {
        device: path,
        source,
    }
}

/// Says what the state is now, for scripts: people see that nothing failed.
fn report(cli: &Cli, path: &Path, state: &str) -> Result<()> {
    let json = || json!({ "device": path, "state": state });
    print(cli, Output::Free, json, |_| Ok(()))
}

/// Waits until a node is in a state.
pub fn wait(cli: &Cli, arguments: &Wait, stop: &Stop) -> Result<()> {
    let system = System::real();
    if !sees_sys(&system) {
        return Err(Failure::Unsound(NO_SYS.to_owned()));
    }
    let patience = Patience::new(arguments.timeout);
    let mut changes = Changes::new();
    let announced = is_announced(&arguments.node.node, arguments.state, &system);
    loop {
        let path = resolve(&arguments.node.node, &system);
        let node = find(&path, &system);
        // Watched before it is looked at, so that nothing is missed in between.
        let given = changes.watch(&arguments.node.node, None, &system);
        if changes.watch(&path, node.as_ref(), &system) || given {
            continue;
        }
        if let Some(node) = &node {
            if is_in(node, arguments.state)? {
                let state = format!("{:?}", arguments.state).to_lowercase();
                return report(cli, &path, &state);
            }
        }
        let left = match patience.left() {
            Ok(left) => left,
            Err(_) => {
                return Err(Failure::NotInState {
                    node: path,
                    wanted: format!("{:?}", arguments.state).to_lowercase(),
                    is: node.map_or_else(|| "not there".to_owned(), |node| shown(&node)),
                })
            }
        };
        changes.sleep(stop, announced, left)?;
    }
}

/// Whether the kernel tells of everything that matters: a node that comes and goes in its own /dev.
fn is_announced(node: &Path, state: Awaited, system: &System) -> bool {
    let is_name = !node.is_absolute() && node.components().count() == 1;
    let is_in_dev = is_name || node.starts_with("/dev");
    state == Awaited::Present && is_in_dev && kernel_makes_dev(system)
}

fn is_in(node: &Node, state: Awaited) -> Result<bool> {
    let stream = |wanted: &str| match &node.stream {
        Some(stream) => Ok(stream.state == wanted),
        None => Err(Error::NotAStream).on(&node.path),
    };
    match state {
        Awaited::Present => Ok(node.path.exists()),
        Awaited::Open => Ok(node.sessions.is_some_and(|count| count > 0)),
        Awaited::Closed => Ok(node.sessions == Some(0)),
        Awaited::Running => stream("running"),
        Awaited::Suspended => stream("suspended"),
        Awaited::Stopped => stream("stopped"),
    }
}

/// The state of a node for a message.
fn shown(node: &Node) -> String {
    let open = match node.sessions {
        Some(0) => "closed",
        _ => "open",
    };
    match &node.stream {
        Some(stream) => format!("{open}, {}", stream.state),
        None => open.to_owned(),
    }
}

fn write(node: &Node, word: &str) -> Result<()> {
    if node.stream.is_none() {
        return Err(Error::NotAStream).on(&node.path);
    }
    match fs::write(node.directory.join("state"), word) {
        Ok(()) => Ok(()),
        // Whoever asks for a state is content if it is there.
        Err(error) if Errno::from_io_error(&error) == Some(Errno::ALREADY) => Ok(()),
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
        Some(Errno::BADFD) if word == "suspended" => device(Error::NotRunning.into()),
        Some(Errno::NODEV) => device(Error::Gone.into()),
        Some(Errno::TIMEDOUT) => device(Error::TimedOut.into()),
        Some(Errno::INTR) => Failure::Interrupted(0),
        Some(Errno::ACCESS | Errno::PERM) => Failure::NotRoot(node.path.clone()),
        Some(Errno::ROFS) => Failure::ReadOnly(node.path.clone()),
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
    fn states_are_told_from_each_other() {
        let stream = |sessions, state: &str| Node {
            sessions: Some(sessions),
            stream: Some(crate::streams::StreamNode {
                state: state.to_owned(),
                ..Default::default()
            }),
            ..Node::default()
        };
        let is = |node: &Node, state| is_in(node, state).unwrap();
        let node = stream(1, "suspended");
        assert!(is(&node, Awaited::Open) && is(&node, Awaited::Suspended));
        assert!(!is(&node, Awaited::Closed) && !is(&node, Awaited::Running));
        assert_eq!(shown(&stream(0, "stopped")), "closed, stopped");
        let queue = Node::default();
        assert_eq!(is_in(&queue, Awaited::Running).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn errnos_are_told_from_each_other() {
        let node = Node::default();
        let code = |errno: Errno| explain(&node, "suspended", errno.into()).exit_code();
        assert_eq!(code(Errno::NODEV), 6);
        assert_eq!(code(Errno::ACCESS), 4);
        assert_eq!(code(Errno::ROFS), 4);
        assert_eq!(code(Errno::TIMEDOUT), 9);
        assert_eq!(code(Errno::NOTCONN), 1);
    }
}
