// SPDX-License-Identifier: GPL-2.0

//! The commands of the node of the benchmarks.
//!
//! ```text
//! publish NAME OUTPUT-BYTES INPUT-BYTES    unpublish
//! produce COUNT BYTES BATCH SPINS          make entries, and publish every BATCH of them
//! enqueue COUNT BYTES SPINS                the same as drivers do it, each in a call of its own
//! consume COUNT BATCH SPINS                take entries, and publish every BATCH of them
//! publish-stream NAME BUFFERS BYTES        publish a stream with buffers of BYTES, whole pages
//! stream COUNT SPINS FILL                  send buffers; FILL is `words` or `pages`
//! publish-many NAME NODES OUTPUT-BYTES     publish nodes NAME-0, NAME-1 and so on
//! scatter COUNT NODES SPINS                make entries in the first NODES of them, at random
//! pace COUNT PERIOD-NS WAKER               make entries at a rate; WAKER is `framework` or `eventfd`
//! interrupts COUNT PERIOD-NS               make an entry in each interrupt of a timer
//! stamp                                    make one entry that holds the time
//! eventfd DESCRIPTOR                       take an eventfd
//! signal                                   signal it, and note the time
//! ```
//!
//! A capacity of 0 means no such queue. SPINS is the number of looks at a full or empty queue, or
//! for a free buffer, before the command sleeps. The first word of an entry is its number, counted
//! from 0 in each command; each further word is one more than the word before it. A buffer is filled
//! like an entry (`words`), or only the first word of each page is its number (`pages`).

use iostream::{Consumer, Error};
use kernel::{
    prelude::*,
    str::CString,
    time::{ClockSource, Monotonic},
};

use crate::{
    eventfd::EventFd,
    interrupts,
    node::{BenchNode, Done},
    pace::{self, Waker},
    produce::{fill, fill_pages, Plan},
};

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
            let plan = Plan::new(node, count, bytes, batch, spins)?;
            let mut producer = node.producer.lock();
            let producer = Option::as_mut(&mut producer).ok_or(ENXIO)?;
            let begun = now();
            let mut done = plan.produce(producer)?;
            done.time_ns = now().wrapping_sub(begun);
            *node.output.lock() = done;
            Ok(())
        }
        "enqueue" => {
            let (count, bytes, spins) = (words.number()?, words.number()?, words.number()?);
            let plan = Plan::new(node, count, bytes, 1, spins)?;
            let begun = now();
            let mut done = plan.enqueue(node)?;
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
            let fill = match words.word()? {
                "words" => fill,
                "pages" => fill_pages,
                _ => return Err(EINVAL),
            };
            let begun = now();
            let mut done = node.stream.send(count, spins, fill)?;
            done.time_ns = now().wrapping_sub(begun);
            *node.output.lock() = done;
            Ok(())
        }
        "publish-many" => {
            let name = words.word()?;
            node.many.publish(name, words.number()?, words.number()?)
        }
        "scatter" => {
            let (count, nodes, spins) = (words.number()?, words.number()?, words.number()?);
            let begun = now();
            let mut done = node.many.scatter(count, nodes, spins)?;
            done.time_ns = now().wrapping_sub(begun);
            *node.output.lock() = done;
            Ok(())
        }
        "pace" => {
            let (count, period_ns) = (words.number()?, words.number()?);
            let waker = match words.word()? {
                "framework" => Waker::Framework,
                "eventfd" => Waker::Eventfd,
                _ => return Err(EINVAL),
            };
            let done = pace::run(node, count, period_ns, waker)?;
            *node.output.lock() = done;
            Ok(())
        }
        "interrupts" => {
            let (count, period_ns) = (words.number()?, words.number()?);
            let done = interrupts::run(node, count, period_ns)?;
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
