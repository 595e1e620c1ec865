// SPDX-License-Identifier: MIT OR Apache-2.0

//! One entry to a consumer that sleeps in epoll: the time from publishing to running in user space.
//!
//! All three are published by the kernel on processor 0, which notes the time right before, to a
//! process that waits on processor 1. Both clocks are CLOCK_MONOTONIC.

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use iostream_bench::{pin_to, Result};
use libbpf_rs::RingBufferBuilder;
use rustix::buffer::spare_capacity;
use rustix::event::{epoll, eventfd, EventfdFlags};
use rustix::time::{clock_gettime, ClockId};

use crate::bpf::{Bpf, Work};
use crate::node;

const PUBLISHER_CPU: usize = 0;
const SLEEPER_CPU: usize = 1;
/// How long the sleeper is left alone before each entry, so that it does sleep.
const PAUSE: Duration = Duration::from_micros(300);

/// Nanoseconds since boot.
fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Has `publish` called `count` times on the one processor, and after each `wake`, which sleeps
/// until it is woken on the other and returns when the entry was published and when it ran.
fn measure(
    count: usize,
    mut publish: impl FnMut() -> Result<()> + Send,
    mut wake: impl FnMut() -> Result<(u64, u64)>,
) -> Result<Vec<f64>> {
    let (sleeping, seen) = (AtomicU64::new(0), AtomicU64::new(0));
    pin_to(SLEEPER_CPU)?;
    std::thread::scope(|scope| {
        let publisher = scope.spawn(|| -> Result<()> {
            pin_to(PUBLISHER_CPU)?;
            for number in 1..=count as u64 {
                while sleeping.load(Ordering::Acquire) < number {
                    std::hint::spin_loop();
                }
                let begun = Instant::now();
                while begun.elapsed() < PAUSE {
                    std::hint::spin_loop();
                }
                publish()?;
                while seen.load(Ordering::Acquire) < number {
                    std::hint::spin_loop();
                }
            }
            Ok(())
        });
        let mut times = Vec::with_capacity(count);
        for number in 1..=count as u64 {
            sleeping.store(number, Ordering::Release);
            let (published, ran) = wake()?;
            times.push(ran.saturating_sub(published) as f64);
            seen.store(number, Ordering::Release);
        }
        publisher.join().map_err(|_| "the publisher panicked")??;
        Ok(times)
    })
}

/// An epoll that waits for one descriptor, level-triggered.
fn epoll_of(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let data = epoll::EventData::new_u64(0);
    epoll::add(&epoll, fd, data, epoll::EventFlags::IN)?;
    Ok(epoll)
}

/// Sleeps until there is something.
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

/// Ours: the entry holds the time at which the driver enqueued it.
pub fn ours(count: usize) -> Result<Vec<f64>> {
    let session = node::open(4096, 0)?;
    let mut consumer = session.consumer()?;
    let epoll = epoll_of(session.as_fd())?;
    measure(
        count,
        || node::tell("stamp"),
        || {
            sleep_in(&epoll)?;
            let ran = now();
            let entry = consumer.dequeue()?;
            let published = entry.first_chunk::<8>().ok_or("a short entry")?;
            Ok((u64::from_ne_bytes(*published), ran))
        },
    )
}

/// A bare eventfd, signalled by the kernel, which keeps the time.
pub fn bare_eventfd(count: usize) -> Result<Vec<f64>> {
    let fd = eventfd(0, EventfdFlags::CLOEXEC)?;
    let epoll = epoll_of(fd.as_fd())?;
    node::tell(&format!("eventfd {}", fd.as_raw_fd()))?;
    let mut buffer = [0; 8];
    measure(
        count,
        || node::tell("signal"),
        || {
            sleep_in(&epoll)?;
            let ran = now();
            rustix::io::read(&fd, &mut buffer)?;
            let (output, _) = node::done()?;
            Ok((output.time_ns, ran))
        },
    )
}

/// A BPF ring buffer, with its default flags: the entry holds the time at which it was submitted.
pub fn bpf(count: usize) -> Result<Vec<f64>> {
    let bpf = Bpf::load(4096, 8)?;
    let (ring, program) = (bpf.map("ring")?, bpf.program("stamp")?);
    let published = Cell::new(0);
    let mut builder = RingBufferBuilder::new();
    builder.add(&ring, |entry| {
        if let Some(time) = entry.first_chunk::<8>() {
            published.set(u64::from_ne_bytes(*time));
        }
        0
    })?;
    let reader = builder.build()?;
    // libbpf's own epoll, waited on here to take the time before the entry is looked at.
    // SAFETY: The reader has the descriptor open, and outlives the borrow.
    let epoll = unsafe { BorrowedFd::borrow_raw(reader.epoll_fd()) };
    measure(
        count,
        || program.run(&mut Work::default()),
        || {
            sleep_in(epoll)?;
            let ran = now();
            reader.consume()?;
            Ok((published.get(), ran))
        },
    )
}
