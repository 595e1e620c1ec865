// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl watch`: what moves, again and again.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{json, Value};

use crate::arguments::Watch;
use crate::cli::Cli;
use crate::counters::Counters;
use crate::device::resolve;
use crate::failure::{Failure, Result};
use crate::moving::ended;
use crate::report::{print, Output, Table};
use crate::state::missing;
use crate::stop::Stop;
use crate::streams::Places;
use crate::sysfs::{Node, System};
use crate::units::{human_bytes, per_second};

/// Shows rates, occupancy, losses and wake-ups of all nodes, or of the named ones.
pub fn run(cli: &Cli, arguments: &Watch, stop: &Stop) -> Result<()> {
    let system = System::real();
    let only: Vec<PathBuf> = arguments
        .nodes
        .iter()
        .map(|node| resolve(node, &system))
        .collect();
    let mut before = Looked::now(&system, &only)?;
    if let Some(path) = only.iter().find(|path| !before.has(path)) {
        return Err(missing(path));
    }
    let is_empty = |node: &&Node| node.stream.is_none() && node.queues.is_empty();
    if let (false, Some(node)) = (only.is_empty(), before.nodes.iter().find(is_empty)) {
        return Err(Failure::Usage(format!(
            "{} has the queues of each session apart, and only their own program sees them move: name \
             a driver's node",
            node.path.display()
        )));
    }
    let mut count = 0;
    while arguments.count.is_none_or(|most| count < most) {
        if let Err(failure) = stop.sleep(arguments.interval) {
            return ended(Err(failure), arguments.count.is_none(), 0);
        }
        let now = Looked::now(&system, &only)?;
        let rows = rows(&before, &now);
        show(cli, &rows)?;
        before = now;
        count += 1;
    }
    Ok(())
}

/// All nodes at one moment.
struct Looked {
    nodes: Vec<Node>,
    at: Instant,
}

impl Looked {
    fn now(system: &System, only: &[PathBuf]) -> Result<Self> {
        let mut nodes = system.loaded_nodes()?;
        nodes.retain(|node| only.is_empty() || only.contains(&node.path));
        Ok(Self {
            nodes,
            at: Instant::now(),
        })
    }

    fn has(&self, path: &PathBuf) -> bool {
        self.nodes.iter().any(|node| node.path == *path)
    }
}

/// One line: a stream, or a queue of a node without one.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    name: String,
    what: String,
    state: String,
    /// Buffers or entries a second.
    moved: u64,
    /// Bytes of data a second, of a stream in both directions together.
    bytes: u64,
    /// Where the buffers of an open stream are.
    places: Option<Places>,
    /// The most bytes that were ever in a queue.
    most: Option<u64>,
    /// Entries or frames that were lost since the session began.
    lost: u64,
    /// How often the process was woken in a second.
    woken: u64,
    /// How often the kernel was notified in a second.
    notified: u64,
}

fn rows(before: &Looked, now: &Looked) -> Vec<Row> {
    let elapsed = now.at.duration_since(before.at);
    let mut rows = Vec::new();
    for node in &now.nodes {
        let earlier = before.nodes.iter().find(|old| old.path == node.path);
        if node.stream.is_some() {
            rows.extend(stream_row(node, earlier, elapsed));
            continue;
        }
        for (direction, counters) in &node.queues {
            let old = earlier.map(|old| old.queue(direction));
            rows.push(queue_row(node, direction, counters, old, elapsed));
        }
    }
    rows
}

/// How much a counter has grown in a second. If it has shrunk, a new session has begun.
fn rate(now: u64, before: Option<u64>, elapsed: Duration) -> u64 {
    match before {
        Some(before) if before <= now => per_second(now - before, elapsed),
        _ => per_second(now, elapsed),
    }
}

fn stream_row(node: &Node, earlier: Option<&Node>, elapsed: Duration) -> Option<Row> {
    let stream = node.stream.as_ref()?;
    let old = earlier.and_then(|old| old.stream.as_ref());
    let moved = |name: &str| {
        let before = old.map(|old| old.counters.get(name));
        rate(stream.counters.get(name), before, elapsed)
    };
    let both = |name: &str| {
        let sum = |node: &Node| -> u64 {
            let queues = node.queues.iter();
            queues.map(|(_, counters)| counters.get(name)).sum()
        };
        rate(sum(node), earlier.map(sum), elapsed)
    };
    Some(Row {
        name: node.name.clone(),
        what: format!("{} stream", stream.mode),
        state: stream.state.clone(),
        // Each buffer moves in both directions. Counts the direction in which the data move.
        moved: match stream.mode.as_str() {
            "input" => moved("received"),
            _ => moved("sent"),
        },
        bytes: both("bytes"),
        places: (!stream.buffers_where.is_empty()).then(|| stream.places()),
        most: None,
        lost: stream.counters.get("lost"),
        woken: both("wakeups_sent"),
        notified: both("notifications"),
    })
}

