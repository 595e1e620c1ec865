// SPDX-License-Identifier: GPL-2.0

//! The commands of the node of the benchmarks.
//!
//! ```text
//! publish NAME OUTPUT-BYTES INPUT-BYTES    unpublish
//! produce COUNT BYTES BATCH SPINS          make entries, and publish every BATCH of them
//! consume COUNT BATCH SPINS                take entries, and publish every BATCH of them
//! publish-stream NAME BUFFERS BYTES        publish a stream with buffers of BYTES, whole pages
//! stream COUNT SPINS                       send buffers
//! stamp                                    make one entry that holds the time
//! eventfd DESCRIPTOR                       take an eventfd
//! signal                                   signal it, and note the time
//! ```
//!
//! A capacity of 0 means no such queue. SPINS is the number of looks at a full or empty queue, or
//! for a free buffer, before the command sleeps. The first word of an entry is its number, counted
//! from 0 in each command; each further word is one more than the word before it.

use iostream::{Consumer, Error, Producer};
use kernel::{
    prelude::*,
    str::CString,
    time::{ClockSource, Monotonic},
};

use crate::{
    eventfd::EventFd,
    node::{BenchNode, Done},
};

/// The longest entry.
const MAX_ENTRY_BYTES: usize = 65536;
/// Entries that are made or taken between two checks for a signal.
const CHUNK: u64 = 4096;

/// The words of a command.
struct Words<'a>(core::str::SplitAsciiWhitespace<'a>);

impl<'a> Words<'a> {
    fn word(&mut self) -> Result<&'a str> {
        self.0.next().ok_or(EINVAL)
    }

    fn number(&mut self) -> Result<u64> {
        self.word()?.parse().map_err(|_| EINVAL)
    }
}

/// Runs one command on the node.
pub(crate) fn run(node: &BenchNode, text: &str) -> Result {
    let mut words = Words(text.split_ascii_whitespace());
    match words.word()? {
        "publish" => {
            let name = words.word()?;
            let name = CString::try_from_fmt(fmt!("{name}"))?;
            node.publish(&name, words.number()?, words.number()?)
        }
        "unpublish" => {
            node.unpublish();
            Ok(())
        }
        "produce" => {
            let (count, bytes) = (words.number()?, words.number()?);
            let (batch, spins) = (words.number()?, words.number()?);
            let bytes = usize::try_from(bytes).map_err(|_| EINVAL)?;
            if bytes == 0 || bytes % 8 != 0 || bytes > MAX_ENTRY_BYTES || batch == 0 {
                return Err(EINVAL);
            }
            let holds = *node.output_bytes.lock() / (bytes as u64 + 8);
            let plan = Plan {
                count,
                bytes,
                batch,
                spins,
                // Entries made in one turn are still in a cache when they are read.
                turn: (holds / 16).min(CHUNK).max(batch),
            };
            let mut producer = node.producer.lock();
            let producer = Option::as_mut(&mut producer).ok_or(ENXIO)?;
            let begun = now();
            // The compiler knows the usual lengths here, as it does in the peer's programs.
            let produce = match (bytes, batch) {
                (8, 1) => produce::<8, true>,
                (64, 1) => produce::<64, true>,
                (_, 1) => produce::<0, true>,
                (8, _) => produce::<8, false>,
                (64, _) => produce::<64, false>,
                (1024, _) => produce::<1024, false>,
                (4096, _) => produce::<4096, false>,
                _ => produce::<0, false>,
            };
            let mut done = produce(producer, &plan)?;
            done.time_ns = now().wrapping_sub(begun);
            *node.output.lock() = done;
            Ok(())
        }
        "consume" => {
            let (count, batch) = (words.number()?, words.number()?);
            let spins = words.number()?;
            let mut consumer = node.consumer.lock();
            let consumer = Option::as_mut(&mut consumer).ok_or(ENXIO)?;
            let begun = now();
            let mut done = consume(consumer, count, batch, spins)?;
            done.time_ns = now().wrapping_sub(begun);
            *node.input.lock() = done;
            Ok(())
        }
        "publish-stream" => {
            let name = words.word()?;
            let name = CString::try_from_fmt(fmt!("{name}"))?;
            let buffers = u32::try_from(words.number()?).map_err(|_| EINVAL)?;
            let bytes = u32::try_from(words.number()?).map_err(|_| EINVAL)?;
            node.stream.publish(&name, buffers, bytes)
        }
        "stream" => {
            let (count, spins) = (words.number()?, words.number()?);
            let begun = now();
            let mut done = node.stream.send(count, spins)?;
            done.time_ns = now().wrapping_sub(begun);
            *node.output.lock() = done;
            Ok(())
        }
        "stamp" => {
            let mut producer = node.producer.lock();
            let producer = Option::as_mut(&mut producer).ok_or(ENXIO)?;
            let begun = now();
            producer.enqueue(&begun.to_ne_bytes())?;
            *node.output.lock() = Done::single(begun, now());
            Ok(())
        }
        "eventfd" => {
            let fd = i32::try_from(words.number()?).map_err(|_| EINVAL)?;
            *node.eventfd.lock() = Some(EventFd::from_descriptor(fd)?);
            Ok(())
        }
        "signal" => {
            let eventfd = node.eventfd.lock();
            let eventfd = eventfd.as_ref().ok_or(ENXIO)?;
            let mut output = node.output.lock();
            let begun = now();
            // Stored first, because the woken process asks for the time.
            *output = Done::single(begun, begun);
            eventfd.signal();
            *output = Done::single(begun, now());
            Ok(())
        }
        _ => Err(EINVAL),
    }
}

