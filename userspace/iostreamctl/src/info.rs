// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl info`.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use iostream::{DeviceInfo, Direction, Error, QueueInfo, Session};
use serde_json::{json, Value};

use crate::cli::{Cli, Info};
use crate::device::resolve;
use crate::failure::{Failure, OnDevice, Result};
use crate::report::{write_json, Table};
use crate::stop::Stop;
use crate::streams::StreamNode;
use crate::sysfs::{counter_text, Counters, Node, System, COUNTERS};
use crate::units::human_bytes;

/// What opening the device tells, unless someone else has it.
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
            // Home, and clear to the end.
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

/// Opens the device for a moment, since some things only an open file tells.
fn ask(path: &Path) -> iostream::Result<Told> {
    let session = match Session::open(path) {
        Ok(session) => session,
        // Counters can be seen from outside all the same.
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

/// One queue as it is shown: whose, which, and its numbers.
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
    // Ourselves, if the descriptor of `ask` were still open.
    sessions.retain(|session| session.pid != std::process::id());
    let out = &mut io::stdout().lock();
    if cli.json {
        let value = json!({
            "device": path,
            "name": name,
            "limits": told.info.as_ref().map(|info| json!({
                "features": info.features,
                "max_queue_bytes": info.max_queue_bytes,
                "max_total_bytes": info.max_total_bytes,
            })),
            "node": node.as_ref().map(Node::json),
            "queues": told.queues.iter().map(queue_json).collect::<Vec<_>>(),
            "sessions": sessions.iter().map(|session| session.json()).collect::<Vec<_>>(),
        });
        return write_json(out, &value).map_err(Failure::of_stdout);
    }
    let mut rows = Vec::new();
    for session in &sessions {
        for (direction, counters) in &session.queues {
            rows.push(Row {
                owner: format!("{} ({}) fd {}", session.command, session.pid, session.fd),
                direction: (*direction).to_owned(),
                counters: counters.clone(),
            });
        }
    }
    if let (true, Some(node)) = (rows.is_empty(), &node) {
        for (direction, counters) in &node.queues {
            rows.push(Row {
                owner: "-".to_owned(),
                direction: (*direction).to_owned(),
                counters: counters.clone(),
            });
        }
    }
    write_text(out, path, name, node.as_ref(), told, &rows).map_err(Failure::of_stdout)
}

fn write_text(
    out: &mut impl Write,
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
                "unopened  {unopened} entries refused while nobody had it open"
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
        let [e, b, w, s, n, f, l, c, h] = COUNTERS.map(|name| counter_text(&row.counters, name));
        let capacity = counter_text(&row.counters, "data_bytes");
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
            counter_text(&row.counters, "watermark_bytes"),
            counter_text(&row.counters, "latency_ns"),
        ]);
    }
    table.write(out)
}

fn write_stream(out: &mut impl Write, stream: &StreamNode) -> io::Result<()> {
    writeln!(out, "stream    {}, {}", stream.mode, stream.state)?;
    if !stream.description.is_empty() {
        writeln!(out, "what      {}", stream.description)?;
    }
    if !stream.format.is_empty() {
        writeln!(out, "format    {}", stream.format)?;
    }
    writeln!(out, "buffers   {}", stream.shape())?;
    if !stream.buffers_where.is_empty() {
        let places = stream.places();
        writeln!(
            out,
            "where     {} with the client, {} with the driver, {} free: {}",
            places.client, places.working, places.free, stream.buffers_where
        )?;
    }
    for (name, count) in &stream.counters {
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
