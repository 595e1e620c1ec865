// SPDX-License-Identifier: GPL-2.0

//! The commands of a test node.
//!
//! ```text
//! publish NAME OUTPUT-BYTES INPUT-BYTES [overwrite] [drain=MS]
//! publish-entries NAME COUNT BYTES
//! unpublish            publish-mode NAME MODE GID        forget (leaks the registration)
//! enqueue BYTES [task|softirq|hardirq] [normal|suppress|force]
//! enqueue-wait BYTES [TIMEOUT-MS]                        fill BYTES
//! batch COUNT BYTES [patient]
//! wait-room BYTES TIMEOUT-MS [killable]
//! reserve BYTES commit|commit-short|discard|leak|hold    go               lost COUNT       flush
//! can BYTES COUNT                                        sequence NUMBER
//! dequeue CAPACITY     dequeue-wait CAPACITY TIMEOUT-MS [killable]         drain MAX
//! peek                 release [hold]                    available
//! watermark BYTES LATENCY-NS
//! disable              enable                            cancel           cancel-waits
//! allow-waits
//! slow MS              hold-callbacks                    release-callbacks
//! refuse ERRNO
//! ```
//!
//! A capacity of 0 means no such queue. A patient batch that finds the queue full tries again for ten
//! seconds. A time-out `never` means none. With `hold` a command waits
//! for `go` between its two halves. Between `hold-callbacks` and `release-callbacks` each callback
//! that begins does not end.
//!
//! In entry number n, each byte is the low byte of n plus the index of the byte.

use iostream::{Batch, Config, Error, Producer, QueueConfig, Wake};
use kernel::{
    prelude::*,
    str::CString,
    sync::atomic::Relaxed,
    time::{Delta, Instant, Monotonic},
};

use crate::{
    node::{Log, TestNode},
    shot,
};

/// Nanoseconds in a millisecond.
const MS: u64 = 1_000_000;

/// For how long a patient batch waits for room.
const PATIENCE: Delta = Delta::from_secs(10);

/// The words of a command.
#[derive(Clone)]
pub(crate) struct Words<'a>(core::str::SplitAsciiWhitespace<'a>);

impl<'a> Words<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self(text.split_ascii_whitespace())
    }

    pub(crate) fn word(&mut self) -> Result<&'a str> {
        self.0.next().ok_or(EINVAL)
    }

    pub(crate) fn number(&mut self) -> Result<u64> {
        self.word()?.parse().map_err(|_| EINVAL)
    }

    /// A number of 32 bits.
    pub(crate) fn narrow(&mut self) -> Result<u32> {
        u32::try_from(self.number()?).map_err(|_| EINVAL)
    }

    pub(crate) fn size(&mut self) -> Result<usize> {
        usize::try_from(self.number()?).map_err(|_| EINVAL)
    }

    /// A time-out in nanoseconds.
    pub(crate) fn timeout(&mut self) -> Result<Option<u64>> {
        match self.word()? {
            "never" => Ok(None),
            ms => Ok(Some(ms.parse::<u64>().map_err(|_| EINVAL)? * MS)),
        }
    }

    /// Whether the wait ends by any signal: unless the next word is `killable`.
    fn interruptible(&mut self) -> bool {
        self.optional() != Some("killable")
    }

    pub(crate) fn optional(&mut self) -> Option<&'a str> {
        self.0.next()
    }

    pub(crate) fn name(&mut self) -> Result<CString> {
        let name = self.word()?;
        CString::try_from_fmt(fmt!("{name}"))
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.0.next()
    }
}

