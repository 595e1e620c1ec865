// SPDX-License-Identifier: MIT OR Apache-2.0

//! One entry to a consumer that sleeps in epoll: the time from publishing to running in user space.
//!
//! In all three cases the kernel notes the time and publishes on processor 0, to a process that
//! waits on processor 1. Both clocks are CLOCK_MONOTONIC.

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use iostream_bench::bpf::{Bpf, Work};
use iostream_bench::{pin_to, Result};
use libbpf_rs::RingBufferBuilder;
use rustix::buffer::spare_capacity;
use rustix::event::{epoll, eventfd, EventfdFlags};
use rustix::time::{clock_gettime, ClockId};

use crate::node;

const PUBLISHER_CPU: usize = 0;
const SLEEPER_CPU: usize = 1;
/// The pause before each entry, in which the sleeper falls asleep.
const PAUSE: Duration = Duration::from_micros(300);

/// Nanoseconds of CLOCK_MONOTONIC.
fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The nanoseconds of each entry.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// From right before the publication until the sleeper runs.
    pub latency: Vec<f64>,
    /// Until the kernel's call that publishes and wakes returns: the publisher's part of the
    /// latency.
    pub publishing: Vec<f64>,
}

impl Times {
    pub fn extend(&mut self, more: Self) {
        self.latency.extend(more.latency);
        self.publishing.extend(more.publishing);
    }
}

/// Wake-ups before the measured ones, each time: the first ones find their code and pages cold.
const COLD: usize = 10;

/// Calls `publish` and `wake` `count` times each. `publish` runs on one processor and returns the
/// time that it took. `wake` sleeps on the other until it is woken, and returns when the entry was
/// published and when it ran.
fn measure(
    count: usize,
    mut publish: impl FnMut() -> Result<u64> + Send,
    mut wake: impl FnMut() -> Result<(u64, u64)>,
) -> Result<Times> {
    let (sleeping, seen) = (AtomicU64::new(0), AtomicU64::new(0));
    pin_to(SLEEPER_CPU)?;
    std::thread::scope(|scope| {
        let publisher = scope.spawn(|| -> Result<Vec<f64>> {
            pin_to(PUBLISHER_CPU)?;
            let mut publishing = Vec::with_capacity(count);
            for number in 1..=(COLD + count) as u64 {
                while sleeping.load(Ordering::Acquire) < number {
                    std::hint::spin_loop();
                }
                let begun = Instant::now();
                while begun.elapsed() < PAUSE {
                    std::hint::spin_loop();
                }
                publishing.push(publish()? as f64);
                while seen.load(Ordering::Acquire) < number {
                    std::hint::spin_loop();
                }
            }
            Ok(publishing)
        });
        let mut latency = Vec::with_capacity(count);
        for number in 1..=(COLD + count) as u64 {
            sleeping.store(number, Ordering::Release);
            let (published, ran) = wake()?;
            latency.push(ran.saturating_sub(published) as f64);
            seen.store(number, Ordering::Release);
        }
        let mut publishing = publisher.join().map_err(|_| "the publisher panicked")??;
        Ok(Times {
            latency: latency.split_off(COLD),
            publishing: publishing.split_off(COLD),
        })
    })
}

/// An epoll instance with one descriptor, level-triggered.
fn epoll_of(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let data = epoll::EventData::new_u64(0);
    epoll::add(&epoll, fd, data, epoll::EventFlags::IN)?;
    Ok(epoll)
}

/// Sleeps until the descriptor is ready.
fn sleep_in(epoll: impl AsFd) -> Result<()> {
    let mut events = Vec::with_capacity(1);
    loop {
        match epoll::wait(&epoll, spare_capacity(&mut events), None) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Tells the driver to publish, and returns the time that it took.
fn tell(command: &str) -> Result<u64> {
    node::tell(command)?;
    Ok(node::done()?.0.sum)
}

/// Measures a number of wake-ups. Everything it needs stays open between the calls.
pub type Run = Box<dyn FnMut(usize) -> Result<Times>>;

/// Ours: the entry holds the time at which the driver enqueued it.
pub fn ours() -> Result<Run> {
    let session = node::open(4096, 0)?;
    let mut consumer = session.consumer()?;
    let epoll = epoll_of(session.as_fd())?;
    Ok(Box::new(move |count| {
        measure(
            count,
            || tell("stamp"),
            || {
                sleep_in(&epoll)?;
                let ran = now();
                let entry = consumer.dequeue()?;
                let published = entry.first_chunk::<8>().ok_or("a short entry")?;
                Ok((u64::from_ne_bytes(*published), ran))
            },
        )
    }))
}

/// A bare eventfd that the kernel signals; the kernel keeps the time.
pub fn bare_eventfd() -> Result<Run> {
    let fd = eventfd(0, EventfdFlags::CLOEXEC)?;
    let epoll = epoll_of(fd.as_fd())?;
    node::tell(&format!("eventfd {}", fd.as_raw_fd()))?;
    let mut buffer = [0; 8];
    Ok(Box::new(move |count| {
        measure(
            count,
            || tell("signal"),
            || {
                sleep_in(&epoll)?;
                let ran = now();
                rustix::io::read(&fd, &mut buffer)?;
                let (output, _) = node::done()?;
                Ok((output.time_ns, ran))
            },
        )
    }))
}

/// A BPF ring buffer, with its default flags: the entry holds the time at which it was submitted.
pub fn bpf() -> Result<Run> {
    // The reader borrows it, and both live as long as the program.
    let bpf: &'static Bpf = Box::leak(Box::new(Bpf::load(4096, 8)?));
    let (ring, program) = (bpf.map("ring")?, bpf.program("stamp")?);
    let published = Rc::new(Cell::new(0));
    let mut builder = RingBufferBuilder::new();
    let found = published.clone();
    builder.add(&ring, move |entry| {
        if let Some(time) = entry.first_chunk::<8>() {
            found.set(u64::from_ne_bytes(*time));
        }
        0
    })?;
    let reader = builder.build()?;
    Ok(Box::new(move |count| {
        // Waits on libbpf's own epoll, so that the time is taken before the entry is read.
        // SAFETY: The reader has the descriptor open, and outlives the borrow.
        let epoll = unsafe { BorrowedFd::borrow_raw(reader.epoll_fd()) };
        measure(
            count,
            || {
                let mut work = Work::default();
                program.run(&mut work)?;
                Ok(work.sum)
            },
            || {
                sleep_in(epoll)?;
                let ran = now();
                reader.consume()?;
                Ok((published.get(), ran))
            },
        )
    }))
}
