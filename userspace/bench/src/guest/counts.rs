// SPDX-License-Identifier: MIT OR Apache-2.0

//! Counts: system calls and pages.

use std::cell::Cell;
use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use iostream_bench::bpf::{
    self,
    output::{by_libbpf, Reader, Waiting},
    Bpf, Work,
};
use iostream_bench::flow::{number_of, sum_of, Arrived, Flow, SPIN};
use iostream_bench::{pin_to, Result};
use libbpf_rs::RingBufferBuilder;

use crate::node;

const PRODUCER_CPU: usize = 0;
const CONSUMER_CPU: usize = 1;
/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// System calls of this process, in all threads, for `count` entries that are published one by one,
/// including the call that starts the driver.
pub fn calls_of_ours(flow: Flow, count: u64) -> Result<f64> {
    let mut counter = Bpf::load(4096, 8)?;
    let session = node::open(flow.ring_bytes, 0)?;
    let mut consumer = session.consumer()?;
    consumer.set_spin(SPIN);
    let command = format!("produce {count} 8 1 20000");
    pin_to(CONSUMER_CPU)?;
    let mut sum = 0u64;
    let (link, counts) = counter.count_calls()?;
    let calls = std::thread::scope(|scope| -> Result<u64> {
        let producer = scope.spawn(|| -> Result<()> {
            pin_to(PRODUCER_CPU)?;
            node::tell(&command)
        });
        for number in 0..count {
            if number % 500 == 0 {
                consumer.flush()?;
            }
            let entry = consumer.dequeue_wait(Some(PATIENCE))?;
            sum = sum.wrapping_add(number_of(&entry));
        }
        producer.join().map_err(|_| "the producer panicked")??;
        bpf::calls(&counts)
    })?;
    drop(link);
    check(sum, count)?;
    Ok(calls as f64)
}

/// The same count for a reader of the peer and the runs of the program.
pub fn calls_of_peer(flow: Flow, reader: Reader, count: u64) -> Result<f64> {
    let mut bpf = Bpf::load(flow.ring_bytes, 8)?;
    let (ring, program) = (bpf.map("ring")?, bpf.produce(8)?);
    let arrived = Cell::new(Arrived::default());
    let mut builder = RingBufferBuilder::new();
    builder.add(&ring, |entry| {
        let mut now = arrived.get();
        now.add_word(entry);
        arrived.set(now);
        0
    })?;
    let ring = builder.build()?;
    pin_to(CONSUMER_CPU)?;
    let (link, counts) = bpf.count_calls()?;
    let calls = std::thread::scope(|scope| -> Result<u64> {
        let producer = scope.spawn(|| -> Result<()> {
            pin_to(PRODUCER_CPU)?;
            let mut work = Work::new(count, 1, bpf::ADAPTIVE);
            while work.number < count {
                program.run(&mut work)?;
            }
            Ok(())
        });
        by_libbpf(&ring, &arrived, Waiting::new(reader, flow), count)?;
        producer.join().map_err(|_| "the producer panicked")??;
        bpf::calls(&counts)
    })?;
    drop(link);
    arrived.get().check(count, 8)?;
    Ok(calls as f64)
}

/// System calls that drain a queue that was filled before.
pub fn calls_of_draining(flow: Flow) -> Result<f64> {
    let count = flow.ring_bytes / 16;
    let mut counter = Bpf::load(4096, 8)?;
    let session = node::open(flow.ring_bytes, 0)?;
    let mut consumer = session.consumer()?;
    node::tell(&format!("produce {count} 8 500 0"))?;
    let (link, counts) = counter.count_calls()?;
    let before = bpf::calls(&counts)?;
    let mut sum = 0u64;
    for _ in 0..count {
        sum = sum.wrapping_add(number_of(&consumer.dequeue()?));
    }
    // The question itself is one call.
    let calls = bpf::calls(&counts)? - before - 1;
    drop(link);
    check(sum, count)?;
    Ok(calls as f64)
}

/// The same count for libbpf's `ring_buffer__consume`.
pub fn peers_calls_of_draining(flow: Flow) -> Result<f64> {
    let count = flow.ring_bytes / 16 - 1;
    let mut bpf = Bpf::load(flow.ring_bytes, 8)?;
    let (ring, program) = (bpf.map("ring")?, bpf.produce(8)?);
    let sum = Cell::new(0u64);
    let mut builder = RingBufferBuilder::new();
    builder.add(&ring, |entry| {
        sum.set(sum.get().wrapping_add(number_of(entry)));
        0
    })?;
    let reader = builder.build()?;
    program.run(&mut Work::new(count, 500, bpf::NO_WAKEUP))?;
    let (link, counts) = bpf.count_calls()?;
    let before = bpf::calls(&counts)?;
    reader.consume()?;
    let calls = bpf::calls(&counts)? - before - 1;
    drop(link);
    check(sum.get(), count)?;
    Ok(calls as f64)
}

/// Pages that kernel and process share for one queue, beyond its capacity in whole pages.
pub fn pages_of_ours(capacity_bytes: u64) -> Result<f64> {
    let before = shared_pages()?;
    let session = node::open(capacity_bytes, 0)?;
    let consumer = session.consumer()?;
    let pages = shared_pages()?.difference(&before).count();
    drop(consumer);
    Ok(beyond(pages, capacity_bytes))
}

/// The same count for a BPF ring buffer.
pub fn pages_of_peer(capacity_bytes: u64) -> Result<f64> {
    let bpf = Bpf::load(capacity_bytes.next_power_of_two(), 8)?;
    let before = shared_pages()?;
    let ring = bpf.map("ring")?;
    let mut builder = RingBufferBuilder::new();
    builder.add(&ring, |_| 0)?;
    let reader = builder.build()?;
    let pages = shared_pages()?.difference(&before).count();
    drop(reader);
    Ok(beyond(pages, capacity_bytes))
}

fn beyond(pages: usize, capacity_bytes: u64) -> f64 {
    pages as f64 - capacity_bytes.div_ceil(PAGE_BYTES) as f64
}

const PAGE_BYTES: u64 = 4096;

/// The page frames behind all mappings of devices and BPF maps, each once.
fn shared_pages() -> Result<HashSet<u64>> {
    /// The bits of a pagemap entry: the frame, and whether it is present.
    const FRAME: u64 = (1 << 55) - 1;
    const PRESENT: u64 = 1 << 63;
    let pagemap = File::open("/proc/self/pagemap")?;
    let mut frames = HashSet::new();
    for line in std::fs::read_to_string("/proc/self/maps")?.lines() {
        if !line.contains("/dev/iostream") && !line.contains("bpf-map") {
            continue;
        }
        let range = line.split(' ').next().ok_or("an empty line of maps")?;
        let (start, end) = range.split_once('-').ok_or("no range in maps")?;
        let page = |address| {
            Ok::<_, std::num::ParseIntError>(u64::from_str_radix(address, 16)? / PAGE_BYTES)
        };
        for page in page(start)?..page(end)? {
            let mut entry = [0; 8];
            pagemap.read_exact_at(&mut entry, page * 8)?;
            let entry = u64::from_ne_bytes(entry);
            if entry & PRESENT != 0 {
                frames.insert(entry & FRAME);
            }
        }
    }
    Ok(frames)
}

fn check(sum: u64, count: u64) -> Result<()> {
    if sum == sum_of(count) {
        return Ok(());
    }
    Err("the entries did not arrive as sent".into())
}
