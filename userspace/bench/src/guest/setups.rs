// SPDX-License-Identifier: MIT OR Apache-2.0

//! G-15 and G-16: what a queue costs in memory, and the time until its first entry.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::null_mut;
use std::time::{Duration, Instant};

use iostream::{BuiltIn, Consumer, Setup};
use iostream_bench::bpf::{self, mapped::MappedRing, Bpf, Work};
use iostream_bench::Result;
use libbpf_rs::{MapCore, MapFlags, MapHandle, RingBufferBuilder};
use rustix::fs::{ftruncate, memfd_create, MemfdFlags};
use rustix::mm::{mmap, munmap, MapFlags as Mmap, ProtFlags};
use rustix::pipe::{fcntl_setpipe_size, pipe};
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};

use crate::many::ring_of;
use crate::perf_event;

const PAGE_BYTES: usize = 4096;

/// A queue of /dev/iostream, with its only entry.
fn our_queue(bytes: u64) -> Result<(BuiltIn, Consumer)> {
    let session = Setup::source(16, 16).output_bytes(bytes).open()?;
    let mut consumer = session.consumer()?;
    session.run(1, None).result?;
    if consumer.dequeue()?.len() != 16 {
        return Err("the first entry is not as long as asked for".into());
    }
    Ok((session, consumer))
}

/// The nanoseconds until the first entry of ours has been read: open, set up, map, make, read.
pub fn first_of_ours(bytes: u64) -> Result<f64> {
    timed(|| our_queue(bytes))
}

/// The same for a BPF ring buffer: its map, its place in the program's map of rings, libbpf's
/// reader. The program is loaded already, as our module is.
pub fn first_of_bpf(bpf: &Bpf, bytes: u64) -> Result<f64> {
    let (outer, program) = (bpf.map("rings")?, bpf.program("scatter")?);
    let arrived = std::cell::Cell::new(0);
    timed(|| {
        let map = ring_of(bytes)?;
        let fd = map.as_fd().as_raw_fd().to_ne_bytes();
        outer.update(&0u32.to_ne_bytes(), &fd, MapFlags::ANY)?;
        let mut builder = RingBufferBuilder::new();
        builder.add(&map, |entry| {
            arrived.set(entry.len());
            0
        })?;
        let ring = builder.build()?;
        let mut work = Work::new(1, 1, bpf::ADAPTIVE);
        work.active = 1;
        program.run(&mut work)?;
        ring.consume()?;
        if arrived.get() != 8 {
            return Err("the first entry has not come".into());
        }
        Ok(())
    })
}

/// The same for the buffer of a perf event: the event, its mapping, and the record of a renamed
/// thread as the first entry.
pub fn first_of_perf(bytes: u64) -> Result<f64> {
    let len = PAGE_BYTES + usize::try_from(bytes)?;
    timed(|| {
        let event = perf_event::names_of_this_thread()?;
        // SAFETY: The kernel chooses a place where nothing is.
        let start = unsafe {
            let rights = ProtFlags::READ | ProtFlags::WRITE;
            mmap(null_mut(), len, rights, Mmap::SHARED, &event, 0)?
        };
        rustix::thread::set_name(c"first-entry")?;
        // SAFETY: The first page is the event's header, which the kernel writes.
        let head = unsafe { start.add(DATA_HEAD).cast::<u64>().read_volatile() };
        // SAFETY: Nothing refers to the mapping.
        unsafe { munmap(start, len)? };
        if head == 0 {
            return Err("the event has no record".into());
        }
        Ok(())
    })
}

/// The offset of `data_head` in `struct perf_event_mmap_page` of linux/perf_event.h.
const DATA_HEAD: usize = 1024;

/// The same for memory that two processes share: a memfd, mapped and populated.
pub fn first_of_memfd(bytes: u64) -> Result<f64> {
    let len = usize::try_from(bytes)?;
    timed(|| {
        let file = memfd_create("queue", MemfdFlags::CLOEXEC)?;
        ftruncate(&file, bytes)?;
        // SAFETY: The kernel chooses a place where nothing is.
        unsafe {
            let rights = ProtFlags::READ | ProtFlags::WRITE;
            let start = mmap(
                null_mut(),
                len,
                rights,
                Mmap::SHARED | Mmap::POPULATE,
                &file,
                0,
            )?;
            start.cast::<u64>().write_volatile(1);
            munmap(start, len)?;
        }
        Ok(())
    })
}

/// The nanoseconds of the call. What it returns is dropped later.
fn timed<T>(call: impl FnOnce() -> Result<T>) -> Result<f64> {
    let begun = Instant::now();
    let made = call()?;
    let time = begun.elapsed();
    drop(made);
    Ok(time.as_secs_f64() * 1e9)
}

/// Objects that exist at once: enough to make one page more or less of no importance.
const MANY: usize = 500;

/// The bytes of memory that each of many objects takes, with all that the kernel keeps for it: pages,
/// slabs, memory of each processor, page tables.
fn bytes_of_each<T>(mut make: impl FnMut() -> Result<T>) -> Result<f64> {
    let most = getrlimit(Resource::Nofile);
    let enough = Rlimit {
        current: Some(MANY as u64 * 4 + 100),
        maximum: most.maximum.map(|most| most.max(MANY as u64 * 4 + 100)),
    };
    setrlimit(Resource::Nofile, enough)?;
    // What is only allocated once is there afterwards.
    drop(make()?);
    let before = free_bytes()?;
    let mut all = Vec::with_capacity(MANY);
    for _ in 0..MANY {
        all.push(make()?);
    }
    let after = free_bytes()?;
    drop(all);
    Ok((before - after) / MANY as f64)
}

/// The free memory, once the kernel has freed what it frees later, and dropped what it can drop.
fn free_bytes() -> Result<f64> {
    std::thread::sleep(Duration::from_millis(300));
    File::options()
        .write(true)
        .open("/proc/sys/vm/drop_caches")?
        .write_all(b"3")?;
    std::thread::sleep(Duration::from_millis(100));
    // Those of the zones, and those that each processor keeps for itself.
    let text = std::fs::read_to_string("/proc/zoneinfo")?;
    let pages: u64 = text
        .lines()
        .filter_map(|line| {
            line.trim()
                .strip_prefix("pages free")
                .or(line.trim().strip_prefix("count:"))
        })
        .filter_map(|number| number.trim().parse::<u64>().ok())
        .sum();
    Ok(pages as f64 * PAGE_BYTES as f64)
}

/// Bytes of our queue of a page, mapped.
pub fn memory_of_ours() -> Result<f64> {
    bytes_of_each(|| our_queue(PAGE_BYTES as u64))
}

/// Bytes of a BPF ring buffer of a page, mapped.
pub fn memory_of_bpf() -> Result<f64> {
    bytes_of_each(|| -> Result<(MapHandle, MappedRing)> {
        let map = ring_of(PAGE_BYTES as u64)?;
        let mapped = MappedRing::new(map.as_fd(), PAGE_BYTES as u64)?;
        Ok((map, mapped))
    })
}

/// Bytes of a pipe of a page, with an entry in it.
pub fn memory_of_pipe() -> Result<f64> {
    bytes_of_each(|| {
        let (reader, writer) = pipe()?;
        fcntl_setpipe_size(&writer, PAGE_BYTES)?;
        let mut writer = File::from(writer);
        writer.write_all(&1u64.to_ne_bytes())?;
        Ok((reader, writer))
    })
}
