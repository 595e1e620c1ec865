// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl source`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use iostream::Error;
use serde_json::json;

use crate::arguments::Source;
use crate::cli::Cli;
use crate::device::{open, Opened};
use crate::failure::{Failure, OnDevice, Result};
use crate::moving::{first_cause, source_setup, wakeups, Runner};
use crate::progress::Progress;
use crate::receiver::{Arrived, Receiver, Waiting};
use crate::record;
use crate::report::{print, Output, Table, Transfer};
use crate::stop::{Patience, Stop};
use crate::units::per_second;

/// How many entries to ask for, if neither their number nor a time is given.
const DEFAULT_COUNT: u64 = 100_000;

/// What was received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    entries: u64,
    bytes: u64,
    /// Entries with a wrong checksum, length or order.
    bad: u64,
    /// Sequence numbers that are missing.
    missed: u64,
    lost: u64,
    gap_bytes: u64,
    next_sequence: u64,
}

impl Seen {
    fn add(&mut self, entry: &Arrived<'_>) {
        self.entries += 1;
        self.bytes += entry.bytes.len() as u64;
        self.lost += entry.lost;
        self.gap_bytes += entry.gap_bytes;
        match record::check(entry.bytes) {
            Ok((sequence, _)) if sequence >= self.next_sequence => {
                self.missed += sequence - self.next_sequence;
                self.next_sequence = sequence.saturating_add(1);
            }
            _ => self.bad += 1,
        }
    }

    /// Whether the last of `count` entries has arrived, or was lost.
    fn is_complete(&self, count: u64) -> bool {
        self.next_sequence >= count || self.entries >= count
    }
}

/// Lets the kernel make entries, and checks each of them.
pub fn run(cli: &Cli, arguments: &Source, stop: &Stop) -> Result<()> {
    let wanted = &arguments.source;
    let count = match (arguments.end.count, arguments.end.duration) {
        (Some(count), _) => Some(count),
        (None, Some(_)) => None,
        (None, None) => Some(DEFAULT_COUNT),
    };
    let opened = Arc::new(open(
        &arguments.node.node,
        &source_setup(wanted, &arguments.queue),
        &[],
    )?);
    if opened.built_in.is_none() {
        return Err(Error::Unsupported("source")).on(&opened.path);
    }
    let mut receiver = Receiver::new(&opened.session, arguments.queue.spin).on(&opened.path)?;
    let calls = opened.session.system_calls();
    let start = Instant::now();
    let mut seen = Seen::default();
    let runner = if wanted.rate.unwrap_or(0) == 0 && count != Some(0) {
        Some(Runner::start(&opened, count.unwrap_or(0), stop)?)
    } else {
        None
    };
    let end = arguments.end.deadline(start);
    let mut receiving = Receiving {
        receiver: &mut receiver,
        waiting: Waiting {
            device: &opened.path,
            stop,
            ended: None,
        },
        patience: Patience::new(arguments.moving.timeout),
        progress: Progress::new(None, arguments.moving.quiet),
    };
    let received = receiving.receive(&mut seen, count, end);
    let ran = runner.as_ref().map_or(Ok(()), Runner::result);
    let result = first_cause([received, ran]);
    let elapsed = start.elapsed();
    let calls = opened.session.system_calls() + stop.calls() - calls;
    // A table of zeros would only distract from the failure.
    if result.is_ok() || seen.entries > 0 {
        report(cli, &opened, &seen, elapsed, calls)?;
    }
    result?;
    // A source that waits for room loses no entry.
    let lossless = wanted.rate.unwrap_or(0) == 0 && !wanted.overwrite;
    if seen.bad > 0 || (lossless && seen.missed > 0) {
        return Err(Failure::Mismatch(format!(
            "of {} entries {} were wrong and {} missing",
            seen.entries, seen.bad, seen.missed
        )));
    }
    Ok(())
}

struct Receiving<'a> {
    receiver: &'a mut Receiver,
    waiting: Waiting<'a>,
    patience: Patience,
    progress: Progress,
}

impl Receiving<'_> {
    fn receive(&mut self, seen: &mut Seen, count: Option<u64>, end: Option<Instant>) -> Result<()> {
        let is_enough = |seen: &Seen| count.is_some_and(|count| seen.is_complete(count));
        while !is_enough(seen) && end.is_none_or(|end| Instant::now() < end) {
            self.waiting.stop.check()?;
            let before = seen.entries;
            let progress = &mut self.progress;
            self.receiver
                .take(|entry| {
                    seen.add(&entry);
                    progress.add(entry.bytes.len());
                    Ok::<_, Error>(!is_enough(seen))
                })
                .on(self.waiting.device)?;
            if seen.entries != before {
                self.patience.renew();
                continue;
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let left = [left, self.patience.left()?].into_iter().flatten().min();
            self.receiver.wait(&self.waiting, None, left)?;
        }
        Ok(())
    }
}

fn report(cli: &Cli, opened: &Opened, seen: &Seen, elapsed: Duration, calls: u64) -> Result<()> {
    let wakeups = wakeups(&opened.session);
    let endpoint = opened.built_in.as_ref();
    let endpoint = endpoint.and_then(|built_in| built_in.endpoint_stats().ok());
    let dropped = endpoint.map_or(0, |stats| stats.dropped);
    let rate = per_second(seen.entries, elapsed);
    let transfer = Transfer {
        device: &opened.path,
        bytes: seen.bytes,
        elapsed,
    };
    let json = || {
        transfer.json(json!({
            "entries": seen.entries, "bad": seen.bad, "missed": seen.missed, "lost": seen.lost,
            "gap_bytes": seen.gap_bytes, "dropped": dropped, "wakeups": wakeups,
            "system_calls": calls, "entries_per_second": rate,
        }))
    };
    print(cli, Output::Free, json, |out| {
        let table = Table::of_row([
            ("ENTRIES", seen.entries.to_string()),
            ("BYTES", seen.bytes.to_string()),
            ("BAD", seen.bad.to_string()),
            ("MISSED", seen.missed.to_string()),
            ("DROPPED", dropped.to_string()),
            ("WAKE-UPS", wakeups.to_string()),
            ("SYSTEM CALLS", calls.to_string()),
            ("ENTRIES/S", rate.to_string()),
            ("RATE", transfer.rate()),
        ]);
        table.write(out)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(sequence: u64) -> Vec<u8> {
        let mut entry = record::head(sequence, b"x").unwrap().to_vec();
        entry.push(b'x');
        entry
    }

    #[test]
    fn gaps_and_wrong_entries_are_counted() {
        let mut seen = Seen::default();
        let mut spoilt = entry(4);
        spoilt[16] ^= 1;
        for bytes in [entry(0), entry(3), entry(2), spoilt] {
            seen.add(&Arrived {
                bytes: &bytes,
                lost: 0,
                gap_bytes: 0,
            });
        }
        assert_eq!((seen.entries, seen.bytes), (4, 68));
        assert_eq!((seen.bad, seen.missed, seen.next_sequence), (2, 2, 4));
        assert!(seen.is_complete(4) && !seen.is_complete(5));
    }
}
