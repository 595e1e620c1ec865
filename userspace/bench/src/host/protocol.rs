// SPDX-License-Identifier: MIT OR Apache-2.0

//! N-5: the whole protocol of a queue between two threads, against a BPF ring buffer in the kernel
//! of this machine.
//!
//! Ours has everything that a queue between the kernel and a process has: headers, the checks, a
//! full barrier at each publication and the look at whether somebody sleeps, and an eventfd that
//! wakes. What is missing is the kernel: no driver's lock, and no way through the module. The peer
//! is in the kernel, as it always is.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use iostream_bench::flow::{Arrived, Flow, CONSUMER_BATCH, PATIENCE, SPIN};
use iostream_bench::{pin_to, Result};
use iostream_ring::{Consumer, Framed, Mapped, Producer};
use rustix::event::{eventfd, poll, EventfdFlags, PollFd, PollFlags, Timespec};

use super::memory::RingMemory;

/// The longest sleep, so that a fault shows as an error.
const SLEEP: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// The time in which `count` entries came from the other thread.
pub fn ours(flow: Flow, count: u64) -> Result<Duration> {
    let memory = RingMemory::new(usize::try_from(flow.ring_bytes)?)?;
    // SAFETY: The only call for this memory, which outlives both ends.
    let (producer, mut consumer) = unsafe { memory.ends::<Framed>() };
    let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let (both, given_up) = (Barrier::new(2), AtomicBool::new(false));
    let (both, given_up, bell) = (&both, &given_up, &bell);
    pin_to(Flow::CONSUMER_CPU)?;
    let (time, arrived) = std::thread::scope(|scope| -> Result<(Duration, Arrived)> {
        let sender = scope.spawn(move || -> Result<()> {
            pin_to(flow.producer_cpu)?;
            both.wait();
            produce(producer, flow, count, bell, given_up)
        });
        both.wait();
        let begun = Instant::now();
        let arrived = consume(&mut consumer, count, bell.as_fd());
        let time = begun.elapsed();
        given_up.store(arrived.is_err(), Ordering::Relaxed);
        sender.join().map_err(|_| "the producer panicked")??;
        Ok((time, arrived?))
    })?;
    arrived.check(count, flow.entry_bytes)?;
    Ok(time)
}

fn produce(
    mut producer: Producer<Mapped, Framed>,
    flow: Flow,
    count: u64,
    bell: &OwnedFd,
    given_up: &AtomicBool,
) -> Result<()> {
    let batch = flow.whole_batch();
    let mut left = batch;
    let publish = |producer: &mut Producer<Mapped, Framed>| -> Result<()> {
        producer.publish();
        if producer.must_wake() {
            rustix::io::write(bell, &1u64.to_ne_bytes())?;
        }
        Ok(())
    };
    for number in 0..count {
        while producer.push(&number.to_ne_bytes()).is_err() {
            // Whoever waits for a batch must not sleep while this side waits for room.
            publish(&mut producer)?;
            left = batch;
            for _ in 0..64 {
                std::hint::spin_loop();
            }
            if given_up.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
        left -= 1;
        if left == 0 {
            publish(&mut producer)?;
            left = batch;
        }
    }
    publish(&mut producer)
}

fn consume(
    consumer: &mut Consumer<Mapped, Framed>,
    count: u64,
    bell: BorrowedFd<'_>,
) -> Result<Arrived> {
    let begun = Instant::now();
    let mut arrived = Arrived::default();
    let (mut looks, mut pauses) = (0, 1u32);
    while arrived.entries < count {
        // Copied, so that the sums can stay in registers.
        let mut now = arrived;
        consumer.drain(CONSUMER_BATCH, |memory, entry| {
            // SAFETY: The ring checked the entry. It is released only after this call, and the
            // producer does not write it until then.
            now.add_word(unsafe {
                let start = memory.data_at(entry.offset());
                std::slice::from_raw_parts(start.as_ptr(), entry.len())
            });
            true
        });
        let found = now.entries - arrived.entries;
        arrived = now;
        if found != 0 {
            consumer.publish();
            if looks != 0 {
                pauses = match found {
                    0..256 => (pauses * 2).min(64),
                    _ => (pauses / 2).max(1),
                };
            }
            looks = 0;
            continue;
        }
        looks += 1;
        if looks <= SPIN {
            for _ in 0..pauses {
                std::hint::spin_loop();
            }
            continue;
        }
        looks = 0;
        if consumer.arm().map_err(|error| format!("{error:?}"))? {
            continue;
        }
        if begun.elapsed() > PATIENCE {
            return Err("the entries do not come".into());
        }
        poll(&mut [PollFd::new(&bell, PollFlags::IN)], Some(&SLEEP))?;
        // Nobody may have written it: then the sleep has only been long.
        let _ = rustix::io::read(bell, &mut [0; 8]);
    }
    Ok(arrived)
}
