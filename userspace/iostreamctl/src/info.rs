// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl info`.

use std::io::{self, Write};

use crate::arguments::Info;
use crate::cli::Cli;
use crate::counters::Counters;
use crate::device::{find, resolve};
use crate::failure::Result;
use crate::report::{print, Output, Table};
use crate::sessions::Session as OpenSession;
use crate::streams::StreamNode;
use crate::sysfs::{Node, System, COUNTERS};
use crate::units::human_bytes;

/// Shows a node's limits, queues and counters, from sysfs and procfs. It does not open the node, so
/// it disturbs nobody and needs no permission.
pub fn run(cli: &Cli, arguments: &Info) -> Result<()> {
    let system = System::real();
    let path = resolve(&arguments.node, &system);
    let Some(node) = find(&path, &system) else {
        return Err(crate::state::missing(&path));
    };
    let sessions = system.sessions(Some(&node.name));
    let json = || {
        let mut json = node.json();
        json["open"] = sessions.iter().map(OpenSession::json).collect();
        json
    };
    print(cli, Output::Free, json, |out| {
        write_text(out, &node, &rows(&sessions, &node))
    })
}

/// A row of the table of queues.
struct Row {
    owner: String,
    direction: String,
    counters: Counters,
}

/// The queues of all sessions; if there are none, those of the node.
fn rows(sessions: &[OpenSession], node: &Node) -> Vec<Row> {
    let mut rows = Vec::new();
    for session in sessions {
        for (direction, counters) in &session.queues {
            rows.push(Row {
                owner: format!("{} ({}) fd {}", session.command, session.pid, session.fd),
                direction: (*direction).to_owned(),
                counters: counters.clone(),
            });
        }
    }
    if rows.is_empty() {
        for (direction, counters) in &node.queues {
            rows.push(Row {
                owner: "-".to_owned(),
                direction: (*direction).to_owned(),
                counters: counters.clone(),
            });
        }
    }
    rows
}

fn write_text(out: &mut dyn Write, node: &Node, rows: &[Row]) -> io::Result<()> {
    writeln!(out, "device    {}", node.path.display())?;
    writeln!(out, "name      {}", node.name)?;
    if let (Some(queue), Some(total)) = (node.max_queue_bytes, node.max_total_bytes) {
        let (queue, total) = (human_bytes(queue), human_bytes(total));
        writeln!(out, "limits    {queue} a queue, {total} a user")?;
    }
    if let Some(sessions) = node.sessions {
        writeln!(out, "sessions  {sessions}")?;
    }
    if let Some(pages) = node.pages {
        writeln!(out, "in use    {pages} pages")?;
    }
    if let Some(unopened) = node.unopened {
        writeln!(
            out,
            "unopened  {unopened} entries or frames lost while nobody had it open"
        )?;
    }
    if let Some(stream) = &node.stream {
        write_stream(out, stream)?;
    } else {
        for queue in &node.made {
            writeln!(
                out,
                "{:<8}  {}, entries of up to {} bytes, {} when full",
                queue.direction,
                human_bytes(queue.data_bytes),
                queue.max_entry_bytes,
                if queue.overwrite {
                    "overwrites the oldest"
                } else {
                    "refuses"
                },
            )?;
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let mut table = Table::new([
        "SESSION",
        "QUEUE",
        "CAPACITY",
        "ENTRIES",
        "BYTES",
        "WOKEN",
        "SUPPRESSED",
        "NOTIFIED",
        "FULL",
        "LOST",
        "CORRUPT",
        "HIGH-WATER",
        "WATERMARK",
        "LATENCY-NS",
    ]);
    for row in rows {
        let [e, b, w, s, n, f, l, c, h] = COUNTERS.map(|name| row.counters.text(name));
        let capacity = row.counters.text("data_bytes");
        let direction = row.direction.clone();
        table.row([
            row.owner.clone(),
            direction,
            capacity,
            e,
            b,
            w,
            s,
            n,
            f,
            l,
            c,
            h,
            row.counters.text("watermark_bytes"),
            row.counters.text("latency_ns"),
        ]);
    }
    table.write(out)
}

fn write_stream(out: &mut dyn Write, stream: &StreamNode) -> io::Result<()> {
    writeln!(out, "stream    {}, {}", stream.mode, stream.state)?;
    if !stream.description.is_empty() {
        writeln!(out, "what      {}", stream.description)?;
    }
    if !stream.format.is_empty() {
        writeln!(out, "format    {}", stream.format)?;
    }
    writeln!(out, "clock     {}", stream.clock)?;
    writeln!(out, "buffers   {}", stream.shape())?;
    if !stream.buffers_where.is_empty() {
        let places = stream.places();
        writeln!(
            out,
            "where     {} with the client, {} with the driver, {} free: {}",
            places.client, places.held, places.free, stream.buffers_where
        )?;
    }
    for (name, count) in stream.counters.iter() {
        writeln!(out, "{name:<16}{count}")?;
    }
    Ok(())
}
