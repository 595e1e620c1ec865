// SPDX-License-Identifier: MIT OR Apache-2.0

//! Kernel to user, through the peer: a BPF ring buffer, read in every way that is known to be fast.

use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use libbpf_rs::{RingBuffer, RingBufferBuilder};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::thread::sched_yield;

use super::mapped::MappedRing;
use super::{Bpf, Program, Work};
use crate::flow::{Arrived, Flow, CONSUMER_BATCH, PATIENCE, SPIN, WORD_BYTES};
use crate::{pin_to, Result};

/// The longest sleep: without a wake-up for the last entries nobody would look again.
const SLEEP_MS: i64 = 20;

/// The way in which entries are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reader {
    /// libbpf's `ring_buffer__poll`: epoll_wait, then all entries.
    Poll,
    /// libbpf's `ring_buffer__consume` in a loop.
    Consume,
    /// The same, with our consumer's pauses between two looks.
    Paced,
    /// The same, and after as many looks as our consumer's `ring_buffer__poll`.
    Hybrid,
    /// A reader on the mapped ring, as the kernel documents it: it publishes the room once for many
    /// entries, and looks, pauses and sleeps as ours does.
    Mapped,
}

impl Reader {
    pub const ALL: [Self; 5] = [
        Self::Poll,
        Self::Consume,
        Self::Paced,
        Self::Hybrid,
        Self::Mapped,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Poll => "libbpf, ring_buffer__poll",
            Self::Consume => "libbpf, ring_buffer__consume in a loop",
            Self::Paced => "libbpf, ring_buffer__consume in a loop with our pauses",
            Self::Hybrid => "libbpf, ring_buffer__consume with our looks and pauses, then poll",
            Self::Mapped => {
                "mapped ring, room published every 500, our looks and pauses, then poll"
            }
        }
    }

    /// Whether a reader that finds nothing sleeps at some time.
    fn sleeps(self) -> bool {
        matches!(self, Self::Poll | Self::Hybrid | Self::Mapped)
    }
}

/// What a reader does that found nothing.
enum Next {
    Look,
    Sleep,
}

/// Decides what a reader does that found nothing. The pauses are those of our consumer.
pub struct Waiting {
    reader: Reader,
    one_processor: bool,
    looks: u32,
    pauses: u32,
    begun: Instant,
}

impl Waiting {
    const MOST_PAUSES: u32 = 64;
    /// A look that finds this many entries was late enough.
    const ENOUGH: u64 = 256;

    pub fn new(reader: Reader, flow: Flow) -> Self {
        Self {
            reader,
            one_processor: flow.one_processor(),
            looks: 0,
            pauses: 1,
            begun: Instant::now(),
        }
    }

    fn found(&mut self, entries: u64) {
        if self.looks != 0 {
            self.pauses = if entries < Self::ENOUGH {
                (self.pauses * 2).min(Self::MOST_PAUSES)
            } else {
                (self.pauses / 2).max(1)
            };
        }
        self.looks = 0;
    }

    fn found_nothing(&mut self) -> Result<Next> {
        self.looks += 1;
        // Rarely: the clock takes as long as some entries.
        if self.looks % 4096 == 0 && self.begun.elapsed() > PATIENCE {
            return Err("the entries do not come".into());
        }
        match self.reader {
            Reader::Poll => return Ok(Next::Sleep),
            // On one processor the other side cannot run while this one looks.
            _ if self.one_processor && self.reader.sleeps() => return Ok(Next::Sleep),
            _ if self.one_processor => sched_yield(),
            Reader::Consume => {}
            Reader::Paced => self.pause(),
            Reader::Hybrid | Reader::Mapped if self.looks > SPIN => {
                self.looks = 0;
                return Ok(Next::Sleep);
            }
            Reader::Hybrid | Reader::Mapped => self.pause(),
        }
        Ok(Next::Look)
    }

    fn pause(&self) {
        for _ in 0..self.pauses {
            std::hint::spin_loop();
        }
    }
}

