// SPDX-License-Identifier: MIT OR Apache-2.0

//! Each side on its own, without the other: where the time goes.

use std::time::Instant;

use iostream::{OutputStream, Session};
use iostream_bench::{pin_to, Harness, Result};

use crate::output::Flow;
use crate::{node, streams};

/// A ring that holds all entries.
const RING_BYTES: u64 = 64 << 20;

/// Nanoseconds an entry for producing alone and consuming alone.
pub fn run(harness: &Harness) -> Result<()> {
    pin_to(1)?;
    for (entry_bytes, batch) in [
        (8u64, 1u64),
        (8, 10),
        (8, 500),
        (64, 1),
        (64, 500),
        (1024, 500),
        (4096, 500),
    ] {
        let flow = Flow {
            entry_bytes,
            batch,
            ring_bytes: RING_BYTES,
            ..Flow::BASE
        };
        let count = (RING_BYTES / (entry_bytes + 8)).min(2_000_000);
        let (mut produce, mut consume, mut single) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..harness.pairs() {
            let session = node::open(flow.ring_bytes, 0)?;
            let mut consumer = session.consumer()?;
            node::tell(&format!("produce {count} {entry_bytes} {batch} 0"))?;
            produce.push(node::done()?.0.time_ns as f64 / count as f64);
            let begun = Instant::now();
            let mut sum = 0u64;
            consumer.drain(count / 2, |e| {
                sum += e.iter().map(|b| u64::from(*b)).sum::<u64>() & 1;
                true
            })?;
            consume.push(begun.elapsed().as_nanos() as f64 / (count / 2) as f64);
            let begun = Instant::now();
            for _ in count / 2..count {
                sum += u64::from(consumer.dequeue()?[0]);
            }
            single.push(begun.elapsed().as_nanos() as f64 / (count / 2) as f64);
            std::hint::black_box(sum);
        }
        let m = |v: &[f64]| v.iter().copied().fold(f64::INFINITY, f64::min);
        println!("{entry_bytes} x {batch}: produce {:.0} ns, consume {:.0} ns in a batch, {:.0} ns one by one", m(&produce), m(&consume), m(&single));
    }
    buffers(harness)
}

/// Nanoseconds a buffer of 64 KiB for sending alone and for receiving and returning alone.
fn buffers(harness: &Harness) -> Result<()> {
    const BUFFERS: usize = 256;
    let (mut send, mut receive) = (Vec::new(), Vec::new());
    for _ in 0..harness.pairs() {
        let path = node::publish_stream(BUFFERS, streams::BUFFER_BYTES)?;
        let mut stream = OutputStream::from_session(Session::open(path)?)?;
        stream.start()?;
        // At first buffers are free, and each page is touched for the first time.
        for round in 0..8 {
            node::tell(&format!("stream {BUFFERS} 0"))?;
            let sent = node::done()?.0.time_ns as f64;
            let mut arrived = streams::Arrived::default();
            let begun = Instant::now();
            for _ in 0..BUFFERS {
                arrived.add(&stream.dequeue()?);
            }
            let received = begun.elapsed().as_nanos() as f64;
            arrived.check(BUFFERS as u64, node::sum_of(BUFFERS as u64))?;
            if round > 0 {
                send.push(sent / BUFFERS as f64);
                receive.push(received / BUFFERS as f64);
            }
        }
    }
    let least = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
    println!(
        "buffers: send {:.0} ns, receive and return {:.0} ns",
        least(&send),
        least(&receive)
    );
    Ok(())
}
