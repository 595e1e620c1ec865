// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Atomics under loom, which tries every interleaving and every stale value.

use loom::sync::atomic::{fence, AtomicU64, Ordering};

/// A 64-bit word of shared memory that one side writes and the other reads.
#[derive(Debug)]
pub struct Word(AtomicU64);

impl Word {
    /// A word in the memory of the model.
    pub fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    /// Loads without ordering.
    pub fn load_relaxed(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Loads; later accesses stay after it.
    pub fn load_acquire(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Stores without ordering.
    pub fn store_relaxed(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Stores; earlier accesses stay before it.
    pub fn store_release(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }
}

/// Keeps all accesses before it before all accesses after it.
pub fn full_barrier() {
    fence(Ordering::SeqCst);
}

/// Keeps stores before it before stores after it.
pub fn write_barrier() {
    fence(Ordering::Release);
}

/// Keeps loads before it before loads after it.
pub fn read_barrier() {
    fence(Ordering::Acquire);
}

/// Copies `len` bytes. Rings under loom hold their data elsewhere (see `Memory`).
///
/// # Safety
///
/// As for [`core::ptr::copy_nonoverlapping`].
pub unsafe fn copy(src: *const u8, dst: *mut u8, len: usize) {
    // SAFETY: The caller's promise.
    unsafe { core::ptr::copy_nonoverlapping(src, dst, len) };
}