/// Runs one command on a node.
pub(crate) fn run(node: &TestNode, text: &str) -> Result {
    let mut words = Words::new(text);
    let words = &mut words;
    match words.word()? {
        "publish" => {
            let name = words.name()?;
            let capacities = (words.number()?, words.number()?);
            let (mut overwrite, mut drain_ms) = (false, 0);
            while let Some(word) = words.optional() {
                match word.split_once('=') {
                    None if word == "overwrite" => overwrite = true,
                    Some(("drain", ms)) => drain_ms = ms.parse().map_err(|_| EINVAL)?,
                    _ => return Err(EINVAL),
                }
            }
            node.publish(&name, capacities, overwrite, drain_ms)
        }
        "publish-entries" => {
            let (name, count) = (words.name()?, words.number()?);
            let bytes = u32::try_from(words.number()?).map_err(|_| EINVAL)?;
            let queue = QueueConfig::with_entries(count, bytes)?;
            node.publish_config(Config::new(&name).output(queue))
        }
        "publish-mode" => {
            let name = words.name()?;
            let mode = u16::from_str_radix(words.word()?, 8).map_err(|_| EINVAL)?;
            let gid = u32::try_from(words.number()?).map_err(|_| EINVAL)?;
            let queue = QueueConfig::with_capacity(4096)?;
            node.publish_config(Config::new(&name).output(queue).mode(mode).gid(gid))
        }
        "unpublish" => {
            node.unpublish();
            Ok(())
        }
        "forget" => node.forget(),
        "disable" => node.disable_callbacks(),
        "enable" => node.enable_callbacks(),
        "cancel" => node.cancel_callbacks(),
        "cancel-waits" => node.cancel_waits(),
        "allow-waits" => node.allow_waits(),
        "slow" => {
            let ms = u32::try_from(words.number()?).map_err(|_| EINVAL)?;
            node.seen.slow_ms.store(ms, Relaxed);
            Ok(())
        }
        "hold-callbacks" => {
            node.seen.gate.close();
            Ok(())
        }
        "release-callbacks" => {
            node.seen.gate.open();
            Ok(())
        }
        "refuse" => {
            let errno = i32::try_from(words.number()?).map_err(|_| EINVAL)?;
            node.seen.refuse.store(errno, Relaxed);
            Ok(())
        }
        "greet" => {
            node.seen.greet.store(words.narrow()?, Relaxed);
            Ok(())
        }
        "go" => {
            node.go();
            Ok(())
        }
        "sequence" => {
            node.sequence.store(words.number()?, Relaxed);
            Ok(())
        }
        command @ ("dequeue" | "dequeue-wait" | "drain" | "peek" | "release" | "available"
        | "watermark") => {
            let done = consume(node, command, words)?;
            node.note(done)
        }
        command => {
            let done = produce(node, command, words)?;
            node.note(done)
        }
    }
}

fn counted(count: u64) -> Log {
    Log {
        count,
        ..Log::default()
    }
}

/// Fills in entry number `sequence`.
fn fill_in(sequence: u64, entry: &mut [u8]) {
    for (i, byte) in entry.iter_mut().enumerate() {
        *byte = sequence.wrapping_add(i as u64) as u8;
    }
}

/// An entry of `len` bytes, with the next number.
fn next_entry(node: &TestNode, len: usize) -> Result<KVVec<u8>> {
    let mut entry = KVVec::from_elem(0u8, len, GFP_KERNEL)?;
    fill_in(node.sequence.fetch_add(1, Relaxed), &mut entry);
    Ok(entry)
}

fn produce(node: &TestNode, command: &str, words: &mut Words<'_>) -> Result<Result<Log, Error>> {
    let mut guard = node.seen.producer.lock();
    if command == "enqueue" {
        let entry = next_entry(node, words.size()?)?;
        let context = words.optional().unwrap_or("task");
        let wake = match words.optional().unwrap_or("normal") {
            "normal" => Wake::Normal,
            "suppress" => Wake::Suppress,
            "force" => Wake::Force,
            _ => return Err(EINVAL),
        };
        if context != "task" {
            let producer = guard.take().ok_or(ENXIO)?;
            let (back, done) = shot::fire(producer, &entry, wake, context == "hardirq")?;
            *guard = back;
            return Ok(done.map(|()| counted(1)));
        }
        let producer = (*guard).as_mut().ok_or(ENXIO)?;
        return Ok(producer.enqueue_with(&entry, wake).map(|()| counted(1)));
    }
    let producer = (*guard).as_mut().ok_or(ENXIO)?;
    Ok(match command {
        "enqueue-wait" => {
            let entry = next_entry(node, words.size()?)?;
            let timeout = match words.clone().optional() {
                Some(_) => words.timeout()?,
                None => None,
            };
            producer.enqueue_wait(&entry, timeout).map(|()| counted(1))
        }
        "wait-room" => {
            let (len, timeout) = (words.size()?, words.timeout()?);
            producer
                .wait_room(len, timeout, words.interruptible())
                .map(|()| counted(0))
        }
        "fill" => fill(node, producer, words.size()?)?,
        "batch" => {
            let (count, len) = (words.number()?, words.size()?);
            let entry = next_entry(node, len)?;
            let patience = match words.optional() {
                Some("patient") => PATIENCE,
                _ => Delta::ZERO,
            };
            producer
                .batch(|batch| {
                    (0..count)
                        .take_while(|_| fits(batch, &entry, patience))
                        .count() as u64
                })
                .map(counted)
        }
        "reserve" => reserve(node, producer, words.size()?, words.word()?)?,
        "lost" => producer.report_lost(words.number()?).map(|()| counted(0)),
        "flush" => producer.flush().map(|()| counted(0)),
        "can" => {
            let (len, count) = (words.size()?, words.number()?);
            producer
                .can_enqueue(len, count)
                .map(|can| counted(can.into()))
        }
        _ => return Err(EINVAL),
    })
}

