// SPDX-License-Identifier: MIT OR Apache-2.0

//! Kernel to user, through ours: the rate of entries.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use iostream_bench::flow::{Arrived, Flow, Making, CONSUMER_BATCH, PATIENCE, SPIN, WORD_BYTES};
use iostream_bench::{pin_to, Result};

use crate::node;

/// Ours: the time in which `count` entries came from the driver.
pub fn ours(flow: Flow, count: u64) -> Result<Duration> {
    let session = node::open(flow.ring_bytes, 0)?;
    let mut consumer = session.consumer()?;
    // Spinning is useless on one processor, where the other side cannot run meanwhile.
    consumer.set_spin(if flow.one_processor() { 0 } else { SPIN });
    let spins = if flow.one_processor() { 0 } else { 20_000 };
    let command = match flow.making {
        Making::Batches => format!(
            "produce {count} {} {} {spins}",
            flow.entry_bytes,
            flow.whole_batch()
        ),
        Making::Calls => format!("enqueue {count} {} {spins}", flow.entry_bytes),
    };
    let both = Barrier::new(2);
    pin_to(Flow::CONSUMER_CPU)?;
    let mut arrived = Arrived::default();
    let time = std::thread::scope(|scope| -> Result<Duration> {
        let producer = scope.spawn(|| -> Result<()> {
            pin_to(flow.producer_cpu)?;
            both.wait();
            node::tell(&command)
        });
        both.wait();
        let begun = Instant::now();
        while arrived.entries < count {
            consumer.wait(Some(PATIENCE))?;
            // The producer must learn of the room from time to time even if entries keep coming.
            let mut sums = arrived;
            if flow.entry_bytes == WORD_BYTES {
                consumer.drain(CONSUMER_BATCH, |entry| {
                    sums.add_word(entry);
                    true
                })?;
            } else {
                consumer.drain(CONSUMER_BATCH, |entry| {
                    sums.add(entry);
                    true
                })?;
            }
            arrived = sums;
        }
        let time = begun.elapsed();
        producer.join().map_err(|_| "the producer panicked")??;
        Ok(time)
    })?;
    arrived.check(count, flow.entry_bytes)?;
    Ok(time)
}

/// Ours: the time in which `count` entries came through `queues` queues, 64 of each in turn.
///
/// They are sessions of /dev/iostream, each with a source of its own, on one processor.
pub fn ours_round_robin(queues: usize, count: u64) -> Result<Duration> {
    const RING_BYTES: u64 = 16384;
    /// Entries taken from a queue before the next queue.
    const TURN: u64 = 64;
    pin_to(Flow::CONSUMER_CPU)?;
    let mut ends = Vec::new();
    for _ in 0..queues {
        let setup = iostream::Setup::source(16, 16).output_bytes(RING_BYTES);
        let session = setup.open()?;
        let consumer = session.consumer()?;
        ends.push((session, consumer));
    }
    let mut arrived = 0;
    let begun = Instant::now();
    while arrived < count {
        for (session, consumer) in &mut ends {
            session
                .run_batched(TURN, TURN as u32, Some(PATIENCE))
                .result?;
            let mut batch = consumer.batch();
            while batch.next()?.is_some() {
                arrived += 1;
            }
        }
    }
    let time = begun.elapsed();
    Ok(time.mul_f64(count as f64 / arrived as f64))
}
