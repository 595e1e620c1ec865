// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl info`.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use iostream::{DeviceInfo, Direction, Error, QueueInfo, Session};
use serde_json::{json, Value};

use crate::cli::{Cli, Info};
use crate::counters::Counters;
use crate::device::resolve;
use crate::failure::{Failure, OnDevice, Result};
use crate::report::{print, Output, Table};
use crate::sessions::Session as OpenSession;
use crate::stop::Stop;
use crate::streams::StreamNode;
use crate::sysfs::{Node, System, COUNTERS};
use crate::units::human_bytes;

/// What an open descriptor of the device reports. Nothing, if another program has it open.
struct Told {
    info: Option<DeviceInfo>,
    queues: Vec<QueueInfo>,
}

/// Shows a device's limits, queues and counters.
pub fn run(cli: &Cli, arguments: &Info, stop: &Stop) -> Result<()> {
    let system = System::real();
    let path = resolve(&cli.device, &system);
    let told = ask(&path).on(&path)?;
    let Some(interval) = arguments.watch else {
        return show(cli, &system, &path, &told);
    };
    let mut times = 0;
    loop {
        if !cli.json && io::stdout().is_terminal() {
            // Moves the cursor home, and clears the screen.
            write!(io::stdout(), "\x1b[H\x1b[J").map_err(Failure::of_stdout)?;
        }
        show(cli, &system, &path, &told)?;
        times += 1;
        if Some(times) == arguments.times {
            return Ok(());
        }
        stop.sleep(interval)?;
    }
}

/// Opens the device for a moment, since only an open descriptor reports limits and queues.
fn ask(path: &Path) -> iostream::Result<Told> {
    let session = match Session::open(path) {
        Ok(session) => session,
        // Counters can be read from sysfs and fdinfo in any case.
        Err(Error::Busy(_)) => {
            return Ok(Told {
                info: None,
                queues: Vec::new(),
            })
        }
        Err(error) => return Err(error),
    };
    let mut queues = Vec::new();
    for direction in [Direction::Output, Direction::Input] {
        match session.queue_info(direction) {
            Ok(queue) => queues.push(queue),
            Err(Error::NoQueue(_) | Error::NotSetUp) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Told {
        info: Some(session.device_info().clone()),
        queues,
    })
}

/// A row of the table of queues.
struct Row {
    owner: String,
    direction: String,
    counters: Counters,
}

fn show(cli: &Cli, system: &System, path: &Path, told: &Told) -> Result<()> {
    let node = system
        .nodes()
        .unwrap_or_default()
        .into_iter()
        .find(|node| node.path == path);
    let name = match (&told.info, &node) {
        (Some(info), _) => Some(info.name.as_str()),
        (None, Some(node)) => Some(node.name.as_str()),
        (None, None) => None,
    };
    let mut sessions = system.sessions(name);
    // This process, if the descriptor of `ask` were still open.
    sessions.retain(|session| session.pid != std::process::id());
    let json = || {
        json!({
            "device": path,
            "name": name,
            "limits": told.info.as_ref().map(|info| json!({
                "features": info.features,
                "max_queue_bytes": info.max_queue_bytes,
                "max_total_bytes": info.max_total_bytes,
            })),
            "node": node.as_ref().map(Node::json),
            "queues": told.queues.iter().map(queue_json).collect::<Vec<_>>(),
            "sessions": sessions.iter().map(OpenSession::json).collect::<Vec<_>>(),
        })
    };
    print(cli, Output::Free, json, |out| {
        let rows = rows(&sessions, node.as_ref());
        write_text(out, path, name, node.as_ref(), told, &rows)
    })
}

/// The queues of all sessions; if there are none, those of the node.
fn rows(sessions: &[OpenSession], node: Option<&Node>) -> Vec<Row> {
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
    if let (true, Some(node)) = (rows.is_empty(), node) {
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

fn write_text(
    out: &mut dyn Write,
    path: &Path,
    name: Option<&str>,
    node: Option<&Node>,
    told: &Told,
    rows: &[Row],
) -> io::Result<()> {
    writeln!(out, "device    {}", path.display())?;
    if let Some(name) = name {
        writeln!(out, "name      {name}")?;
    }
    match &told.info {
        Some(info) => {
            let queue = human_bytes(info.max_queue_bytes);
            let total = human_bytes(info.max_total_bytes);
            writeln!(out, "limits    {queue} a queue, {total} in all")?;
        }
        None => writeln!(out, "limits    unknown: another program has it open")?,
    }
    if let Some(node) = node {
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
    }
    if let Some(stream) = node.and_then(|node| node.stream.as_ref()) {
        write_stream(out, stream)?;
    }
    for queue in &told.queues {
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

fn queue_json(queue: &QueueInfo) -> Value {
    json!({
        "direction": queue.direction.to_string(),
        "overwrite": queue.overwrite,
        "data_bytes": queue.data_bytes,
        "max_entry_bytes": queue.max_entry_bytes,
        "page_bytes": queue.page_bytes,
        "generation": queue.generation,
        "features": queue.features,
    })
}
