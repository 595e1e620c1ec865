// SPDX-License-Identifier: MIT OR Apache-2.0

//! G-14: many queues in one epoll, which get entries at random.

use std::cell::Cell;
use std::fs::File;
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use iostream::Consumer;
use iostream_bench::bpf::{self, Bpf, Work};
use iostream_bench::flow::{Arrived, PATIENCE, WORD_BYTES};
use iostream_bench::{pin_to, Result};
use libbpf_rs::{libbpf_sys, MapCore, MapFlags, MapHandle, MapType, RingBufferBuilder};
use rustix::event::{epoll, Timespec};
use rustix::pipe::pipe;

use crate::node;

/// The most queues. BPF's map of rings has as many places.
pub const QUEUES: usize = 64;
const PRODUCER_CPU: usize = 0;
const CONSUMER_CPU: usize = 1;
/// Bytes of each queue.
const RING_BYTES: u64 = 16384;
/// How often the driver looks for room in a full queue before it sleeps.
const DRIVER_SPIN: u64 = 2000;
const SLEEP: Duration = Duration::from_millis(20);

/// Runs `send` on one processor, and `receive` on the other until all entries have arrived.
fn beside(
    count: u64,
    send: impl FnOnce() -> Result<()> + Send,
    mut receive: impl FnMut() -> Result<Arrived>,
) -> Result<Duration> {
    let both = Barrier::new(2);
    let both = &both;
    pin_to(CONSUMER_CPU)?;
    std::thread::scope(|scope| -> Result<Duration> {
        let sender = scope.spawn(move || -> Result<()> {
            pin_to(PRODUCER_CPU)?;
            both.wait();
            send()
        });
        both.wait();
        let begun = Instant::now();
        let mut arrived = Arrived::default();
        while arrived.entries < count {
            arrived = receive()?;
            if begun.elapsed() > PATIENCE {
                return Err("the entries do not come".into());
            }
        }
        let time = begun.elapsed();
        sender.join().map_err(|_| "the sender panicked")??;
        arrived.check(count, WORD_BYTES)?;
        Ok(time)
    })
}

/// An epoll instance, level-triggered, whose events have the index of the descriptor.
struct Ready {
    epoll: OwnedFd,
    events: Vec<MaybeUninit<epoll::Event>>,
}

impl Ready {
    fn new(descriptors: impl IntoIterator<Item = impl AsFd>) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut count = 0;
        for descriptor in descriptors {
            let data = epoll::EventData::new_u64(count);
            epoll::add(&epoll, descriptor, data, epoll::EventFlags::IN)?;
            count += 1;
        }
        Ok(Self {
            epoll,
            events: vec![MaybeUninit::uninit(); count as usize],
        })
    }

    /// Waits, and calls `visit` with the index of each descriptor that is ready.
    fn wait(&mut self, mut visit: impl FnMut(usize) -> Result<()>) -> Result<()> {
        let most = Timespec::try_from(SLEEP)?;
        let (ready, _) = epoll::wait(&self.epoll, &mut self.events[..], Some(&most))?;
        for event in ready.iter() {
            visit(event.data.u64() as usize)?;
        }
        Ok(())
    }
}

/// Ours: `open` queues of a driver, of which the first `active` get entries.
pub fn ours(open: usize, active: usize, count: u64) -> Result<Duration> {
    let mut sessions = Vec::new();
    let mut consumers: Vec<Consumer> = Vec::new();
    for path in node::publish_many(open, RING_BYTES)? {
        let session = iostream::Session::open(path)?;
        consumers.push(session.consumer()?);
        sessions.push(session);
    }
    let mut ready = Ready::new(&sessions)?;
    let mut arrived = Arrived::default();
    beside(
        count,
        || node::tell(&format!("scatter {count} {active} {DRIVER_SPIN}")),
        || {
            ready.wait(|at| {
                consumers[at].drain(u64::MAX, |entry| {
                    arrived.add_word(entry);
                    true
                })?;
                Ok(())
            })?;
            Ok(arrived)
        },
    )
}

/// The peer: as many BPF ring buffers, in the epoll of libbpf's `ring_buffer`.
pub fn bpf(queues: usize, count: u64) -> Result<Duration> {
    let bpf = Bpf::load(4096, 8)?;
    let (outer, program) = (bpf.map("rings")?, bpf.program("scatter")?);
    let arrived = Cell::new(Arrived::default());
    let mut maps = Vec::new();
    for at in 0..queues as u32 {
        let map = ring_of(RING_BYTES)?;
        let fd = map.as_fd().as_raw_fd().to_ne_bytes();
        outer.update(&at.to_ne_bytes(), &fd, MapFlags::ANY)?;
        maps.push(map);
    }
    let mut builder = RingBufferBuilder::new();
    for map in &maps {
        builder.add(map, |entry| {
            let mut now = arrived.get();
            now.add_word(entry);
            arrived.set(now);
            0
        })?;
    }
    let ring = builder.build()?;
    beside(
        count,
        move || {
            let mut work = Work::new(count, 1, bpf::ADAPTIVE);
            work.active = queues as u64;
            while work.number < count {
                let before = work.number;
                program.run(&mut work)?;
                if work.number == before {
                    rustix::thread::sched_yield();
                }
            }
            Ok(())
        },
        || {
            ring.poll(SLEEP)?;
            Ok(arrived.get())
        },
    )
}

/// A new BPF ring buffer.
pub fn ring_of(bytes: u64) -> Result<MapHandle> {
    let options = libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_sys::bpf_map_create_opts>() as _,
        ..Default::default()
    };
    let bytes = u32::try_from(bytes)?;
    Ok(MapHandle::create(
        MapType::RingBuf,
        Some("ring"),
        0,
        0,
        bytes,
        &options,
    )?)
}

/// As many pipes, each entry written by a write(2), each ready pipe read by a read(2) of 16 KiB.
pub fn pipes(queues: usize, count: u64) -> Result<Duration> {
    let (mut readers, mut writers) = (Vec::new(), Vec::new());
    for _ in 0..queues {
        let (reader, writer) = pipe()?;
        readers.push(File::from(reader));
        writers.push(File::from(writer));
    }
    let mut ready = Ready::new(&readers)?;
    let mut arrived = Arrived::default();
    let mut buffer = vec![0; RING_BYTES as usize];
    beside(
        count,
        move || {
            let mut random = 1u64;
            for number in 0..count {
                // Knuth's generator, as for the others.
                random = random
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                let at = (random >> 33) as usize % queues;
                writers[at].write_all(&number.to_ne_bytes())?;
            }
            Ok(())
        },
        || {
            ready.wait(|at| {
                // The writes are whole words, and so are the reads.
                let bytes = readers[at].read(&mut buffer)?;
                buffer[..bytes]
                    .chunks_exact(8)
                    .for_each(|entry| arrived.add_word(entry));
                Ok(())
            })?;
            Ok(arrived)
        },
    )
}
