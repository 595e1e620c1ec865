// SPDX-License-Identifier: GPL-2.0

//! A source that produces by the clock: how many entries are due, and producing them.
//!
//! The thread of `sources.rs` does this for all sources, in task context. A source that is late,
//! because the processors are busy with other work, makes up for at most [`MOST_LATE_NS`].

use kernel::{
    prelude::*,
    sync::{atomic::Relaxed, Arc},
};

use super::{
    record::Generator,
    sources::{Source, Sources},
    Stats,
};
use crate::{
    ends::producer::Producer,
    memory::account::{Account, Resource, Share},
    sync::wait::now_ns,
};

/// The most entries a second.
const MAX_RATE: u64 = 1_000_000;
/// The most bytes a second.
const MAX_BYTES_PER_SECOND: u64 = 64 << 20;
/// The most ticks a second. Faster sources produce several entries in each.
pub(super) const MAX_TICKS: u64 = 1000;
/// The longest entry, which limits the time without preemption.
const MAX_ENTRY_BYTES: u32 = 64 << 10;

/// The most entries, and about the most bytes, that are produced at a time, without preemption.
const CHUNK: u64 = 256;
const CHUNK_BYTES: u64 = 64 << 10;

pub(super) const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// Entries that were due longer ago than this are not produced.
const MOST_LATE_NS: u64 = NANOS_PER_SECOND / 10;

/// Refuses rates that no session can have.
///
/// # Errors
///
/// `ERANGE` if one of the limits above is exceeded.
pub(super) fn check_rate(rate: u64, longest: u32) -> Result {
    if rate == 0 {
        // The source has no timer.
        return Ok(());
    }
    if rate > MAX_RATE
        || longest > MAX_ENTRY_BYTES
        || rate * u64::from(longest) > MAX_BYTES_PER_SECOND
    {
        return Err(ERANGE);
    }
    Ok(())
}

/// What a tick uses.
pub(super) struct Ticking {
    producer: Producer,
    generator: Generator,
    stats: Arc<Stats>,
    /// Entries a second.
    rate: u64,
    /// Nanoseconds between ticks.
    interval_ns: u64,
    /// When the next tick is due.
    due_ns: u64,
    /// The part of an entry that earlier ticks left over, as a numerator over `MAX_TICKS`.
    owed: u64,
    /// Entries that are due and were not produced yet.
    left: u64,
}

impl Ticking {
    /// Produces a chunk of what is due now. Returns when there is more to do.
    pub(super) fn tick(&mut self) -> u64 {
        let now = now_ns();
        if self.left == 0 {
            let ticks = now.saturating_sub(self.due_ns) / self.interval_ns + 1;
            self.due_ns += ticks * self.interval_ns;
            self.left = self.entries_of(ticks.min((MOST_LATE_NS / self.interval_ns).max(1)));
        }
        self.produce();
        if self.left != 0 {
            return now;
        }
        self.due_ns
    }

    /// How many entries a number of ticks asks for.
    fn entries_of(&mut self, ticks: u64) -> u64 {
        if self.rate <= MAX_TICKS {
            return ticks;
        }
        self.owed += self.rate * ticks;
        let due = self.owed / MAX_TICKS;
        self.owed %= MAX_TICKS;
        due
    }

    /// Produces the next chunk of what is left.
    fn produce(&mut self) {
        let (mut made, mut bytes, mut dropped) = (0, 0, 0);
        let Self {
            producer,
            generator,
            left,
            ..
        } = self;
        let produced = producer.batch(|batch| {
            while *left > 0 && made + dropped < CHUNK && bytes < CHUNK_BYTES {
                *left -= 1;
                let len = generator.next_len();
                match batch.enqueue_in_place(len, |entry| generator.fill(entry)) {
                    Ok(()) => {
                        made += 1;
                        bytes += len as u64;
                    }
                    Err(_) => {
                        generator.skip();
                        batch.report_lost(1);
                        dropped += 1;
                    }
                }
            }
        });
        if produced.is_err() {
            // The queue is being reset, or the session has just ended.
            self.left = 0;
        }
        self.stats.entries.add(made, Relaxed);
        self.stats.bytes.add(bytes, Relaxed);
        self.stats.dropped.add(dropped, Relaxed);
    }
}

/// A source by the clock that runs. Dropping it ends the source. What a user has of such sources
/// is limited, in all sessions together, like that of one session.
pub(super) struct SourceTimer {
    sources: &'static Sources,
    source: Arc<Source>,
    _entries: Share,
    _bytes: Share,
}

impl SourceTimer {
    /// Starts a source of `rate` entries a second, of at most `longest` bytes each.
    ///
    /// # Errors
    ///
    /// `EDQUOT`: the user's sources would be too fast; `ENOMEM`.
    pub(super) fn start(
        (producer, generator): (Producer, Generator),
        (rate, longest): (u64, u32),
        stats: Arc<Stats>,
        account: &Account,
    ) -> Result<Self> {
        let bytes = rate * u64::from(longest);
        let entries = account.take(Resource::SourceEntries, rate, MAX_RATE)?;
        let bytes = account.take(Resource::SourceBytes, bytes, MAX_BYTES_PER_SECOND)?;
        let interval_ns = NANOS_PER_SECOND / rate.clamp(1, MAX_TICKS);
        let due_ns = now_ns() + interval_ns;
        let sources = Sources::get();
        let ticking = Ticking {
            producer,
            generator,
            stats,
            rate,
            interval_ns,
            due_ns,
            owed: 0,
            left: 0,
        };
        Ok(Self {
            sources,
            source: sources.add(ticking, due_ns)?,
            _entries: entries,
            _bytes: bytes,
        })
    }
}

impl Drop for SourceTimer {
    fn drop(&mut self) {
        self.sources.remove(&self.source);
    }
}
