// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Atomics and copies in user space. No other file of the ring names atomics.

use core::sync::atomic::{fence, AtomicU64, Ordering};

/// A 64-bit word of shared memory that one side writes and the other reads.
#[repr(transparent)]
#[derive(Debug, Default)]
pub struct Word(AtomicU64);

impl Word {
    /// A word outside shared memory, for rings inside one process.
    pub const fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    /// Loads without ordering.
    #[inline(always)]
    pub fn load_relaxed(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Loads; later accesses stay after it.
    ///
    /// The peer's words are mapped read-only. On such memory Rust defines relaxed loads alone
    /// (`std::sync::atomic`, "Atomic accesses to read-only memory"), so a fence does the ordering.
    #[inline(always)]
    pub fn load_acquire(&self) -> u64 {
        let value = self.load_relaxed();
        fence(Ordering::Acquire);
        value
    }

    /// Stores without ordering.
    #[inline(always)]
    pub fn store_relaxed(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Stores; earlier accesses stay before it.
    #[inline(always)]
    pub fn store_release(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }
}

/// Keeps all accesses before it before all accesses after it.
#[inline(always)]
pub fn full_barrier() {
    fence(Ordering::SeqCst);
}

/// Keeps stores before it before stores after it.
#[inline(always)]
pub fn write_barrier() {
    fence(Ordering::Release);
}

/// Keeps loads before it before loads after it.
#[inline(always)]
pub fn read_barrier() {
    fence(Ordering::Acquire);
}

/// Copies `len` bytes between private memory and shared memory.
///
/// # Safety
///
/// `src` is valid for reads and `dst` for writes of `len` bytes, and they do not overlap. The peer
/// does not write the shared bytes meanwhile. (In user space the peer is the kernel, which is
/// trusted.)
#[inline(always)]
pub unsafe fn copy(src: *const u8, dst: *mut u8, len: usize) {
    // SAFETY: The caller passes valid ranges that do not overlap, and nothing writes to `src`.
    unsafe { core::ptr::copy_nonoverlapping(src, dst, len) };
}

/// Asks for the cache line of `address`, which will soon be written. Any address is allowed: the
/// memory is not accessed.
#[inline(always)]
pub fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: PREFETCHW changes neither registers nor memory, and does not fault. Processors
    // without it treat it as a NOP (Intel's manual, volume 2, NOP: opcode 0F 0D).
    unsafe {
        core::arch::asm!(
            "prefetchw [{0}]",
            in(reg) address,
            options(nostack, preserves_flags, readonly)
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
