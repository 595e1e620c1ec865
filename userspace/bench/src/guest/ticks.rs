// SPDX-License-Identifier: MIT OR Apache-2.0

//! G-11: one entry from a timer's interrupt: the nanoseconds of the call that makes it.
//!
//! Ours is `Producer::enqueue` in the callback of a timer, under the driver's lock. The peers are
//! called by a program that the timer of a perf event runs in its interrupt. A consumer on the other
//! processor looks all the time, or sleeps until it is woken.

use std::cell::Cell;
use std::os::fd::IntoRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use iostream::Error;
use iostream_bench::bpf::Bpf;
use iostream_bench::flow::PATIENCE;
use iostream_bench::{pin_to, Result};
use libbpf_rs::{MapCore, MapFlags, PerfBufferBuilder, RingBufferBuilder};

use crate::node;
use crate::perf_event;

const PRODUCER_CPU: usize = 0;
const CONSUMER_CPU: usize = 1;
const RING_BYTES: u64 = 512 << 10;
/// Entries of a measurement, and the time between two of them.
const ENTRIES: u64 = 4000;
const PERIOD_NS: u64 = 100_000;
const SLEEP: Duration = Duration::from_millis(20);

/// What the consumer does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Consumer {
    Looks,
    Sleeps,
}

/// Runs `make` on one processor, and `take` on the other until all entries have arrived. `take`
/// returns how many have.
fn beside(
    make: impl FnOnce() -> Result<f64> + Send,
    mut take: impl FnMut() -> Result<u64>,
) -> Result<f64> {
    pin_to(CONSUMER_CPU)?;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| -> Result<f64> {
        let maker = scope.spawn(|| -> Result<f64> {
            pin_to(PRODUCER_CPU)?;
            let made = make();
            over.store(true, Ordering::Release);
            made
        });
        let begun = Instant::now();
        let mut taken = 0;
        while taken < ENTRIES {
            // Looked at first: what is made before it is over comes.
            let over = over.load(Ordering::Acquire);
            let before = taken;
            taken = take()?;
            if over && taken == before || begun.elapsed() > PATIENCE {
                break;
            }
        }
        let spent = maker.join().map_err(|_| "the maker panicked")??;
        if taken != ENTRIES {
            return Err(format!("{taken} of {ENTRIES} entries arrived").into());
        }
        Ok(spent / ENTRIES as f64)
    })
}

/// Ours.
pub fn ours(how: Consumer) -> Result<f64> {
    let session = node::open(RING_BYTES, 0)?;
    let mut consumer = session.consumer()?;
    let mut taken = 0;
    beside(
        || {
            node::tell(&format!("interrupts {ENTRIES} {PERIOD_NS}"))?;
            Ok(node::done()?.0.sum as f64)
        },
        || {
            if how == Consumer::Sleeps {
                match consumer.wait(Some(SLEEP)) {
                    Ok(()) | Err(Error::TimedOut) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            consumer.drain(u64::MAX, |_| {
                taken += 1;
                true
            })?;
            Ok(taken)
        },
    )
}

/// `struct ticks` of ring.bpf.c.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Ticks {
    made: u64,
    target: u64,
    flags: u64,
    spent_ns: u64,
    failed: u64,
}

impl Ticks {
    fn to_bytes(self) -> Vec<u8> {
        [
            self.made,
            self.target,
            self.flags,
            self.spent_ns,
            self.failed,
        ]
        .iter()
        .flat_map(|word| word.to_ne_bytes())
        .collect()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut words = bytes
            .chunks_exact(8)
            .filter_map(|word| word.try_into().ok().map(u64::from_ne_bytes));
        let mut next = || words.next().ok_or("the value is too short");
        Ok(Self {
            made: next()?,
            target: next()?,
            flags: next()?,
            spent_ns: next()?,
            failed: next()?,
        })
    }
}

/// Lets the program make the entries in the interrupts of a perf event's timer, and returns the time
/// of all calls.
fn run_program(bpf: &mut Bpf, name: &str, flags: u64) -> Result<f64> {
    const KEY: [u8; 4] = 0u32.to_ne_bytes();
    let ticks = bpf.map("ticks")?;
    let begin = Ticks {
        target: ENTRIES,
        flags,
        ..Ticks::default()
    };
    ticks.update(&KEY, &begin.to_bytes(), MapFlags::ANY)?;
    let event = perf_event::cpu_clock(PRODUCER_CPU, PERIOD_NS)?;
    // The link closes it.
    let link = bpf.attach_to(name, event.into_raw_fd())?;
    let begun = Instant::now();
    loop {
        std::thread::sleep(Duration::from_millis(1));
        let value = ticks.lookup(&KEY, MapFlags::ANY)?;
        let now = Ticks::from_bytes(&value.ok_or("an array without its only element")?)?;
        if now.failed != 0 {
            return Err(format!("{} entries could not be made", now.failed).into());
        }
        if now.made == ENTRIES {
            drop(link);
            return Ok(now.spent_ns as f64);
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("the timer made {} of {ENTRIES} entries", now.made).into());
        }
    }
}

/// `bpf_ringbuf_output` with these flags.
pub fn ring(how: Consumer, flags: u64) -> Result<f64> {
    let mut bpf = Bpf::load(RING_BYTES, 8)?;
    let map = bpf.map("ring")?;
    let taken = Cell::new(0);
    let mut builder = RingBufferBuilder::new();
    builder.add(&map, |_| {
        taken.set(taken.get() + 1);
        0
    })?;
    let ring = builder.build()?;
    beside(
        move || run_program(&mut bpf, "tick_ring", flags),
        || {
            match how {
                Consumer::Looks => ring.consume()?,
                Consumer::Sleeps => ring.poll(SLEEP)?,
            }
            Ok(taken.get())
        },
    )
}

/// `bpf_perf_event_output`, read by libbpf's `perf_buffer`.
pub fn perf(how: Consumer) -> Result<f64> {
    let mut bpf = Bpf::load(4096, 8)?;
    let map = bpf.map("perf")?;
    let taken = Cell::new(0);
    let buffer = PerfBufferBuilder::new(&map)
        .pages(128)
        .sample_cb(|_, _| taken.set(taken.get() + 1))
        .lost_cb(|_, lost| eprintln!("{lost} records of perf_buffer were lost"))
        .build()?;
    beside(
        move || run_program(&mut bpf, "tick_perf", 0),
        || {
            match how {
                Consumer::Looks => buffer.consume()?,
                Consumer::Sleeps => buffer.poll(SLEEP)?,
            }
            Ok(taken.get())
        },
    )
}
