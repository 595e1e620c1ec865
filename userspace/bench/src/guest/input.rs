// SPDX-License-Identifier: MIT OR Apache-2.0

//! User to kernel: the rate of entries, one by one or in batches, through ours and the peer.

use std::os::fd::AsFd;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use iostream::Error;
use iostream_bench::bpf::{mapped::MappedUserRing, Bpf, Work};
use iostream_bench::flow::{sum_of, Flow};
use iostream_bench::{pin_to, Result};
use libbpf_rs::UserRingBuffer;

use crate::node;

/// The consumer's processor, in the kernel; the producer's is 1.
const CONSUMER_CPU: usize = 0;
const PRODUCER_CPU: usize = 1;
/// Entries that our driver takes before it publishes the room.
const DRAIN: u64 = 500;
/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ours: the time in which the driver took `count` entries, `flow.batch` of them in a publication.
/// Ours one by one is `Producer::enqueue`.
pub fn ours(flow: Flow, count: u64) -> Result<Duration> {
    let session = node::open(0, flow.ring_bytes)?;
    let mut producer = session.producer()?;
    producer.set_spin(20_000);
    let command = format!("consume {count} {DRAIN} 20000");
    let both = Barrier::new(2);
    pin_to(PRODUCER_CPU)?;
    let time = std::thread::scope(|scope| -> Result<Duration> {
        let consumer = scope.spawn(|| -> Result<Instant> {
            pin_to(CONSUMER_CPU)?;
            both.wait();
            node::tell(&command)?;
            Ok(Instant::now())
        });
        both.wait();
        let begun = Instant::now();
        let mut number = 0u64;
        while number < count {
            let made = if flow.batch == 1 {
                let made = producer.enqueue(&number.to_ne_bytes());
                number += u64::from(made.is_ok());
                made
            } else {
                let most = flow.batch.min(count - number);
                let made = producer.enqueue_in_place(most, 8, |entry| {
                    entry.copy_from_slice(&number.to_ne_bytes());
                    number += 1;
                });
                made.map(|_| ())
            };
            match made {
                Ok(()) => {}
                Err(Error::Full) => {
                    producer.wait_room(producer.capacity_bytes() / 4, Some(PATIENCE))?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let ended = consumer.join().map_err(|_| "the consumer panicked")??;
        Ok(ended - begun)
    })?;
    let (_, input) = node::done()?;
    check(input.entries, input.sum, count)?;
    Ok(time)
}

/// The way in which the peer's process makes entries.
#[derive(Clone, Copy)]
pub enum Writer {
    /// libbpf's `user_ring_buffer__reserve` and `submit`, which publish each entry.
    Libbpf,
    /// A writer on the mapped ring, which publishes `flow.batch` entries at once.
    Mapped,
}

/// The peer: the time in which the program took `count` entries. `flags` are those of the drain.
pub fn peer(flow: Flow, writer: Writer, flags: u64, count: u64) -> Result<Duration> {
    let bpf = Bpf::load(flow.ring_bytes, 8)?;
    let program = bpf.program("drain")?;
    let map = bpf.map("user_ring")?;
    let both = Barrier::new(2);
    pin_to(PRODUCER_CPU)?;
    let (time, work) = std::thread::scope(|scope| -> Result<(Duration, Work)> {
        let consumer = scope.spawn(|| -> Result<(Instant, Work)> {
            pin_to(CONSUMER_CPU)?;
            let mut work = Work::new(count, flow.batch, flags);
            both.wait();
            let begun = Instant::now();
            while work.number < count {
                program.run(&mut work)?;
                if begun.elapsed() > PATIENCE {
                    return Err("the entries do not come".into());
                }
            }
            Ok((Instant::now(), work))
        });
        let begun = match writer {
            Writer::Libbpf => by_libbpf(&UserRingBuffer::new(&map)?, &both, count),
            Writer::Mapped => {
                let mut ring = MappedUserRing::new(map.as_fd(), flow.ring_bytes)?;
                by_mapping(&mut ring, &both, flow.batch, count)
            }
        }?;
        let (ended, work) = consumer.join().map_err(|_| "the consumer panicked")??;
        Ok((ended - begun, work))
    })?;
    check(work.number, work.sum, count)?;
    Ok(time)
}

/// Makes all entries once both sides are ready, and returns when that was.
fn by_libbpf(ring: &UserRingBuffer, both: &Barrier, count: u64) -> Result<Instant> {
    both.wait();
    let begun = Instant::now();
    let mut number = 0u64;
    while number < count {
        // A full ring is the only error that passes.
        let Ok(mut sample) = ring.reserve(8) else {
            rest(begun)?;
            continue;
        };
        sample.copy_from_slice(&number.to_ne_bytes());
        ring.submit(sample)?;
        number += 1;
    }
    Ok(begun)
}

/// The same on the mapped ring.
fn by_mapping(
    ring: &mut MappedUserRing,
    both: &Barrier,
    batch: u64,
    count: u64,
) -> Result<Instant> {
    both.wait();
    let begun = Instant::now();
    let mut number = 0u64;
    while number < count {
        let made = ring.write(batch.min(count - number), 8, |entry| {
            entry.copy_from_slice(&number.to_ne_bytes());
            number += 1;
        });
        if made == 0 {
            rest(begun)?;
        }
    }
    Ok(begun)
}

/// Pauses while the ring is full.
fn rest(begun: Instant) -> Result<()> {
    if begun.elapsed() > PATIENCE {
        return Err("the program does not take the entries".into());
    }
    for _ in 0..64 {
        std::hint::spin_loop();
    }
    Ok(())
}

fn check(entries: u64, sum: u64, count: u64) -> Result<()> {
    if entries == count && sum == sum_of(count) {
        return Ok(());
    }
    Err(format!("{entries} of {count} entries arrived, or not as sent").into())
}
