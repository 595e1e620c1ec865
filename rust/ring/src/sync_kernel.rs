// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! The kernel's atomics and copies. They follow the kernel's memory model, and a copy may race with
//! a process.

use crate::sync::atomic::{smp_mb, smp_rmb, smp_wmb, Acquire, Atomic, Full, Relaxed, Release};

/// A 64-bit word of shared memory that one side writes and the other reads.
#[repr(transparent)]
pub struct Word(Atomic<u64>);

impl Word {
    /// Creates a word outside shared memory.
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

/// Up to this many bytes are copied four words at a time. That is as fast as the string instruction
/// that memcpy uses, or faster (BENCHMARKS.md has the measurement).
const SHORT_BYTES: usize = 1024;

/// Copies `len` bytes between private memory and shared memory.
///
/// # Safety
///
/// `src` is valid for reads and `dst` for writes of `len` bytes, and they do not overlap. A process
/// may write the shared bytes meanwhile; the copy is then any mixture of old and new bytes.
#[inline(always)]
pub unsafe fn copy(src: *const u8, dst: *mut u8, len: usize) {
    if len <= SHORT_BYTES && (src.addr() | dst.addr()) % 8 == 0 {
        // SAFETY: The caller passes valid ranges that do not overlap; both are aligned.
        unsafe { copy_words(src, dst, len) };
        return;
    }
    // SAFETY: The caller passes valid ranges that do not overlap. The copy is made in C, where the
    // kernel's memory model says that a race with a process yields some bytes and nothing worse.
    unsafe { crate::bindings::iostream_copy(dst.cast(), src.cast(), len) };
}

/// Copies by words. Each word, and each byte of the rest, is loaded and stored once.
///
/// # Safety
///
/// The requirements of [`copy`] hold, and both addresses are multiples of 8.
#[inline(always)]
unsafe fn copy_words(src: *const u8, dst: *mut u8, len: usize) {
    let mut at = 0;
    while len.wrapping_sub(at) >= 32 {
        // SAFETY: At least 32 bytes are left from `at`, a multiple of 8, so all accesses are in
        // bounds and aligned.
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
        // SAFETY: At least 8 bytes are left from `at`, a multiple of 8.
        unsafe { store(dst.add(at).cast(), load(src.add(at).cast::<u64>())) };
        at = at.wrapping_add(8);
    }
    while at < len {
        // SAFETY: `at` is less than `len`, so both bytes are in bounds.
        unsafe { store(dst.add(at), load(src.add(at))) };
        at = at.wrapping_add(1);
    }
}

/// Does nothing: a prefetch has not paid off on the kernel side (BENCHMARKS.md has the
/// measurement).
#[inline(always)]
pub fn prefetch(_address: *const u8) {}

/// READ_ONCE(): loads a value that others may write meanwhile.
///
/// # Safety
///
/// `from` is aligned and valid for reads.
#[inline(always)]
unsafe fn load<T>(from: *const T) -> T {
    // SAFETY: The caller passes an aligned address that is valid for reads.
    unsafe { from.read_volatile() }
}

/// WRITE_ONCE(): stores a value that others may read meanwhile.
///
/// # Safety
///
/// `to` is aligned and valid for writes.
#[inline(always)]
unsafe fn store<T>(to: *mut T, value: T) {
    // SAFETY: The caller passes an aligned address that is valid for writes.
    unsafe { to.write_volatile(value) };
}
