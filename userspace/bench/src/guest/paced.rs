// SPDX-License-Identifier: MIT OR Apache-2.0

//! G-12: latency under load. Entries come at a steady rate, and the time from when one was due until
//! the consumer has read it is measured.
//!
//! All consumers look 2000 times, with pauses, before they sleep in epoll.

use std::cell::RefCell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use iostream::{Consumer, Session};
use iostream_bench::bpf::{Bpf, Program, Work};
use iostream_bench::flow::{number_of, CONSUMER_BATCH, PATIENCE, SPIN};
use iostream_bench::{median, pin_to, Result};
use libbpf_rs::{RingBuffer, RingBufferBuilder};
use rustix::event::{eventfd, poll, EventfdFlags, PollFd, PollFlags, Timespec};
use rustix::time::{clock_gettime, ClockId};

use crate::node;

const PRODUCER_CPU: usize = 0;
const CONSUMER_CPU: usize = 1;
const RING_BYTES: u64 = 512 << 10;
/// Pauses between two looks.
const PAUSES: u32 = 64;
const SLEEP: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};

/// Nanoseconds of CLOCK_MONOTONIC, which the kernel's stamps are of, too.
fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// A way to bring entries from the kernel to a process.
pub trait Way {
    /// Makes `count` entries, one every `period_ns`, in this thread.
    fn make(&self, count: u64, period_ns: u64) -> Result<()>;
    /// Takes what is there, and calls `take` with the stamp of each entry.
    fn take(&self, take: &mut dyn FnMut(u64)) -> Result<()>;
    /// Sleeps until there may be something.
    fn sleep(&self) -> Result<()>;
}

fn sleep_on(fd: BorrowedFd<'_>) -> Result<()> {
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&SLEEP))?;
    Ok(())
}

/// Ours. The node stays open; its driver wakes whoever sleeps.
pub struct Ours {
    session: Session,
    consumer: RefCell<Consumer>,
}

impl Ours {
    pub fn new() -> Result<Self> {
        let session = node::open(RING_BYTES, 0)?;
        let consumer = RefCell::new(session.consumer()?);
        Ok(Self { session, consumer })
    }

    fn drain(&self, take: &mut dyn FnMut(u64)) -> Result<()> {
        self.consumer.borrow_mut().drain(CONSUMER_BATCH, |entry| {
            take(number_of(entry));
            true
        })?;
        Ok(())
    }
}

impl Way for Ours {
    fn make(&self, count: u64, period_ns: u64) -> Result<()> {
        node::tell(&format!("pace {count} {period_ns} framework"))
    }

    fn take(&self, take: &mut dyn FnMut(u64)) -> Result<()> {
        self.drain(take)
    }

    fn sleep(&self) -> Result<()> {
        sleep_on(self.session.as_fd())
    }
}

/// The same memory with an eventfd that the driver signals at each entry, as drivers with a ring of
/// their own do.
pub struct Eventfd {
    ours: Ours,
    bell: OwnedFd,
}

impl Eventfd {
    pub fn new() -> Result<Self> {
        let ours = Ours::new()?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        node::tell(&format!("eventfd {}", bell.as_raw_fd()))?;
        Ok(Self { ours, bell })
    }
}

impl Way for Eventfd {
    fn make(&self, count: u64, period_ns: u64) -> Result<()> {
        node::tell(&format!("pace {count} {period_ns} eventfd"))
    }

    fn take(&self, take: &mut dyn FnMut(u64)) -> Result<()> {
        self.ours.drain(take)
    }

    fn sleep(&self) -> Result<()> {
        sleep_on(self.bell.as_fd())?;
        // What it counted before is there to be taken. It may not have been signalled.
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        Ok(())
    }
}

/// A BPF ring buffer, flags 0.
pub struct Ring {
    program: Program,
    reader: RingBuffer<'static>,
    stamps: std::rc::Rc<RefCell<Vec<u64>>>,
}

