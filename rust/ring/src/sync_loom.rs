// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Atomics under loom, which tries all stale values, and all interleavings with at most as many
//! preemptions as the model allows.
//!
//! A model proves little unless it can fail. So each ordering of the ring can be taken away: those
//! of a word with [`Word::weak`], the barriers of a thread with [`leave_out`].

extern crate std;

use core::cell::Cell;
use loom::sync::atomic::{fence, AtomicU64, Ordering};

/// A 64-bit word of shared memory that one side writes and the other reads.
#[derive(Debug)]
pub struct Word {
    value: AtomicU64,
    acquires: bool,
    release: Ordering,
}

/// The ordering that a word lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weak {
    /// Stores do not release.
    Release,
    /// Loads do not acquire.
    Acquire,
}

impl Word {
    /// A word in the memory of the model.
    pub fn new(value: u64) -> Self {
        Self {
            value: AtomicU64::new(value),
            acquires: true,
            release: Ordering::Release,
        }
    }

    /// A word that lacks one ordering.
    pub fn weak(value: u64, weak: Weak) -> Self {
        let mut word = Self::new(value);
        match weak {
            Weak::Release => word.release = Ordering::Relaxed,
            Weak::Acquire => word.acquires = false,
        }
        word
    }

    /// Loads without ordering.
    pub fn load_relaxed(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }

    /// Loads; later accesses stay after it. The fence does the ordering, as in user space.
    pub fn load_acquire(&self) -> u64 {
        let value = self.load_relaxed();
        if self.acquires {
            fence(Ordering::Acquire);
        }
        value
    }

    /// Stores without ordering.
    pub fn store_relaxed(&self, value: u64) {
        self.value.store(value, Ordering::Relaxed);
    }

    /// Stores; earlier accesses stay before it.
    pub fn store_release(&self, value: u64) {
        self.value.store(value, self.release);
    }
}

/// A barrier of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barrier {
    /// [`full_barrier`].
    Full,
    /// [`write_barrier`].
    Write,
    /// [`read_barrier`].
    Read,
}

loom::thread_local! {
    static LEFT_OUT: Cell<Option<Barrier>> = Cell::new(None);
}

/// Makes this thread of the model leave out such barriers from here on.
pub fn leave_out(barrier: Barrier) {
    LEFT_OUT.with(|left_out| left_out.set(Some(barrier)));
}

fn issue(barrier: Barrier, ordering: Ordering) {
    if LEFT_OUT.with(Cell::get) != Some(barrier) {
        fence(ordering);
    }
}

/// Keeps all accesses before it before all accesses after it.
pub fn full_barrier() {
    issue(Barrier::Full, Ordering::SeqCst);
}

/// Keeps stores before it before stores after it.
pub fn write_barrier() {
    issue(Barrier::Write, Ordering::Release);
}

/// Keeps loads before it before loads after it.
pub fn read_barrier() {
    issue(Barrier::Read, Ordering::Acquire);
}

/// Copies `len` bytes. Rings under loom keep their data elsewhere (see `Memory`).
///
/// # Safety
///
/// The contract of [`core::ptr::copy_nonoverlapping`].
pub unsafe fn copy(src: *const u8, dst: *mut u8, len: usize) {
    // SAFETY: The caller upholds the contract of `copy_nonoverlapping`.
    unsafe { core::ptr::copy_nonoverlapping(src, dst, len) };
}
