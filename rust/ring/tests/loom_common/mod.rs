// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! The memory of a ring in a model of loom, and rings on it.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::sync::Arc;

use iostream_ring::sync::{Weak, Word};
use iostream_ring::{Consumer, Geometry, Memory, OverwriteReader, Producer};
use loom::cell::UnsafeCell;

/// Eight bytes of the data.
pub trait DataWord: 'static {
    fn zero() -> Self;
    fn load(&self) -> u64;
    fn store(&self, value: u64);
}

/// Data that only one side may touch at a time: loom reports every race on it.
pub struct Owned(UnsafeCell<u64>);

// SAFETY: loom checks each access.
unsafe impl Send for Owned {}
// SAFETY: loom checks each access.
unsafe impl Sync for Owned {}

impl DataWord for Owned {
    fn zero() -> Self {
        Self(UnsafeCell::new(0))
    }

    fn load(&self) -> u64 {
        // SAFETY: loom panics if another thread may write it.
        self.0.with(|word| unsafe { *word })
    }

    fn store(&self, value: u64) {
        // SAFETY: loom panics if another thread may touch it.
        self.0.with_mut(|word| unsafe { *word = value });
    }
}

/// Data that may be overwritten while it is read.
impl DataWord for Word {
    fn zero() -> Self {
        Word::new(0)
    }

    fn load(&self) -> u64 {
        self.load_relaxed()
    }

    fn store(&self, value: u64) {
        self.store_relaxed(value);
    }
}

/// The word of a ring that lacks an ordering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    ProducerPos,
    OldestPos,
    ConsumerPos,
}

/// The memory of one ring.
pub struct Mem<D> {
    ring: Arc<Ring<D>>,
}

struct Ring<D> {
    producer_pos: Word,
    oldest_pos: Word,
    producer_wake: Word,
    consumer_pos: Word,
    consumer_wake: Word,
    data: Vec<D>,
}

impl<D> Clone for Mem<D> {
    fn clone(&self) -> Self {
        let ring = self.ring.clone();
        Self { ring }
    }
}

impl<D: DataWord> Mem<D> {
    fn new(words: usize, weak: Option<(Which, Weak)>) -> Self {
        let word = |which| match weak {
            Some((weakened, weak)) if weakened == which => Word::weak(0, weak),
            _ => Word::new(0),
        };
        let ring = Arc::new(Ring {
            producer_pos: word(Which::ProducerPos),
            oldest_pos: word(Which::OldestPos),
            producer_wake: Word::new(0),
            consumer_pos: word(Which::ConsumerPos),
            consumer_wake: Word::new(0),
            data: (0..words).map(|_| D::zero()).collect(),
        });
        Self { ring }
    }

    fn cell(&self, offset: usize) -> &D {
        assert!(offset % 8 == 0 && offset < self.ring.data.len() * 16);
        &self.ring.data[(offset / 8) % self.ring.data.len()]
    }
}

// SAFETY: All accesses are checked against the bounds of the memory.
unsafe impl<D: DataWord> Memory for Mem<D> {
    fn producer_pos(&self) -> &Word {
        &self.ring.producer_pos
    }

    fn oldest_pos(&self) -> &Word {
        &self.ring.oldest_pos
    }

    fn producer_wake_pos(&self) -> &Word {
        &self.ring.producer_wake
    }

    fn consumer_pos(&self) -> &Word {
        &self.ring.consumer_pos
    }

    fn consumer_wake_pos(&self) -> &Word {
        &self.ring.consumer_wake
    }

    unsafe fn load_word(&self, offset: usize) -> u64 {
        self.cell(offset).load()
    }

    unsafe fn store_word(&self, offset: usize, value: u64) {
        self.cell(offset).store(value);
    }

    unsafe fn read(&self, offset: usize, dst: *mut u8, len: usize) {
        assert_eq!(len % 8, 0, "models use whole words");
        for i in (0..len).step_by(8) {
            let bytes = self.cell(offset + i).load().to_ne_bytes();
            // SAFETY: The caller passes a pointer that is valid for `len` bytes.
            unsafe { dst.add(i).copy_from_nonoverlapping(bytes.as_ptr(), 8) };
        }
    }

    unsafe fn write(&self, offset: usize, src: *const u8, len: usize) {
        assert_eq!(len % 8, 0, "models use whole words");
        for i in (0..len).step_by(8) {
            // SAFETY: The caller passes a pointer that is valid for `len` bytes.
            let value = unsafe { src.add(i).cast::<u64>().read_unaligned() };
            self.cell(offset + i).store(value);
        }
    }
}

fn geometry(words: usize) -> Geometry {
    Geometry::from_description(words as u64 * 8, words as u32 * 8 - 8).unwrap()
}

/// Both sides of a ring of `words` words.
pub fn pair(
    words: usize,
    weak: Option<(Which, Weak)>,
) -> (Producer<Mem<Owned>>, Consumer<Mem<Owned>>) {
    let mem = Mem::new(words, weak);
    // SAFETY: The only user of each side, on zeroed memory of the right size.
    unsafe {
        (
            Producer::new(mem.clone(), geometry(words), false),
            Consumer::new(mem, geometry(words)),
        )
    }
}

/// Both sides of an overwriting ring of `words` words.
pub fn overwriting_pair(
    words: usize,
    weak: Option<(Which, Weak)>,
) -> (Producer<Mem<Word>>, OverwriteReader<Mem<Word>>) {
    let mem = Mem::new(words, weak);
    // SAFETY: The only user of each side, on zeroed memory of the right size.
    unsafe {
        (
            Producer::new(mem.clone(), geometry(words), true),
            OverwriteReader::new(mem, geometry(words)),
        )
    }
}

/// Runs a model with a bound on the preemptions of a thread (`LOOM_MAX_PREEMPTIONS` overrides it).
pub fn model(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.check(body);
}
