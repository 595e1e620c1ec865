// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl source`.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use iostream::{Error, Setup};
use serde_json::json;

use crate::cli::{Cli, Source};
use crate::device::{open, Opened};
use crate::failure::{Failure, OnDevice, Result};
use crate::moving::{first_cause, run_endpoint, wakeups};
use crate::progress::Progress;
use crate::receiver::{Arrived, Receiver};
use crate::record;
use crate::report::{write_json, Table};
use crate::stop::{Patience, Stop, SLICE};
use crate::units::{human_bytes, per_second};

/// Entries, if neither their number nor a time is given.
const DEFAULT_COUNT: u64 = 100_000;

/// What was received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    entries: u64,
    bytes: u64,
    /// Whose checksum, length or order was wrong.
    bad: u64,
    /// Numbers that did not come.
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

    /// Whether the last entry that was asked for is here or was lost on the way.
    fn is_complete(&self, count: u64) -> bool {
        self.next_sequence >= count || self.entries >= count
    }
}

/// Has the kernel make entries, and checks each.
pub fn run(cli: &Cli, arguments: &Source, stop: &Stop) -> Result<()> {
    let wanted = &arguments.source;
    let count = match (arguments.count, arguments.seconds) {
        (Some(count), _) => Some(count),
        (None, Some(_)) => None,
        (None, None) => Some(DEFAULT_COUNT),
    };
    let mut setup = Setup::source(wanted.entry_size.min, wanted.entry_size.max)
        .rate(wanted.rate)
        .overwrite(wanted.overwrite);
    if let Some(bytes) = arguments.queue.queue_bytes {
        setup = setup.output_bytes(bytes);
    }
    let opened = open(&cli.device, &setup)?;
    if !opened.built_in {
        return Err(Error::Unsupported("source")).on(&opened.path);
    }
    let mut receiver = Receiver::new(&opened.session, arguments.queue.spin).on(&opened.path)?;
    let calls = opened.session.system_calls();
    let start = Instant::now();
    let mut seen = Seen::default();
    let done = AtomicBool::new(false);
    let result = thread::scope(|scope| {
        let runner = (wanted.rate == 0 && count != Some(0)).then(|| {
            scope.spawn(|| {
                run_endpoint(
                    &opened.session,
                    &opened.path,
                    count.unwrap_or(0),
                    &done,
                    stop,
                )
            })
        });
        let end = arguments.seconds.and_then(|time| start.checked_add(time));
        let mut receiving = Receiving {
            receiver: &mut receiver,
            device: &opened.path,
            stop,
            patience: Patience::new(arguments.queue.timeout),
            progress: Progress::new(None, cli.quiet),
        };
        let received = receiving.receive(&mut seen, count, end);
        done.store(true, Ordering::Relaxed);
        let ran = match runner.map(thread::ScopedJoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Ok(()),
        };
        first_cause([received, ran])
    });
    let elapsed = start.elapsed();
    let calls = opened.session.system_calls() - calls;
    // A table of zeros would only hide what went wrong.
    if result.is_ok() || seen.entries > 0 {
        report(cli, &opened, &seen, elapsed, calls).map_err(Failure::of_stdout)?;
    }
    result?;
    // Where the kernel waits for room, nothing may be missing.
    let lossless = wanted.rate == 0 && !wanted.overwrite;
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
    device: &'a Path,
    stop: &'a Stop,
    patience: Patience,
    progress: Progress,
}

impl Receiving<'_> {
    fn receive(&mut self, seen: &mut Seen, count: Option<u64>, end: Option<Instant>) -> Result<()> {
        let is_enough = |seen: &Seen| count.is_some_and(|count| seen.is_complete(count));
        while !is_enough(seen) && end.is_none_or(|end| Instant::now() < end) {
            self.stop.check()?;
            match self.receiver.wait(SLICE) {
                Ok(()) => self.patience.renew(),
                Err(Error::TimedOut) => {
                    self.patience.check()?;
                    continue;
                }
                Err(error) => return Err(error).on(self.device),
            }
            let progress = &mut self.progress;
            self.receiver
                .take(|entry| {
                    seen.add(&entry);
                    progress.add(entry.bytes.len());
                    Ok::<_, Error>(!is_enough(seen))
                })
                .on(self.device)?;
        }
        Ok(())
    }
}

fn report(
    cli: &Cli,
    opened: &Opened,
    seen: &Seen,
    elapsed: Duration,
    calls: u64,
) -> io::Result<()> {
    let out = &mut io::stdout().lock();
    let wakeups = wakeups(&opened.session);
    let dropped = opened
        .session
        .endpoint_stats()
        .map_or(0, |stats| stats.dropped);
    let rate = per_second(seen.entries, elapsed);
    if cli.json {
        let value = json!({
            "device": opened.path, "entries": seen.entries, "bytes": seen.bytes, "bad": seen.bad,
            "missed": seen.missed, "lost": seen.lost, "gap_bytes": seen.gap_bytes,
            "dropped": dropped, "wakeups": wakeups, "system_calls": calls,
            "seconds": elapsed.as_secs_f64(), "entries_per_second": rate,
            "bytes_per_second": per_second(seen.bytes, elapsed),
        });
        return write_json(out, &value);
    }
    let mut table = Table::new([
        "ENTRIES",
        "BYTES",
        "BAD",
        "MISSED",
        "DROPPED",
        "WAKE-UPS",
        "SYSTEM CALLS",
        "ENTRIES/S",
        "RATE",
    ]);
    table.row([
        seen.entries.to_string(),
        seen.bytes.to_string(),
        seen.bad.to_string(),
        seen.missed.to_string(),
        dropped.to_string(),
        wakeups.to_string(),
        calls.to_string(),
        rate.to_string(),
        format!("{}/s", human_bytes(per_second(seen.bytes, elapsed))),
    ]);
    table.write(out)
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
