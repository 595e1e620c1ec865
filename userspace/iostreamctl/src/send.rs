// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl send`.

use std::io;
use std::time::Instant;

use iostream::{Direction, Setup};
use serde_json::json;

use crate::cli::{Cli, Send};
use crate::device::open;
use crate::failure::{Failure, OnDevice, Result};
use crate::files;
use crate::framing::{Cutter, Framing};
use crate::moving::{wakeups, Sender, Sent};
use crate::progress::Progress;
use crate::report::{write_json, Table};
use crate::stop::Stop;
use crate::units::{human_bytes, per_second};

/// Entries that are published at once, if the reader is fast enough.
const BATCH: u32 = 64;

/// Sends a file or standard input into an input queue.
pub fn run(cli: &Cli, arguments: &Send, stop: &Stop) -> Result<()> {
    let (input, name, size) = files::input(&arguments.file, stop)?;
    let mut setup = Setup::sink();
    if let Some(bytes) = arguments.queue.queue_bytes {
        setup = setup.input_bytes(bytes);
    }
    let opened = open(&cli.device, &setup)?;
    let framing = arguments.framing.unwrap_or(if opened.built_in {
        Framing::Record
    } else {
        Framing::None
    });
    let queue = opened
        .session
        .queue_info(Direction::Input)
        .on(&opened.path)?;
    let max = queue.max_entry_bytes as usize;
    // Before the end is taken, so that nothing was done if this fails.
    let mut cutter = Cutter::new(input, &name, framing, arguments.entry_size, max)?;
    let mut producer = opened.session.producer().on(&opened.path)?;
    if let Some(spin) = arguments.queue.spin {
        producer.set_spin(spin);
    }
    let mut sender = Sender {
        producer,
        device: &opened.path,
        stop,
        batch: BATCH,
        timeout: arguments.queue.timeout,
    };
    let calls = opened.session.system_calls();
    let start = Instant::now();
    let mut progress = Progress::new(size, cli.quiet);
    let (sent, mut result) = sender.send_all(&mut cutter, |bytes| progress.add(bytes));
    if result.is_ok() {
        // The queue ends with the session: what nobody took would be lost.
        result = sender.drain();
    }
    drop(progress);
    // A table of zeros would only hide what went wrong.
    if sent.entries == 0 && result.is_err() {
        return result;
    }
    let elapsed = start.elapsed();
    let calls = opened.session.system_calls() - calls;
    let endpoint = opened.session.endpoint_stats().ok();
    let wakeups = wakeups(&opened.session);
    let checked = endpoint.filter(|_| framing == Framing::Record);

    let out = &mut io::stdout().lock();
    let Sent { entries, bytes, .. } = sent;
    let rate = per_second(bytes, elapsed);
    if cli.json {
        write_json(
            out,
            &json!({
                "file": name, "device": opened.path, "bytes": bytes, "entries": entries,
                "wakeups": wakeups, "system_calls": calls, "seconds": elapsed.as_secs_f64(),
                "bytes_per_second": rate,
                "checked": checked.map(|sink| json!({
                    "entries": sink.entries, "bad": sink.bad, "missed": sink.missed,
                })),
            }),
        )
    } else {
        let mut table = Table::new([
            "FILE",
            "BYTES",
            "ENTRIES",
            "WAKE-UPS",
            "SYSTEM CALLS",
            "RATE",
        ]);
        table.row([
            name,
            bytes.to_string(),
            entries.to_string(),
            wakeups.to_string(),
            calls.to_string(),
            format!("{}/s", human_bytes(rate)),
        ]);
        table.write(out)
    }
    .map_err(Failure::of_stdout)?;
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
