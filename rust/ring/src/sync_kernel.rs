// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Atomics and copies in the kernel: the kernel's own memory model, and copies that may race with a
//! process.

use crate::atomic::{smp_mb, smp_rmb, smp_wmb, Acquire, Atomic, Full, Relaxed, Release};

/// A 64-bit word of shared memory that one side writes and the other reads.
#[repr(transparent)]
pub struct Word(Atomic<u64>);

impl Word {
    /// A word outside shared memory.
    pub const fn new(value: u64) -> Self {
        Self(Atomic::new(value))
    }

    /// Loads without ordering.
    #[inline(always)]
    pub fn load_relaxed(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Loads; later accesses stay after it.
    #[inline(always)]
    pub fn load_acquire(&self) -> u64 {
        self.0.load(Acquire)
    }

    /// Stores without ordering.
    #[inline(always)]
    pub fn store_relaxed(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// Stores; earlier accesses stay before it.
    #[inline(always)]
    pub fn store_release(&self, value: u64) {
        self.0.store(value, Release);
    }
}

/// Keeps all accesses before it before all accesses after it.
#[inline(always)]
pub fn full_barrier() {
    smp_mb(Full);
}

/// Keeps stores before it before stores after it.
#[inline(always)]
pub fn write_barrier() {
    smp_wmb();
}

/// Keeps loads before it before loads after it.
#[inline(always)]
pub fn read_barrier() {
    smp_rmb();
}

/// Up to so many bytes are copied word by word: a call of memcpy, and the string instruction it
/// is made of, take as long as a few dozen words (measured: BENCHMARKS.md).
const SHORT_BYTES: usize = 256;

/// Copies `len` bytes between memory of our own and memory that is shared.
///
/// # Safety
///
/// `src` is valid for reads and `dst` for writes of `len` bytes, and they do not overlap. A process
/// may write the shared bytes meanwhile: the copy is then any mixture of old and new.
#[inline(always)]
pub unsafe fn copy(src: *const u8, dst: *mut u8, len: usize) {
    if len <= SHORT_BYTES && (src.addr() | dst.addr()) % 8 == 0 {
        // SAFETY: The caller's promise; both are aligned.
        unsafe { copy_words(src, dst, len) };
        return;
    }
    // SAFETY: The caller's promise. The copy is made in C, where the kernel's memory model says
    // that a race with a process yields some bytes and nothing worse.
    unsafe { crate::bindings::iostream_copy(dst.cast(), src.cast(), len) };
}

/// As [`copy`]: each word, and each byte of the rest, is loaded and stored once.
///
/// # Safety
///
/// As for [`copy`]; both are multiples of 8.
#[inline(always)]
unsafe fn copy_words(src: *const u8, dst: *mut u8, len: usize) {
    let words = len & !7;
    let mut at = 0;
    while at < words {
        // SAFETY: In bounds and aligned. Volatile accesses are what the kernel's memory model has
        // for memory that others write (READ_ONCE and WRITE_ONCE).
        unsafe {
            let word = src.add(at).cast::<u64>().read_volatile();
            dst.add(at).cast::<u64>().write_volatile(word);
        }
        at = at.wrapping_add(8);
    }
    while at < len {
        // SAFETY: As above.
        unsafe { dst.add(at).write_volatile(src.add(at).read_volatile()) };
        at = at.wrapping_add(1);
    }
}