fn queue_row(
    node: &Node,
    direction: &str,
    counters: &Counters,
    old: Option<&Counters>,
    elapsed: Duration,
) -> Row {
    let grown = |name: &str| {
        let before = old.map(|old| old.get(name));
        rate(counters.get(name), before, elapsed)
    };
    Row {
        name: node.name.clone(),
        what: format!("{direction} queue"),
        state: match node.sessions {
            Some(0) => "closed".to_owned(),
            _ => "open".to_owned(),
        },
        moved: grown("entries"),
        bytes: grown("bytes"),
        places: None,
        most: Some(counters.get("high_water_bytes")),
        lost: counters.get("lost"),
        woken: grown("wakeups_sent"),
        notified: grown("notifications"),
    }
}

impl Row {
    /// For people.
    fn occupancy(&self) -> String {
        match (&self.places, self.most) {
            (Some(places), _) => format!(
                "client {} driver {} free {}",
                places.client, places.held, places.free
            ),
            (None, Some(most)) => format!("at most {}", human_bytes(most)),
            (None, None) => "-".to_owned(),
        }
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "what": self.what,
            "state": self.state,
            "moved_per_second": self.moved,
            "bytes_per_second": self.bytes,
            "buffers": self.places.map(|places| json!({
                "client": places.client, "driver": places.held, "free": places.free,
            })),
            "high_water_bytes": self.most,
            "lost": self.lost,
            "wakeups_per_second": self.woken,
            "notifications_per_second": self.notified,
        })
    }
}

fn show(cli: &Cli, rows: &[Row]) -> Result<()> {
    let json = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        json!({
            "time": now.unwrap_or_default().as_secs_f64(),
            "nodes": rows.iter().map(Row::json).collect::<Vec<_>>(),
        })
    };
    print(cli, Output::Free, json, |out| {
        // On a terminal each table is drawn over the last one; elsewhere a line separates them.
        let redraws = io::stdout().is_terminal();
        if redraws {
            // Moves the cursor home, and clears the screen.
            write!(out, "\x1b[H\x1b[J")?;
        }
        table(rows).write(out)?;
        if !redraws {
            writeln!(out)?;
        }
        out.flush()
    })
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new([
        "NAME",
        "WHAT",
        "STATE",
        "MOVED/s",
        "BYTES/s",
        "OCCUPANCY",
        "LOST",
        "WOKEN/s",
        "NOTIFIED/s",
    ]);
    for row in rows {
        table.row([
            row.name.clone(),
            row.what.clone(),
            row.state.clone(),
            row.moved.to_string(),
            human_bytes(row.bytes),
            row.occupancy(),
            row.lost.to_string(),
            row.woken.to_string(),
            row.notified.to_string(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streams::StreamNode;

    fn counters(pairs: &[(&str, u64)]) -> Counters {
        let owned = |(name, n): &(&str, u64)| ((*name).to_owned(), *n);
        pairs.iter().map(owned).collect()
    }

    fn looked(nodes: Vec<Node>, at: Instant) -> Looked {
        Looked { nodes, at }
    }

    fn stream(sent: u64, wakeups: u64) -> Node {
        Node {
            name: "frames".to_owned(),
            path: "/dev/iostream0".into(),
            queues: vec![(
                "output",
                counters(&[("wakeups_sent", wakeups), ("bytes", 8 * sent)]),
            )],
            stream: Some(StreamNode {
                mode: "output".to_owned(),
                state: "running".to_owned(),
                buffers_where: "fch".to_owned(),
                counters: counters(&[("sent", sent), ("discarded", 1), ("lost", 3)]),
                ..StreamNode::default()
            }),
            ..Node::default()
        }
    }

    #[test]
    fn rates_are_what_a_counter_grew() {
        let start = Instant::now();
        let end = start + Duration::from_secs(2);
        let before = looked(vec![stream(100, 10)], start);
        let now = looked(vec![stream(300, 14)], end);
        let rows = rows(&before, &now);
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].moved, rows[0].woken, rows[0].lost), (100, 2, 3));
        assert_eq!(rows[0].occupancy(), "client 1 driver 1 free 1");
    }

    #[test]
    fn a_new_session_and_a_new_node_begin_at_zero() {
        let start = Instant::now();
        let end = start + Duration::from_secs(1);
        let queue = |entries| Node {
            path: "/dev/iostream1".into(),
            queues: vec![(
                "input",
                counters(&[("entries", entries), ("bytes", 8 * entries)]),
            )],
            ..Node::default()
        };
        let before = looked(vec![queue(500)], start);
        let now = looked(vec![stream(7, 0), queue(20)], end);
        let rows = rows(&before, &now);
        assert_eq!((rows[0].moved, rows[1].moved), (7, 20));
        assert_eq!(rows[1].what, "input queue");
        assert_eq!((rows[0].bytes, rows[1].bytes), (56, 160));
    }
}