/// Nanoseconds since boot.
fn now() -> u64 {
    Monotonic::ktime_get() as u64
}

/// The arguments of `produce`.
struct Plan {
    count: u64,
    bytes: usize,
    /// Entries for each publication.
    batch: u64,
    spins: u64,
    /// Entries for each check of the room.
    turn: u64,
}

impl Plan {
    /// The number of entries that fit at once, at most `left`, in whole batches if possible. Sleeps
    /// while none fits.
    fn wait_room(&self, producer: &mut Producer, left: u64) -> Result<u64, Error> {
        let most = self.turn.min(left);
        // A quarter is enough to go on. Waiting for all of it would empty the queue.
        let part = most.div_ceil(4);
        loop {
            for _ in 0..=self.spins {
                for want in [most, part] {
                    if producer.can_enqueue(self.bytes, want)? {
                        return Ok(match want.checked_rem(self.batch) {
                            Some(over) if over < want => want - over,
                            _ => want,
                        });
                    }
                }
                core::hint::spin_loop();
            }
            producer.wait_room(self.bytes, None, true)?;
            if !producer.can_enqueue(self.bytes, part)? {
                return Ok(1);
            }
        }
    }
}

/// Makes entries and publishes them as planned; with `EACH`, one by one. `KNOWN` is their length,
/// or 0 if the compiler does not know it.
fn produce<const KNOWN: usize, const EACH: bool>(
    producer: &mut Producer,
    plan: &Plan,
) -> Result<Done, Error> {
    let bytes = if KNOWN == 0 { plan.bytes } else { KNOWN };
    let each_time = if EACH { 1 } else { plan.batch };
    let mut done = Done::default();
    while done.entries < plan.count {
        let mut left = plan.wait_room(producer, plan.count - done.entries)?;
        let (mut number, mut sum) = (done.entries, done.sum);
        producer.batch(|batch| {
            while left > 0 {
                let now = each_time.min(left);
                for _ in 0..now {
                    batch.enqueue_in_place(bytes, |entry| fill(entry, number))?;
                    sum = sum.wrapping_add(number);
                    number = number.wrapping_add(1);
                }
                batch.publish();
                left -= now;
            }
            Ok::<_, Error>(())
        })??;
        (done.entries, done.sum) = (number, sum);
    }
    Ok(done)
}

/// Fills an entry in place.
#[inline(always)]
fn fill(entry: &mut [u8], number: u64) {
    let mut value = number;
    for word in entry.chunks_exact_mut(8) {
        word.copy_from_slice(&value.to_ne_bytes());
        value = value.wrapping_add(1);
    }
}

/// Takes entries and adds up their first words.
fn consume(consumer: &mut Consumer, count: u64, batch: u64, spins: u64) -> Result<Done, Error> {
    let mut done = Done::default();
    let mut looks = 0;
    while done.entries < count {
        // A `drain` that finds nothing arms, and then the process has to notify. So look first.
        if looks < spins && consumer.available_bytes()? == 0 {
            looks += 1;
            core::hint::spin_loop();
            continue;
        }
        let most = batch.min(count - done.entries);
        let mut sum = done.sum;
        let taken = consumer.drain(most, |entry| {
            let mut word = [0; 8];
            if entry.copy_to(0, &mut word).is_ok() {
                sum = sum.wrapping_add(u64::from_ne_bytes(word));
            }
            true
        })?;
        done.sum = sum;
        done.entries += taken;
        looks = 0;
        if taken == 0 {
            consumer.wait(None, true)?;
        }
    }
    Ok(done)
}