impl Ring {
    pub fn new() -> Result<Self> {
        // The reader borrows the map, and both live as long as the program.
        let bpf: &'static Bpf = Box::leak(Box::new(Bpf::load(RING_BYTES, 8)?));
        let map: &'static _ = Box::leak(Box::new(bpf.map("ring")?));
        let stamps = std::rc::Rc::new(RefCell::new(Vec::new()));
        let found = stamps.clone();
        let mut builder = RingBufferBuilder::new();
        builder.add(map, move |entry| {
            found.borrow_mut().push(number_of(entry));
            0
        })?;
        Ok(Self {
            program: bpf.program("pace")?,
            reader: builder.build()?,
            stamps,
        })
    }
}

impl Way for Ring {
    fn make(&self, count: u64, period_ns: u64) -> Result<()> {
        let mut work = Work::new(count, 1, 0);
        work.active = period_ns;
        work.random = now();
        let begun = Instant::now();
        while work.number < count {
            self.program.run(&mut work)?;
            if begun.elapsed() > PATIENCE {
                return Err("the entries are not taken".into());
            }
        }
        Ok(())
    }

    fn take(&self, take: &mut dyn FnMut(u64)) -> Result<()> {
        self.reader.consume()?;
        self.stamps.borrow_mut().drain(..).for_each(take);
        Ok(())
    }

    fn sleep(&self) -> Result<()> {
        // SAFETY: The reader has the descriptor open, and outlives the borrow.
        sleep_on(unsafe { BorrowedFd::borrow_raw(self.reader.epoll_fd()) })
    }
}

/// A reference that another thread uses to make entries, while this one takes them.
struct Making<'a>(&'a dyn Way);

// SAFETY: `Way::make` uses nothing that `take` and `sleep` do: a file of its own, or a program.
unsafe impl Send for Making<'_> {}

impl Making<'_> {
    /// As a method, so that a closure that calls it takes all of `self`.
    fn make(self, count: u64, period_ns: u64) -> Result<()> {
        self.0.make(count, period_ns)
    }
}

/// The latencies of `count` entries in nanoseconds, and the time that all took.
pub fn run(way: &dyn Way, count: u64, period_ns: u64) -> Result<(Vec<f64>, Duration)> {
    let (making, over) = (Making(way), AtomicBool::new(false));
    let over = &over;
    pin_to(CONSUMER_CPU)?;
    std::thread::scope(|scope| {
        let maker = scope.spawn(move || -> Result<()> {
            pin_to(PRODUCER_CPU)?;
            let made = making.make(count, period_ns);
            over.store(true, Ordering::Release);
            made
        });
        let begun = Instant::now();
        let mut latencies = Vec::with_capacity(count as usize);
        let mut looks = 0;
        while (latencies.len() as u64) < count {
            let was_over = over.load(Ordering::Acquire);
            let before = latencies.len();
            way.take(&mut |stamp| latencies.push(now().saturating_sub(stamp) as f64))?;
            if latencies.len() != before {
                looks = 0;
                continue;
            }
            if was_over || begun.elapsed() > PATIENCE {
                break;
            }
            looks += 1;
            if looks <= SPIN {
                for _ in 0..PAUSES {
                    std::hint::spin_loop();
                }
            } else {
                looks = 0;
                way.sleep()?;
            }
        }
        let time = begun.elapsed();
        maker.join().map_err(|_| "the maker panicked")??;
        if latencies.len() as u64 != count {
            return Err(format!("{} of {count} entries came", latencies.len()).into());
        }
        Ok((latencies, time))
    })
}

/// The median latency of entries that come so rarely that each finds a consumer asleep, in
/// nanoseconds.
pub fn rare(way: &dyn Way) -> Result<f64> {
    const ENTRIES: u64 = 300;
    const PERIOD_NS: u64 = 2_000_000;
    Ok(median(&run(way, ENTRIES, PERIOD_NS)?.0))
}
