// SPDX-License-Identifier: MIT OR Apache-2.0

//! G-7: buffers of 64 KiB, of which the reader reads every byte, or one word of each page.
//!
//! Ours: the driver fills the buffer, or writes its number into each page, and sends it; no byte is
//! copied. A peer that copies does as little as possible besides: its source is ready, so that it
//! takes no turns with the reader, and wakes nobody.
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
use iostream_bench::flow::{sum_of, PATIENCE, SPIN};
use iostream_bench::{pin_to, Result};
use rustix::fs::{memfd_create, MemfdFlags};

use crate::node;

/// The bytes of a buffer, and the number of buffers: ours, of the file, in flight in io_uring.
pub const BUFFER_BYTES: usize = 64 << 10;
pub const BUFFERS: usize = 32;
const PAGE_BYTES: usize = 4096;
const PAGES: u64 = (BUFFER_BYTES / PAGE_BYTES) as u64;
const PRODUCER_CPU: usize = 0;
pub const CONSUMER_CPU: usize = 1;
/// How often the driver looks for a free buffer before it sleeps.
const DRIVER_SPIN: u64 = 20_000;

/// Words of a buffer.
const WORDS: u64 = (BUFFER_BYTES / WORD_BYTES) as u64;
const WORD_BYTES: usize = 8;

/// What is written and read of a buffer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// Every byte.
    Words,
    /// The first word of each page.
    Pages,
}

impl Touch {
    /// The driver's word for it.
    fn name(self) -> &'static str {
        match self {
            Self::Words => "words",
            Self::Pages => "pages",
        }
    }

    /// Words of a buffer that are read.
    fn words(self) -> u64 {
        match self {
            Self::Words => WORDS,
            Self::Pages => PAGES,
        }
    }
}

/// What arrived.
pub struct Arrived {
    touch: Touch,
    pub buffers: u64,
    sum: u64,
}

impl Arrived {
    pub fn new(touch: Touch) -> Self {
        Self {
            touch,
            buffers: 0,
            sum: 0,
        }
    }

    /// Reads a buffer.
    #[inline(always)]
    pub fn add(&mut self, buffer: &[u8]) {
        let stride = match self.touch {
            Touch::Words => 1,
            Touch::Pages => PAGE_BYTES / WORD_BYTES,
        };
        // SAFETY: All bit patterns are valid integers.
        let (before, words, after) = unsafe { buffer.align_to::<u64>() };
        assert!(before.is_empty() && after.is_empty(), "words are aligned");
        // One load for each word, for every contender: an emulated processor is slow with vectors.
        self.sum = words.iter().step_by(stride).fold(self.sum, |sum, word| {
            // SAFETY: The reference is valid for reads.
            sum.wrapping_add(unsafe { std::ptr::from_ref(word).read_volatile() })
        });
        self.buffers += 1;
    }

    /// Whether `count` buffers arrived whose numbers add up to `numbers`.
    pub fn check(&self, count: u64, numbers: u64) -> Result<()> {
        let sum = numbers.wrapping_mul(self.touch.words());
        // Word `i` of a buffer that is filled is its number plus `i`.
        let places = match self.touch {
            Touch::Words => (WORDS * (WORDS - 1) / 2).wrapping_mul(count),
            Touch::Pages => 0,
        };
        self.compare(count, sum.wrapping_add(places))
    }

    /// Whether `count` buffers of zeros arrived.
    fn check_zeros(&self, count: u64) -> Result<()> {
        self.compare(count, 0)
    }

    fn compare(&self, count: u64, sum: u64) -> Result<()> {
        if (self.buffers, self.sum) == (count, sum) {
            return Ok(());
        }
        let came = self.buffers;
        Err(format!("{came} of {count} buffers arrived, or not as sent").into())
    }
}

/// Memory for buffers that are read by copy, in whole words.
pub fn memory() -> Vec<u64> {
    vec![1; BUFFER_BYTES / WORD_BYTES]
}

