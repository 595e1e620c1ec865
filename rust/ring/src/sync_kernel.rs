// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Atomics and copies in the kernel: the kernel's own memory model, and copies that may race with a
//! process.

use crate::sync::atomic::{smp_mb, smp_rmb, smp_wmb, Acquire, Atomic, Full, Relaxed, Release};

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

/// Up to so many bytes are copied four words at a time, which until there is as fast as the string
/// instruction that memcpy is made of, or faster (BENCHMARKS.md has the measurement).
const SHORT_BYTES: usize = 1024;

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
    let mut at = 0;
    while len.wrapping_sub(at) >= 32 {
        // SAFETY: In bounds and aligned.
        unsafe {
            let (from, to) = (src.add(at).cast::<u64>(), dst.add(at).cast::<u64>());
            let words = [
                load(from),
                load(from.add(1)),
                load(from.add(2)),
                load(from.add(3)),
            ];
            store(to, words[0]);
            store(to.add(1), words[1]);
            store(to.add(2), words[2]);
            store(to.add(3), words[3]);
        }
        at = at.wrapping_add(32);
    }
    while len.wrapping_sub(at) >= 8 {
        // SAFETY: As above.
        unsafe { store(dst.add(at).cast(), load(src.add(at).cast::<u64>())) };
        at = at.wrapping_add(8);
    }
    while at < len {
        // SAFETY: As above.
        unsafe { store(dst.add(at), load(src.add(at))) };
        at = at.wrapping_add(1);
    }
}

/// Nothing. Natively a program gains by it (BENCHMARKS.md); an emulated processor, the only one on which this kernel
/// side was measured, takes longer for the instruction than the stores after it would have waited.
#[inline(always)]
pub fn prefetch(_address: *const u8) {}

/// READ_ONCE(): how the kernel's memory model loads what others may write meanwhile.
///
/// # Safety
///
/// `from` is aligned and valid for reads.
#[inline(always)]
unsafe fn load<T>(from: *const T) -> T {
    // SAFETY: The caller's promise.
    unsafe { from.read_volatile() }
}

/// WRITE_ONCE(): how it stores what others may look at meanwhile.
///
/// # Safety
///
/// `to` is aligned and valid for writes.
#[inline(always)]
unsafe fn store<T>(to: *mut T, value: T) {
    // SAFETY: The caller's promise.
    unsafe { to.write_volatile(value) };
}
