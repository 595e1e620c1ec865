// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl send`.

use std::time::Instant;

use iostream::{Direction, Setup};
use serde_json::json;

use crate::arguments::Send;
use crate::cli::Cli;
use crate::device::open;
use crate::failure::{Failure, OnDevice, Result};
use crate::files;
use crate::framing::{Cutter, Framing};
use crate::moving::{wakeups, Sender, Sent};
use crate::progress::Progress;
use crate::report::{print, Output, Table, Transfer};
use crate::stop::Stop;
use crate::units::Sizes;

/// How many entries are published together, if the reader is fast enough.
const BATCH: u32 = 64;

/// The size of an entry, if neither the framing nor the user says it, and the queue takes as much.
const ENTRY_SIZE: u32 = 4096;

/// Sends a file or standard input into an input queue.
pub fn run(cli: &Cli, arguments: &Send, stop: &Stop) -> Result<()> {
    let (input, name, size) = files::input(&arguments.file, stop)?;
    let mut setup = Setup::sink();
    if let Some(bytes) = arguments.queue.queue_bytes {
        setup = setup.input_bytes(bytes);
    }
    let opened = open(
        &arguments.node.node,
        &setup,
        &[("--queue-bytes", arguments.queue.queue_bytes.is_some())],
    )?;
    let framing = arguments.framing.unwrap_or(if opened.built_in.is_some() {
        Framing::Record
    } else {
        Framing::None
    });
    let queue = opened
        .session
        .queue_info(Direction::Input)
        .on(&opened.path)?;
    let room = opened.room(queue.max_entry_bytes);
    // Before the end is taken, so that a failure here leaves the session unused.
    framing.check_sizes(arguments.entry_size)?;
    let default = ENTRY_SIZE.min(queue.max_entry_bytes);
    let sizes = arguments.entry_size.unwrap_or(Sizes {
        min: default,
        max: default,
    });
    let mut cutter = Cutter::new(input, &name, framing, sizes, room)?;
    let mut producer = opened.session.producer().on(&opened.path)?;
    if let Some(spin) = arguments.queue.spin {
        producer.set_spin(spin);
    }
    let mut sender = Sender {
        producer,
        device: &opened.path,
        stop,
        batch: BATCH,
        timeout: arguments.moving.timeout,
    };
    let calls = opened.session.system_calls();
    let start = Instant::now();
    let mut progress = Progress::new(size, arguments.moving.quiet);
    let (sent, mut result) = sender.send_all(&mut cutter, |bytes| progress.add(bytes));
    if result.is_ok() {
        // The queue ends with the session: entries that nobody has taken would be lost.
        result = sender.drain();
    }
    drop(progress);
    // A table of zeros would only distract from the failure.
    if sent.entries == 0 && result.is_err() {
        return result;
    }
    let elapsed = start.elapsed();
    let calls = opened.session.system_calls() + stop.calls() - calls;
    let endpoint = opened.built_in.as_ref();
    let endpoint = endpoint.and_then(|built_in| built_in.endpoint_stats().ok());
    let wakeups = wakeups(&opened.session);
    let checked = endpoint.filter(|_| framing == Framing::Record);

    let Sent { entries, bytes, .. } = sent;
    let transfer = Transfer {
        device: &opened.path,
        bytes,
        elapsed,
    };
    let json = || {
        transfer.json(json!({
            "file": name, "entries": entries, "wakeups": wakeups, "system_calls": calls,
            "checked": checked.map(|sink| json!({
                "entries": sink.entries, "bad": sink.bad, "missed": sink.missed,
            })),
        }))
    };
    print(cli, Output::Free, json, |out| {
        let table = Table::of_row([
            ("FILE", name.clone()),
            ("BYTES", bytes.to_string()),
            ("ENTRIES", entries.to_string()),
            ("WAKE-UPS", wakeups.to_string()),
            ("SYSTEM CALLS", calls.to_string()),
            ("RATE", transfer.rate()),
        ]);
        table.write(out)
    })?;
    result?;
    match checked {
        Some(sink) if sink.bad + sink.missed > 0 || sink.entries != entries => {
            Err(Failure::Mismatch(format!(
                "of {entries} entries the kernel saw {}: {} wrong, {} missing",
                sink.entries, sink.bad, sink.missed
            )))
        }
        _ => Ok(()),
    }
}
