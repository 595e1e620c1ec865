// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl recv`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use iostream::Error;
use serde_json::json;

use crate::cli::{Cli, Recv};
use crate::device::{open, Opened};
use crate::failure::{Failure, OnDevice, Result};
use crate::files;
use crate::framing::Joiner;
use crate::moving::{first_cause, join, run_endpoint, source_setup, wakeups};
use crate::progress::Progress;
use crate::receiver::Receiver;
use crate::report::{print, Output, Transfer};
use crate::stop::{Patience, Stop, SLICE};

/// What was received.
#[derive(Default)]
struct Got {
    entries: u64,
    bytes: u64,
    lost: u64,
    gap_bytes: u64,
    missed: u64,
}

/// Why the inner loop ended.
enum Ended {
    Device(Error),
    Other(Failure),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Device(error)
    }
}

/// Receives an output queue's entries into a file or standard output.
pub fn run(cli: &Cli, arguments: &Recv, stop: &Stop) -> Result<()> {
    let source = &arguments.source;
    let opened = open(&cli.device, &source_setup(source, &arguments.queue))?;
    let mut receiver = Receiver::new(&opened.session, arguments.queue.spin).on(&opened.path)?;
    if let Some(bytes) = arguments.watermark {
        let latency = arguments.latency.unwrap_or_default();
        receiver.set_watermark(bytes, latency).on(&opened.path)?;
    }
    let start = Instant::now();
    let mut got = Got::default();
    let flat_out = opened.built_in.as_ref().filter(|_| source.rate == 0);
    let made = arguments.count.unwrap_or(0);
    let done = AtomicBool::new(false);
    let ran = AtomicBool::new(false);
    let result = thread::scope(|scope| {
        let flat_out = flat_out.filter(|_| arguments.count != Some(0));
        let runner = flat_out.map(|built_in| {
            let (opened, done, ran) = (&opened, &done, &ran);
            scope.spawn(move || {
                let result = run_endpoint(built_in, &opened.path, made, done, stop);
                ran.store(true, Ordering::Release);
                result
            })
        });
        let received = receive(cli, arguments, stop, &opened, receiver, &ran, &mut got);
        done.store(true, Ordering::Relaxed);
        let ran = join(runner);
        first_cause([received, ran])
    });
    // A line of zeros would only distract from the failure.
    if result.is_ok() || got.entries > 0 {
        report(cli, arguments, &opened, &got, start)?;
    }
    result
}

fn receive(
    cli: &Cli,
    arguments: &Recv,
    stop: &Stop,
    opened: &Opened,
    mut receiver: Receiver,
    ran: &AtomicBool,
    got: &mut Got,
) -> Result<()> {
    let (writer, name) = files::output(&arguments.file)?;
    let mut joiner = Joiner::new(writer, &name, arguments.framing);
    let mut progress = Progress::new(None, cli.quiet);
    let mut patience = Patience::new(arguments.queue.timeout);
    let is_enough = |got: &Got| arguments.count.is_some_and(|count| got.entries >= count);
    let result = loop {
        if is_enough(got) {
            break Ok(());
        }
        if let Err(failure) = stop.check() {
            break Err(failure);
        }
        let before = got.entries;
        let taken = receiver.take(|entry| {
            joiner.put(entry.bytes).map_err(Ended::Other)?;
            progress.add(entry.bytes.len());
            got.entries += 1;
            got.bytes += entry.bytes.len() as u64;
            got.lost += entry.lost;
            got.gap_bytes += entry.gap_bytes;
            Ok(!is_enough(got))
        });
        match taken {
            Ok(_) => {}
            Err(Ended::Device(error)) => break Err(error).on(&opened.path),
            Err(Ended::Other(failure)) => break Err(failure),
        }
        if got.entries != before {
            patience.renew();
            continue;
        }
        // The reader of our output must not wait for data that is here already.
        if let Err(failure) = joiner.flush() {
            break Err(failure);
        }
        let waited = loop {
            match receiver.wait(SLICE) {
                Ok(()) => break Ok(()),
                Err(Error::TimedOut) => {
                    if let Err(failure) = patience.check().and_then(|()| stop.check()) {
                        break Err(failure);
                    }
                    // The endpoint has ended: the entries below the watermark are the last.
                    if ran.load(Ordering::Acquire) {
                        break Ok(());
                    }
                }
                Err(error) => break Err(error).on(&opened.path),
            }
        };
        if let Err(failure) = waited {
            break Err(failure);
        }
    };
    got.missed = joiner.missed;
    // Data received before a failure is written in any case.
    first_cause([result, joiner.flush()])
}

fn report(cli: &Cli, arguments: &Recv, opened: &Opened, got: &Got, start: Instant) -> Result<()> {
    let transfer = Transfer {
        device: &opened.path,
        bytes: got.bytes,
        elapsed: start.elapsed(),
    };
    let output = files::report_output(&arguments.file);
    let json = || {
        transfer.json(json!({
            "entries": got.entries, "lost": got.lost, "gap_bytes": got.gap_bytes,
            "missed": got.missed, "wakeups": wakeups(&opened.session),
            "system_calls": opened.session.system_calls(),
        }))
    };
    print(cli, output, json, |out| {
        let lost = got.lost + got.missed;
        if output == Output::CarriesData {
            return match (lost, got.gap_bytes) {
                (0, 0) => Ok(()),
                (lost, bytes) => writeln!(
                    out,
                    "iostreamctl: {lost} entries and {bytes} bytes were lost before they were read"
                ),
            };
        }
        writeln!(
            out,
            "{} bytes in {} entries, {}; {} entries and {} bytes lost before they were read",
            got.bytes,
            got.entries,
            transfer.rate(),
            lost,
            got.gap_bytes
        )
    })
}