/// The time in which `count` entries came from the program. `wake` is the flag of the entry that
/// ends a batch; the others have `BPF_RB_NO_WAKEUP`.
pub fn run(flow: Flow, wake: u64, reader: Reader, count: u64) -> Result<Duration> {
    let bpf = Bpf::load(flow.ring_bytes, flow.entry_bytes)?;
    let map = bpf.map("ring")?;
    let (both, given_up) = (Barrier::new(2), AtomicBool::new(false));
    let (both, given_up) = (&both, &given_up);
    let program = bpf.produce(flow.entry_bytes)?;
    pin_to(Flow::CONSUMER_CPU)?;
    let (time, arrived) = std::thread::scope(|scope| -> Result<(Duration, Arrived)> {
        let producer = scope.spawn(move || -> Result<()> {
            pin_to(flow.producer_cpu)?;
            both.wait();
            produce(&program, flow, wake, count, given_up)
        });
        let arrived = if reader == Reader::Mapped {
            let mut ring = MappedRing::new(map.as_fd(), flow.ring_bytes)?;
            both.wait();
            let begun = Instant::now();
            by_mapping(&mut ring, flow, count, map.as_fd())
                .map(|arrived| (begun.elapsed(), arrived))
        } else {
            let arrived = Cell::new(Arrived::default());
            let mut builder = RingBufferBuilder::new();
            builder.add(&map, |entry| {
                let mut now = arrived.get();
                add(&mut now, flow, entry);
                arrived.set(now);
                0
            })?;
            let ring = builder.build()?;
            both.wait();
            let begun = Instant::now();
            by_libbpf(&ring, &arrived, Waiting::new(reader, flow), count)
                .map(|()| (begun.elapsed(), arrived.get()))
        };
        given_up.store(arrived.is_err(), Ordering::Relaxed);
        producer.join().map_err(|_| "the producer panicked")??;
        arrived
    })?;
    arrived.check(count, flow.entry_bytes)?;
    Ok(time)
}

#[inline(always)]
fn add(arrived: &mut Arrived, flow: Flow, entry: &[u8]) {
    if flow.entry_bytes == WORD_BYTES {
        arrived.add_word(entry);
    } else {
        arrived.add(entry);
    }
}

/// Reads by libbpf until `count` entries have arrived in all; the ring's callback counts them.
pub fn by_libbpf(
    ring: &RingBuffer<'_>,
    arrived: &Cell<Arrived>,
    mut waiting: Waiting,
    count: u64,
) -> Result<()> {
    let mut before = 0;
    while before < count {
        if waiting.reader != Reader::Poll {
            let result = ring.consume_raw();
            if result < 0 {
                return Err(std::io::Error::from_raw_os_error(-result).into());
            }
        }
        let now = arrived.get().entries;
        if now != before {
            waiting.found(now - before);
        } else if let Next::Sleep = waiting.found_nothing()? {
            ring.poll(Duration::from_millis(SLEEP_MS as u64))?;
        }
        before = arrived.get().entries;
    }
    Ok(())
}

fn by_mapping(
    ring: &mut MappedRing,
    flow: Flow,
    count: u64,
    map: BorrowedFd<'_>,
) -> Result<Arrived> {
    let mut waiting = Waiting::new(Reader::Mapped, flow);
    let mut arrived = Arrived::default();
    while arrived.entries < count {
        // Copied, so that the sums can stay in registers.
        let mut now = arrived;
        let found = ring.read(CONSUMER_BATCH, |entry| add(&mut now, flow, entry));
        arrived = now;
        if found != 0 {
            waiting.found(found);
        } else if let Next::Sleep = waiting.found_nothing()? {
            let mut descriptors = [PollFd::new(&map, PollFlags::IN)];
            let most = Timespec {
                tv_sec: 0,
                tv_nsec: SLEEP_MS * 1_000_000,
            };
            poll(&mut descriptors, Some(&most))?;
        }
    }
    Ok(arrived)
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
