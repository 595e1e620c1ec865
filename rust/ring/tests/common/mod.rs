// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! The memory of a ring for tests. It asserts that each access is inside the data.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod hooked;
pub mod model;

use std::sync::Arc;

use iostream_ring::sync::Word;
use iostream_ring::{occupied_bytes, Consumer, Framed, Geometry, Layout, Memory, Producer};

/// The words of a ring, by owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    ProducerPos,
    OldestPos,
    ProducerWake,
    ConsumerPos,
    ConsumerWake,
}

/// Memory of one ring, shared by clones. The data appear twice, by modulo.
#[derive(Clone)]
pub struct Mem(Arc<Ring>);

struct Ring {
    words: [Word; 5],
    data: Box<[Word]>,
}

impl Mem {
    pub fn new(data_bytes: u64) -> Self {
        assert_eq!(data_bytes % 8, 0);
        Self(Arc::new(Ring {
            words: [const { Word::new(0) }; 5],
            data: (0..data_bytes / 8).map(|_| Word::new(0)).collect(),
        }))
    }

    /// An empty ring at position `pos`.
    pub fn at(data_bytes: u64, pos: u64) -> Self {
        let mem = Self::new(data_bytes);
        mem.word(Which::ProducerPos).store_relaxed(pos);
        mem.word(Which::OldestPos).store_relaxed(pos);
        mem.word(Which::ConsumerPos).store_relaxed(pos);
        mem
    }

    pub fn word(&self, which: Which) -> &Word {
        &self.0.words[which as usize]
    }

    pub fn get(&self, which: Which) -> u64 {
        self.word(which).load_relaxed()
    }

    pub fn set(&self, which: Which, value: u64) {
        self.word(which).store_relaxed(value);
    }

    /// The data word at byte `offset`, for a hostile peer.
    pub fn data(&self, offset: usize) -> &Word {
        &self.0.data[offset / 8]
    }

    /// All words, to check that an operation changed nothing.
    pub fn snapshot(&self) -> Vec<u64> {
        let words = self.0.words.iter().chain(self.0.data.iter());
        words.map(Word::load_relaxed).collect()
    }

    fn data_bytes(&self) -> usize {
        self.0.data.len() * 8
    }

    fn cell(&self, offset: usize) -> &Word {
        assert_eq!(offset % 8, 0, "misaligned access at {offset}");
        &self.0.data[(offset / 8) % self.0.data.len()]
    }

    fn check(&self, offset: usize, len: usize) {
        let end = offset.checked_add(len).expect("offset overflows");
        assert!(end <= 2 * self.data_bytes(), "{offset}+{len} out of data");
        assert!(len <= self.data_bytes(), "{len} is more than a lap");
    }
}

// SAFETY: All accesses are checked against the bounds of the memory.
unsafe impl Memory for Mem {
    fn producer_pos(&self) -> &Word {
        self.word(Which::ProducerPos)
    }

    fn oldest_pos(&self) -> &Word {
        self.word(Which::OldestPos)
    }

    fn producer_wake_pos(&self) -> &Word {
        self.word(Which::ProducerWake)
    }

    fn consumer_pos(&self) -> &Word {
        self.word(Which::ConsumerPos)
    }

    fn consumer_wake_pos(&self) -> &Word {
        self.word(Which::ConsumerWake)
    }

    unsafe fn load_word(&self, offset: usize) -> u64 {
        self.check(offset, 8);
        self.cell(offset).load_relaxed()
    }

    unsafe fn store_word(&self, offset: usize, value: u64) {
        self.check(offset, 8);
        self.cell(offset).store_relaxed(value);
    }

    unsafe fn read(&self, offset: usize, dst: *mut u8, len: usize) {
        self.check(offset, len);
        // SAFETY: The caller passes a pointer that is valid for `len` bytes.
        let dst = unsafe { std::slice::from_raw_parts_mut(dst, len) };
        for (i, chunk) in dst.chunks_mut(8).enumerate() {
            let word = self.cell(offset + i * 8).load_relaxed().to_ne_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }

    unsafe fn write(&self, offset: usize, src: *const u8, len: usize) {
        self.check(offset, len);
        // SAFETY: The caller passes a pointer that is valid for `len` bytes.
        let src = unsafe { std::slice::from_raw_parts(src, len) };
        for (i, chunk) in src.chunks(8).enumerate() {
            let cell = self.cell(offset + i * 8);
            let mut word = cell.load_relaxed().to_ne_bytes();
            word[..chunk.len()].copy_from_slice(chunk);
            cell.store_relaxed(u64::from_ne_bytes(word));
        }
    }
}

/// The geometry of `data_bytes` bytes, with the longest entry that fits.
pub fn geometry(data_bytes: u64) -> Geometry {
    Geometry::from_description(data_bytes, (data_bytes - 8) as u32).unwrap()
}

/// The memory of a ring, and both its sides.
pub type Pair<L> = (Mem, Producer<Mem, L>, Consumer<Mem, L>);

/// Both sides of an empty ring at position `pos`.
pub fn pair_at(geometry: Geometry, pos: u64) -> Pair<Framed> {
    pair_of(geometry, pos)
}

/// Like [`pair_at`], for any layout.
pub fn pair_of<L: Layout>(geometry: Geometry, pos: u64) -> Pair<L> {
    let mem = Mem::at(geometry.data_bytes(), pos);
    // SAFETY: The only producer, on memory of the right size.
    let producer = unsafe { Producer::resume_of(mem.clone(), geometry) }.unwrap();
    // SAFETY: The only consumer, on memory of the right size.
    let consumer = unsafe { Consumer::resume_of(mem.clone(), geometry) }.unwrap();
    (mem, producer, consumer)
}

/// Both sides of a new ring of `data_bytes` bytes.
pub fn pair(data_bytes: u64) -> (Mem, Producer<Mem>, Consumer<Mem>) {
    let mem = Mem::new(data_bytes);
    // SAFETY: The only producer, on zeroed memory of the right size.
    let producer = unsafe { Producer::new(mem.clone(), geometry(data_bytes), false) };
    // SAFETY: The only consumer, on zeroed memory of the right size.
    let consumer = unsafe { Consumer::new(mem.clone(), geometry(data_bytes)) };
    (mem, producer, consumer)
}

/// Bytes that entries of these lengths occupy.
pub fn occupied(lens: &[u32]) -> u64 {
    lens.iter().map(|len| occupied_bytes(*len)).sum()
}

/// A seeded generator: xorshift64*, by Vigna.
pub struct Random(u64);

impl Random {
    /// Seeds from `SEED` in the environment, otherwise from the clock; prints the seed for a
    /// repetition.
    pub fn seeded(name: &str) -> Self {
        let seed = match std::env::var("SEED") {
            Ok(text) => text.parse().expect("SEED is a number"),
            Err(_) => std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64,
        };
        println!("{name}: SEED={seed}");
        Self(seed | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 33) % bound
    }
}
