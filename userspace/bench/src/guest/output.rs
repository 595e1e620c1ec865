// SPDX-License-Identifier: MIT OR Apache-2.0

//! Kernel to user: the rate of entries.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use iostream_bench::{pin_to, Result};
use libbpf_rs::RingBufferBuilder;
use rustix::thread::sched_yield;

use crate::bpf::{Bpf, Program, Work};
use crate::node;

/// The entries and how they move; the same for both sides of a comparison.
#[derive(Clone, Copy)]
pub struct Flow {
    pub entry_bytes: u64,
    pub ring_bytes: u64,
    /// Entries of a publication or wake-up.
    pub batch: u64,
    /// The producer's processor; the consumer's is 1.
    pub producer_cpu: usize,
}

impl Flow {
    /// Eight-byte entries, a ring of 512 KiB, a wake-up every 500, two processors.
    pub const BASE: Self = Self {
        entry_bytes: 8,
        ring_bytes: 512 * 1024,
        batch: 500,
        producer_cpu: 0,
    };
    const CONSUMER_CPU: usize = 1;

    /// Entries of a publication: at most those of a quarter of the ring, or a side that waits for
    /// the end of a batch would never wake.
    fn whole_batch(self) -> u64 {
        let quarter = self.ring_bytes / 4 / (self.entry_bytes + 8);
        self.batch.min(quarter).max(1)
    }

    fn one_processor(self) -> bool {
        self.producer_cpu == Self::CONSUMER_CPU
    }
}

/// What arrived.
#[derive(Clone, Copy, Default)]
struct Arrived {
    entries: u64,
    /// The sum of the first words.
    sum: u64,
    /// The sum of all further words.
    rest: u64,
}

impl Arrived {
    /// Reads an entry of eight bytes.
    #[inline(always)]
    fn add_word(&mut self, entry: &[u8]) {
        if let Ok(word) = entry.try_into() {
            self.sum = self.sum.wrapping_add(u64::from_ne_bytes(word));
            self.entries += 1;
        }
    }

    /// Reads every byte of an entry.
    #[inline(always)]
    fn add(&mut self, entry: &[u8]) {
        if let Some((first, rest)) = entry.split_first_chunk() {
            self.sum = self.sum.wrapping_add(u64::from_ne_bytes(*first));
            if !rest.is_empty() {
                self.add_rest(rest);
            }
        }
        self.entries += 1;
    }

    /// One load for each word, for every contender: an emulated processor is slow with vectors.
    #[inline(always)]
    fn add_rest(&mut self, rest: &[u8]) {
        // SAFETY: All bit patterns are valid integers.
        let (before, words, after) = unsafe { rest.align_to::<u64>() };
        assert!(before.is_empty() && after.is_empty(), "words are aligned");
        self.rest = words.iter().fold(self.rest, |sum, word| {
            // SAFETY: The reference is valid for reads.
            sum.wrapping_add(unsafe { std::ptr::from_ref(word).read_volatile() })
        });
    }

    /// Whether exactly the entries arrived that were sent.
    fn check(&self, count: u64, entry_bytes: u64) -> Result<()> {
        let sum = node::sum_of(count);
        // Word `i` of an entry is the entry's number plus `i`.
        let further = entry_bytes / 8 - 1;
        let places = (further * (further + 1) / 2).wrapping_mul(count);
        let good = self.entries == count
            && self.sum == sum
            && self.rest == sum.wrapping_mul(further).wrapping_add(places);
        if good {
            return Ok(());
        }
        Err(format!(
            "{} of {count} entries arrived, or not as sent",
            self.entries
        )
        .into())
    }
}

/// Ours: the time in which `count` entries came from the driver.
pub fn ours(flow: Flow, count: u64) -> Result<Duration> {
    let session = node::open(flow.ring_bytes, 0)?;
    let mut consumer = session.consumer()?;
    // Spinning is useless on one processor, where the other side cannot run meanwhile.
    consumer.set_spin(if flow.one_processor() { 0 } else { SPIN });
    let spins = if flow.one_processor() { 0 } else { 20_000 };
    let command = format!(
        "produce {count} {} {} {spins}",
        flow.entry_bytes,
        flow.whole_batch()
    );
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

/// How often a consumer looks before it sleeps.
pub const SPIN: u32 = 2000;
/// Bytes of the shortest entries, which have a reader and a producer of their own: with the loop
/// over further words the compiler keeps the sum in memory.
const WORD_BYTES: u64 = 8;
/// Entries that our consumer takes before it publishes the room.
const CONSUMER_BATCH: u64 = 500;
/// Longer than anything takes: an entry that has not come by then will not come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The libbpf call that reads entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reader {
    /// `ring_buffer__poll`: epoll_wait, then all entries.
    Poll,
    /// `ring_buffer__consume` in a loop.
    Consume,
}

/// The peer: the time in which `count` entries came from the program. `wake` is the flag of the
/// entry that ends a batch; the others have `BPF_RB_NO_WAKEUP`.
pub fn peer(flow: Flow, wake: u64, reader: Reader, count: u64) -> Result<Duration> {
    let bpf = Bpf::load(flow.ring_bytes, flow.entry_bytes)?;
    let (ring, program) = (bpf.map("ring")?, bpf.program("produce")?);
    let arrived = Cell::new(Arrived::default());
    let mut builder = RingBufferBuilder::new();
    builder.add(&ring, |entry| {
        let mut now = arrived.get();
        if flow.entry_bytes == WORD_BYTES {
            now.add_word(entry);
        } else {
            now.add(entry);
        }
        arrived.set(now);
        0
    })?;
    let ring = builder.build()?;
    let (both, given_up) = (Barrier::new(2), AtomicBool::new(false));
    pin_to(Flow::CONSUMER_CPU)?;
    let time = std::thread::scope(|scope| -> Result<Duration> {
        let producer = scope.spawn(|| -> Result<()> {
            pin_to(flow.producer_cpu)?;
            both.wait();
            produce(&program, flow, wake, count, &given_up)
        });
        both.wait();
        let begun = Instant::now();
        while arrived.get().entries < count {
            match reader {
                Reader::Poll => ring.poll(Duration::from_millis(20))?,
                Reader::Consume => {
                    if ring.consume_raw() == 0 && flow.one_processor() {
                        sched_yield();
                    }
                }
            }
            if begun.elapsed() > PATIENCE {
                given_up.store(true, Ordering::Relaxed);
                return Err("the entries do not come".into());
            }
        }
        let time = begun.elapsed();
        producer.join().map_err(|_| "the producer panicked")??;
        Ok(time)
    })?;
    arrived.get().check(count, flow.entry_bytes)?;
    Ok(time)
}

/// Runs the program until it has produced all entries.
fn produce(
    program: &Program,
    flow: Flow,
    wake: u64,
    count: u64,
    given_up: &AtomicBool,
) -> Result<()> {
    let mut work = Work::new(count, flow.whole_batch(), wake);
    while work.number < count && !given_up.load(Ordering::Relaxed) {
        let before = work.number;
        program.run(&mut work)?;
        if work.number == before || flow.one_processor() {
            sched_yield();
        }
    }
    Ok(())
}
