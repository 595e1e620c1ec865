// SPDX-License-Identifier: MIT OR Apache-2.0

//! User to kernel: the rate of entries.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use iostream::Error;
use iostream_bench::{pin_to, Result};
use libbpf_rs::UserRingBuffer;

use crate::bpf::{Bpf, Work};
use crate::node;
use crate::output::Flow;

/// The consumer's processor, in the kernel; the producer's is 1.
const CONSUMER_CPU: usize = 0;
const PRODUCER_CPU: usize = 1;
/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ours: the time in which the driver took `count` entries.
pub fn ours(flow: Flow, count: u64) -> Result<Duration> {
    let session = node::open(0, flow.ring_bytes)?;
    let mut producer = session.producer()?;
    producer.set_spin(20_000);
    let command = format!("consume {count} {} 20000", flow.batch);
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
            let most = flow.batch.min(count - number);
            let made = producer.enqueue_in_place(most, 8, |entry| {
                entry.copy_from_slice(&number.to_ne_bytes());
                number += 1;
            });
            match made {
                Ok(_) => {}
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

/// The peer: the time in which the program took `count` entries. `flags` are those of the drain.
pub fn peer(flow: Flow, flags: u64, count: u64) -> Result<Duration> {
    let bpf = Bpf::load(flow.ring_bytes, 8)?;
    let program = bpf.program("drain")?;
    let ring = UserRingBuffer::new(&bpf.map("user_ring")?)?;
    let both = Barrier::new(2);
    pin_to(PRODUCER_CPU)?;
    let (time, work) = std::thread::scope(|scope| -> Result<(Duration, Work)> {
        let consumer = scope.spawn(|| -> Result<(Instant, Work)> {
            pin_to(CONSUMER_CPU)?;
            let mut work = Work::new(count, flow.batch, flags);
            both.wait();
            while work.number < count {
                program.run(&mut work)?;
            }
            Ok((Instant::now(), work))
        });
        both.wait();
        let begun = Instant::now();
        let mut number = 0u64;
        while number < count {
            // A full ring is the only error that passes.
            let Ok(mut sample) = ring.reserve(8) else {
                std::hint::spin_loop();
                if begun.elapsed() > PATIENCE {
                    return Err("the program does not take the entries".into());
                }
                continue;
            };
            sample.copy_from_slice(&number.to_ne_bytes());
            ring.submit(sample)?;
            number += 1;
        }
        let (ended, work) = consumer.join().map_err(|_| "the consumer panicked")??;
        Ok((ended - begun, work))
    })?;
    check(work.number, work.sum, count)?;
    Ok(time)
}

fn check(entries: u64, sum: u64, count: u64) -> Result<()> {
    if entries == count && sum == node::sum_of(count) {
        return Ok(());
    }
    Err(format!("{entries} of {count} entries arrived, or not as sent").into())
}
