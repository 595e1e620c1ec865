// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl list`.

use serde_json::json;

use crate::cli::Cli;
use crate::failure::Result;
use crate::report::{print, Output, Table};
use crate::sessions::Session;
use crate::sysfs::{Node, System};

/// Lists devices and the sessions that are open on them.
pub fn run(cli: &Cli) -> Result<()> {
    let system = System::real();
    let nodes = system.loaded_nodes()?;
    let sessions = system.sessions(None);
    let json = || {
        json!({
            "nodes": nodes.iter().map(Node::json).collect::<Vec<_>>(),
            "sessions": sessions.iter().map(Session::json).collect::<Vec<_>>(),
        })
    };
    print(cli, Output::Free, json, |out| {
        node_table(&nodes).write(out)?;
        let open = session_table(&sessions);
        if open.is_empty() {
            return Ok(());
        }
        writeln!(out)?;
        open.write(out)
    })
}

fn node_table(nodes: &[Node]) -> Table {
    let mut table = Table::new(["DEVICE", "NAME", "SESSIONS", "KIND", "STATE", "BUFFERS"]);
    for node in nodes {
        let none = || "-".to_owned();
        let stream = node.stream.as_ref();
        table.row([
            node.path.display().to_string(),
            node.name.clone(),
            node.sessions.map_or_else(none, |n| n.to_string()),
            node.kind(),
            stream.map_or_else(none, |stream| stream.state.clone()),
            stream.map_or_else(none, |stream| stream.shape()),
        ]);
    }
    table
}

fn session_table(sessions: &[Session]) -> Table {
    let mut open = Table::new([
        "PID", "COMMAND", "FD", "NAME", "QUEUE", "CAPACITY", "ENTRIES",
    ]);
    for session in sessions {
        let [pid, command, fd, name] = [
            session.pid.to_string(),
            session.command.clone(),
            session.fd.to_string(),
            session.node.clone(),
        ];
        if session.queues.is_empty() {
            let none = || "-".to_owned();
            open.row([pid, command, fd, name, none(), none(), none()]);
            continue;
        }
        for (direction, counters) in &session.queues {
            open.row([
                pid.clone(),
                command.clone(),
                fd.clone(),
                name.clone(),
                (*direction).to_owned(),
                counters.text("data_bytes"),
                counters.text("entries"),
            ]);
        }
    }
    open
}
