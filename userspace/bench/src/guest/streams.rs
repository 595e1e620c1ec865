// SPDX-License-Identifier: MIT OR Apache-2.0

//! G-7: buffers of 64 KiB, of which the reader reads one word of each page.
//!
//! Ours: the driver writes the buffer's number into each page and sends the buffer; no byte of it
//! is copied. A peer that copies does as little as possible besides: its source is ready, so that
//! nothing fills it, takes turns with the reader, or wakes it.
//!
//! - `/dev/zero` is a device that only fills the reader's memory.
//! - The contents of a file in memory are copied page by page.
//! - The same stream, read by copy, does the same work as ours, driver included.
//!
//! The warm-up tries them all; the one that makes the peer fastest is compared.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use iostream::{ReadStream, Session};
use iostream_bench::{pin_to, Result};
use rustix::fs::{memfd_create, MemfdFlags};

use crate::node;
use crate::output::{PATIENCE, SPIN};

/// The bytes of a buffer, and the number of buffers: ours, of the file, in flight in io_uring.
pub const BUFFER_BYTES: usize = 64 << 10;
pub const BUFFERS: usize = 32;
const PAGE_BYTES: usize = 4096;
const PAGES: u64 = (BUFFER_BYTES / PAGE_BYTES) as u64;
const PRODUCER_CPU: usize = 0;
pub const CONSUMER_CPU: usize = 1;
/// How often the driver looks for a free buffer before it sleeps.
const DRIVER_SPIN: u64 = 20_000;

/// What arrived.
#[derive(Default)]
pub struct Arrived {
    pub buffers: u64,
    pages: u64,
    sum: u64,
}

impl Arrived {
    /// Reads the first word of each page.
    #[inline(always)]
    pub fn add(&mut self, buffer: &[u8]) {
        for page in buffer.chunks_exact(PAGE_BYTES) {
            if let Some(word) = page.first_chunk() {
                self.sum = self.sum.wrapping_add(u64::from_ne_bytes(*word));
            }
            self.pages += 1;
        }
        self.buffers += 1;
    }

    /// Whether the words of all pages of `count` buffers arrived; `sum` is that of one page of
    /// each.
    pub fn check(&self, count: u64, sum: u64) -> Result<()> {
        let expected = (count, count * PAGES, sum.wrapping_mul(PAGES));
        if (self.buffers, self.pages, self.sum) == expected {
            return Ok(());
        }
        Err(format!(
            "{} of {count} buffers arrived, or not as sent",
            self.buffers
        )
        .into())
    }
}

/// Ours: the time in which `count` buffers came from the driver.
pub fn ours(count: u64) -> Result<Duration> {
    let path = node::publish_stream(BUFFERS, BUFFER_BYTES)?;
    let mut stream = ReadStream::from_session(Session::open(path)?)?;
    stream.set_spin(SPIN);
    stream.start()?;
    let mut arrived = Arrived::default();
    // The closure drops the stream, which ends a driver that waits for buffers.
    let time = beside_driver(count, move || {
        while arrived.buffers < count {
            let buffer = stream.dequeue_wait(Some(PATIENCE))?;
            arrived.add(&buffer);
        }
        Ok(arrived)
    })?;
    Ok(time)
}

/// The same stream by read(2), which copies each buffer.
pub fn by_copy(count: u64) -> Result<Duration> {
    let path = node::publish_stream(BUFFERS, BUFFER_BYTES)?;
    let mut file = File::open(path)?;
    node::start_stream()?;
    let mut bytes = vec![1; BUFFER_BYTES];
    let mut arrived = Arrived::default();
    beside_driver(count, move || {
        while arrived.buffers < count {
            file.read_exact(&mut bytes)?;
            arrived.add(&bytes);
        }
        Ok(arrived)
    })
}

/// The time in which `receive` gets `count` buffers while the driver sends them.
fn beside_driver(count: u64, receive: impl FnOnce() -> Result<Arrived>) -> Result<Duration> {
    let both = Barrier::new(2);
    pin_to(CONSUMER_CPU)?;
    std::thread::scope(|scope| -> Result<Duration> {
        let producer = scope.spawn(|| -> Result<()> {
            pin_to(PRODUCER_CPU)?;
            both.wait();
            node::tell(&format!("stream {count} {DRIVER_SPIN}"))
        });
        both.wait();
        let begun = Instant::now();
        let arrived = receive()?;
        let time = begun.elapsed();
        producer.join().map_err(|_| "the producer panicked")??;
        arrived.check(count, node::sum_of(count))?;
        Ok(time)
    })
}

/// The source of a peer.
#[derive(Clone, Copy)]
pub enum Source {
    /// `/dev/zero`.
    Zero,
    /// A file in memory, as long as all buffers: it is in the page cache.
    Memory,
}

impl Source {
    pub const ALL: [Self; 2] = [Self::Zero, Self::Memory];

    pub fn name(self) -> &'static str {
        match self {
            Self::Zero => "/dev/zero",
            Self::Memory => "a file in memory",
        }
    }

    pub fn open(self) -> Result<File> {
        match self {
            Self::Zero => Ok(File::open("/dev/zero")?),
            Self::Memory => {
                let file = File::from(memfd_create("buffers", MemfdFlags::CLOEXEC)?);
                let mut bytes = vec![0; BUFFER_BYTES];
                for number in 0..BUFFERS as u64 {
                    for page in bytes.chunks_exact_mut(PAGE_BYTES) {
                        page[..8].copy_from_slice(&number.to_ne_bytes());
                    }
                    file.write_all_at(&bytes, self.offset(number))?;
                }
                Ok(file)
            }
        }
    }

    /// The position in the file of the buffer with this number.
    pub fn offset(self, number: u64) -> u64 {
        match self {
            Self::Zero => 0,
            Self::Memory => number % BUFFERS as u64 * BUFFER_BYTES as u64,
        }
    }

    /// The sum of the words of one page of each of `count` buffers.
    pub fn sum(self, count: u64) -> u64 {
        match self {
            Self::Zero => 0,
            Self::Memory => {
                let (rounds, rest) = (count / BUFFERS as u64, count % BUFFERS as u64);
                rounds * node::sum_of(BUFFERS as u64) + node::sum_of(rest)
            }
        }
    }
}

/// pread(2): the time in which `count` buffers were copied into the same memory.
pub fn read(source: Source, count: u64) -> Result<Duration> {
    pin_to(CONSUMER_CPU)?;
    let file = source.open()?;
    let mut bytes = vec![1; BUFFER_BYTES];
    let mut arrived = Arrived::default();
    let begun = Instant::now();
    for number in 0..count {
        file.read_exact_at(&mut bytes, source.offset(number))?;
        arrived.add(&bytes);
    }
    let time = begun.elapsed();
    arrived.check(count, source.sum(count))?;
    Ok(time)
}
