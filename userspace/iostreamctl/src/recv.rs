// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl recv`.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use iostream::Error;
use serde_json::json;

use crate::arguments::Recv;
use crate::cli::Cli;
use crate::device::{open, Opened};
use crate::dump::Dump;
use crate::failure::{Failure, OnDevice, Result};
use crate::files;
use crate::framing::Joiner;
use crate::moving::{ended, first_cause, only_built_in, source_setup, wakeups, Runner};
use crate::output::Writer;
use crate::progress::Progress;
use crate::receiver::{Receiver, Waiting};
use crate::report::{print, Output, Transfer};
use crate::stop::{Patience, Stop};

/// What was received.
#[derive(Default)]
struct Got {
    entries: u64,
    bytes: u64,
    lost: u64,
    gap_bytes: u64,
    missed: u64,
    /// Bytes that the output did not take.
    unwritten: u64,
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
    let opened = Arc::new(open(
        &arguments.node.node,
        &source_setup(source, &arguments.queue),
        &only_built_in(source, &arguments.queue),
    )?);
    let mut receiver = Receiver::new(&opened.session, arguments.queue.spin).on(&opened.path)?;
    if let Some(bytes) = arguments.watermark {
        let latency = arguments.latency.unwrap_or_default();
        receiver.set_watermark(bytes, latency).on(&opened.path)?;
    }
    let start = Instant::now();
    let mut got = Got::default();
    let flat_out = opened.built_in.is_some() && source.rate.unwrap_or(0) == 0;
    let made = arguments.end.count.unwrap_or(0);
    let runner = if flat_out && arguments.end.count != Some(0) {
        Some(Runner::start(&opened, made, stop)?)
    } else {
        None
    };
    let is_text = arguments.format.is_some() || arguments.framing.is_text();
    let writer = Writer::create(&arguments.output, stop, is_text)?;
    let name = writer.name().to_owned();
    let mut receiving = Receiving {
        count: arguments.end.count,
        end: arguments.end.deadline(start),
        dump: arguments.format.map(Dump::new),
        waiting: Waiting {
            device: &opened.path,
            stop,
            ended: runner.as_ref().map(|runner| runner.ended().as_fd()),
        },
        receiver,
        joiner: Joiner::new(writer, &name, arguments.framing),
        progress: Progress::new(None, arguments.moving.quiet),
        patience: Patience::new(arguments.moving.timeout),
    };
    let received = receiving.receive(&mut got);
    got.missed = receiving.joiner.missed;
    // Data received before a failure are written in any case.
    let finished = receiving.joiner.writer().finish();
    got.unwritten = receiving.joiner.writer().unwritten();
    let ran = runner.as_ref().map_or(Ok(()), Runner::result);
    let result = first_cause([received, finished, ran]);
    drop(receiving);
    // A line of zeros would only distract from the failure.
    if result.is_ok() || got.entries > 0 {
        report(cli, arguments, &opened, &got, start, stop)?;
    }
    ended(result, arguments.end.is_never(), got.unwritten)
}

/// The receiving side.
struct Receiving<'a> {
    count: Option<u64>,
    end: Option<Instant>,
    /// Writes the entries for people, if that is wanted.
    dump: Option<Dump>,
    waiting: Waiting<'a>,
    receiver: Receiver,
    joiner: Joiner<Writer>,
    progress: Progress,
    patience: Patience,
}

impl Receiving<'_> {
    fn receive(&mut self, got: &mut Got) -> Result<()> {
        let count = self.count;
        let is_enough = |got: &Got| count.is_some_and(|count| got.entries >= count);
        // Whether the source has ended, so that what is in the queue is the last.
        let mut all_made = false;
        while !is_enough(got) && self.end.is_none_or(|end| Instant::now() < end) {
            self.waiting.stop.check()?;
            let before = got.entries;
            self.take(got, is_enough)?;
            if got.entries != before {
                continue;
            }
            if self.joiner.writer().has_data() {
                // The reader of our output must not wait for data that are here already.
                self.joiner.flush()?;
                // That may have taken long.
                self.patience.renew();
            }
            let left = self
                .end
                .map(|end| end.saturating_duration_since(Instant::now()));
            let left = [left, self.patience.left()?].into_iter().flatten().min();
            if all_made {
                return Ok(());
            }
            let output = self.joiner.writer();
            all_made = self
                .receiver
                .wait(&self.waiting, Some(output.as_fd()), left)?;
        }
        Ok(())
    }

    /// Takes some of the entries that wait.
    fn take(&mut self, got: &mut Got, is_enough: impl Fn(&Got) -> bool) -> Result<()> {
        let (joiner, progress, dump) = (&mut self.joiner, &mut self.progress, &mut self.dump);
        let stop = self.waiting.stop;
        let taken = self.receiver.take(|entry| {
            // Counted before it is written, since it is taken in any case.
            got.entries += 1;
            got.bytes += entry.bytes.len() as u64;
            got.lost += entry.lost;
            got.gap_bytes += entry.gap_bytes;
            progress.add(entry.bytes.len());
            let put = match dump {
                Some(dump) => dump.entry(joiner.writer(), entry.bytes, entry.lost, entry.gap_bytes),
                None => joiner.put(entry.bytes),
            };
            put.map_err(Ended::Other)?;
            Ok(!is_enough(got) && !stop.is_set())
        });
        match taken {
            Ok(_) => Ok(()),
            Err(Ended::Device(error)) => Err(error).on(self.waiting.device),
            Err(Ended::Other(failure)) => Err(failure),
        }
    }
}

fn report(
    cli: &Cli,
    arguments: &Recv,
    opened: &Opened,
    got: &Got,
    start: Instant,
    stop: &Stop,
) -> Result<()> {
    let transfer = Transfer {
        device: &opened.path,
        bytes: got.bytes,
        elapsed: start.elapsed(),
    };
    let output = files::report_output(&arguments.output);
    let json = || {
        transfer.json(json!({
            "entries": got.entries, "lost": got.lost, "gap_bytes": got.gap_bytes,
            "missed": got.missed, "unwritten_bytes": got.unwritten,
            "wakeups": wakeups(&opened.session),
            "system_calls": opened.session.system_calls() + stop.calls(),
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