/// Whether there is room for an entry, perhaps after others have made some within `patience`. A
/// batch must not sleep.
fn fits(batch: &mut Batch<'_>, entry: &[u8], patience: Delta) -> bool {
    let start = Instant::<Monotonic>::now();
    loop {
        match batch.enqueue(entry) {
            Err(Error::Full) if start.elapsed() < patience => core::hint::spin_loop(),
            done => return done.is_ok(),
        }
    }
}

/// Enqueues until the queue is full; the log has the number of entries.
fn fill(node: &TestNode, producer: &mut Producer, len: usize) -> Result<Result<Log, Error>> {
    let mut count = 0;
    loop {
        let entry = next_entry(node, len)?;
        match producer.enqueue_with(&entry, Wake::Suppress) {
            Ok(()) => count += 1,
            Err(Error::Full) => return Ok(Ok(counted(count))),
            Err(error) => return Ok(Err(error)),
        }
    }
}

fn reserve(
    node: &TestNode,
    producer: &mut Producer,
    len: usize,
    then: &str,
) -> Result<Result<Log, Error>> {
    let mut reservation = match producer.reserve(len) {
        Ok(reservation) => reservation,
        Err(error) => return Ok(Err(error)),
    };
    fill_in(
        node.sequence.fetch_add(1, Relaxed),
        reservation.as_mut_slice(),
    );
    let done = match then {
        "commit" => reservation.commit(),
        "commit-short" => reservation.commit_len(len / 2),
        "discard" => {
            reservation.discard();
            Ok(())
        }
        "leak" => {
            core::mem::forget(reservation);
            Ok(())
        }
        "hold" => {
            node.hold()?;
            reservation.commit()
        }
        _ => return Err(EINVAL),
    };
    Ok(done.map(|()| counted(1)))
}

fn consume(node: &TestNode, command: &str, words: &mut Words<'_>) -> Result<Result<Log, Error>> {
    let mut guard = node.consumer.lock();
    let consumer = (*guard).as_mut().ok_or(ENXIO)?;
    let found = |len: usize, bytes: &[u8]| Log {
        count: 1,
        len: len as u64,
        sum: bytes.iter().map(|byte| u64::from(*byte)).sum(),
        ..Log::default()
    };
    Ok(match command {
        "dequeue" | "dequeue-wait" => {
            let mut buffer = KVVec::from_elem(0u8, words.size()?, GFP_KERNEL)?;
            if command == "dequeue-wait" {
                let timeout = words.timeout()?;
                if let Err(error) = consumer.wait(timeout, words.interruptible()) {
                    return Ok(Err(error));
                }
            }
            consumer
                .dequeue(&mut buffer)
                .map(|len| found(len, &buffer[..len]))
        }
        "drain" => {
            let (mut len, mut sum) = (0, 0);
            consumer
                .drain(words.number()?, |entry| {
                    let mut first = [0];
                    if entry.copy_to(0, &mut first).is_ok() {
                        sum += u64::from(first[0]);
                    }
                    len += entry.len() as u64;
                    true
                })
                .map(|count| Log {
                    count,
                    len,
                    sum,
                    ..Log::default()
                })
        }
        // Only a part is copied, and only once: a process can write there, so a second read may
        // differ.
        "peek" | "release" => match consumer.peek() {
            Ok(entry) => {
                let mut part = [0; 16];
                let part = &mut part[..entry.len().min(16)];
                let copied = entry.copy_to(0, part);
                let log = found(entry.len(), part);
                if command == "release" {
                    if words.optional() == Some("hold") {
                        node.hold()?;
                    }
                    entry.release().map(|()| log)
                } else {
                    copied.map(|()| log)
                }
            }
            Err(error) => Err(error),
        },
        "available" => consumer.available_bytes().map(counted),
        "watermark" => {
            let (bytes, latency_ns) = (words.number()?, words.number()?);
            consumer
                .set_watermark(bytes, latency_ns)
                .map(|()| counted(0))
        }
        _ => return Err(EINVAL),
    })
}