/// The bytes of such memory.
pub fn bytes_of(words: &mut [u64]) -> &mut [u8] {
    // SAFETY: The bytes are those of the words, and all bit patterns are valid for both.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), size_of_val(words)) }
}

/// Ours: the time in which `count` buffers came from the driver.
pub fn ours(touch: Touch, count: u64) -> Result<Duration> {
    let path = node::publish_stream(BUFFERS, BUFFER_BYTES)?;
    let mut stream = ReadStream::from_session(Session::open(path)?)?;
    stream.set_spin(SPIN);
    stream.start()?;
    let mut arrived = Arrived::new(touch);
    // The closure drops the stream, which ends a driver that waits for buffers.
    let time = beside_driver(touch, count, move || {
        while arrived.buffers < count {
            let buffer = stream.dequeue_wait(Some(PATIENCE))?;
            arrived.add(&buffer);
        }
        Ok(arrived)
    })?;
    Ok(time)
}

/// The same stream by read(2), which copies each buffer.
pub fn by_copy(touch: Touch, count: u64) -> Result<Duration> {
    let path = node::publish_stream(BUFFERS, BUFFER_BYTES)?;
    let mut file = File::open(path)?;
    node::start_stream()?;
    let mut memory = memory();
    let mut arrived = Arrived::new(touch);
    beside_driver(touch, count, move || {
        let bytes = bytes_of(&mut memory);
        while arrived.buffers < count {
            file.read_exact(bytes)?;
            arrived.add(bytes);
        }
        Ok(arrived)
    })
}

/// The time in which `receive` gets `count` buffers while the driver sends them.
fn beside_driver(
    touch: Touch,
    count: u64,
    receive: impl FnOnce() -> Result<Arrived>,
) -> Result<Duration> {
    let both = Barrier::new(2);
    pin_to(CONSUMER_CPU)?;
    std::thread::scope(|scope| -> Result<Duration> {
        let producer = scope.spawn(|| -> Result<()> {
            pin_to(PRODUCER_CPU)?;
            both.wait();
            node::tell(&format!("stream {count} {DRIVER_SPIN} {}", touch.name()))
        });
        both.wait();
        let begun = Instant::now();
        let arrived = receive()?;
        let time = begun.elapsed();
        producer.join().map_err(|_| "the producer panicked")??;
        arrived.check(count, sum_of(count))?;
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

    pub fn open(self, touch: Touch) -> Result<File> {
        match self {
            Self::Zero => Ok(File::open("/dev/zero")?),
            Self::Memory => {
                let file = File::from(memfd_create("buffers", MemfdFlags::CLOEXEC)?);
                let mut memory = memory();
                for number in 0..BUFFERS as u64 {
                    for (i, word) in (0..).zip(&mut memory) {
                        *word = match touch {
                            Touch::Words => number + i,
                            Touch::Pages => number,
                        };
                    }
                    file.write_all_at(bytes_of(&mut memory), self.offset(number))?;
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

    /// Whether the contents of `count` buffers arrived.
    pub fn check(self, arrived: &Arrived, count: u64) -> Result<()> {
        match self {
            Self::Zero => arrived.check_zeros(count),
            Self::Memory => {
                let (rounds, rest) = (count / BUFFERS as u64, count % BUFFERS as u64);
                let numbers = rounds * sum_of(BUFFERS as u64) + sum_of(rest);
                arrived.check(count, numbers)
            }
        }
    }
}

/// pread(2): the time in which `count` buffers were copied into the same memory.
pub fn read(source: Source, touch: Touch, count: u64) -> Result<Duration> {
    pin_to(CONSUMER_CPU)?;
    let file = source.open(touch)?;
    let mut memory = memory();
    let bytes = bytes_of(&mut memory);
    let mut arrived = Arrived::new(touch);
    let begun = Instant::now();
    for number in 0..count {
        file.read_exact_at(bytes, source.offset(number))?;
        arrived.add(bytes);
    }
    let time = begun.elapsed();
    source.check(&arrived, count)?;
    Ok(time)
}
