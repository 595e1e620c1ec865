// SPDX-License-Identifier: GPL-2.0

//! The kernel's atomics, with loads, stores and barriers inlined.
//!
//! `kernel::sync::atomic` calls a C function for each operation, because Rust cannot expand C's
//! macros and the two compilers do not inline across each other. A publication contains about two
//! dozen operations, and with the mitigations of a stock kernel the calls and returns would cost
//! more than everything else in it. On x86-64 each operation is at most one instruction, written
//! here as in arch/x86/include/asm/barrier.h. Other architectures call the functions.

use core::ops::Deref;

use kernel::sync::atomic as k;
#[cfg(target_arch = "x86_64")]
use kernel::sync::atomic::ordering::{AcquireOrRelaxed, Ordering, OrderingType, ReleaseOrRelaxed};
#[cfg(not(target_arch = "x86_64"))]
use kernel::sync::barrier;

pub(crate) use kernel::sync::atomic::{Acquire, Full, Relaxed, Release};

/// An atomic variable. Operations that are not inlined here come from the kernel's own type, to
/// which it dereferences.
#[repr(transparent)]
pub(crate) struct Atomic<T: k::AtomicType>(k::Atomic<T>);

impl<T: k::AtomicType> Atomic<T> {
    /// Creates an atomic that holds `value`.
    pub(crate) const fn new(value: T) -> Self {
        Self(k::Atomic::new(value))
    }

    /// Views the memory at `ptr` as an atomic.
    ///
    /// # Safety
    ///
    /// `ptr` is aligned and valid for reads and writes for `'a`, and all accesses to it are atomic.
    #[inline(always)]
    pub(crate) unsafe fn from_ptr<'a>(ptr: *mut T) -> &'a Self {
        // SAFETY: `ptr` is aligned, and valid for `'a`, by this function's contract. `Self` and the
        // kernel's atomic are transparent wrappers of `T`.
        unsafe { &*ptr.cast() }
    }
}

macro_rules! inlined {
    ($type:ty $(, $name:ident)?) => {
        impl$(<$name>)? Atomic<$type> {
            /// Loads the value.
            #[inline(always)]
            #[cfg(target_arch = "x86_64")]
            pub(crate) fn load<O: AcquireOrRelaxed>(&self, _: O) -> $type {
                // READ_ONCE() or smp_load_acquire(). The processor does not move later accesses
                // before a load, so only the compiler has to be kept from doing so.
                // SAFETY: `self` is valid and aligned; the load is one instruction.
                let value = unsafe { self.0.as_ptr().read_volatile() };
                compiler_barrier_of::<O>();
                value
            }

            /// Stores `value`.
            #[inline(always)]
            #[cfg(target_arch = "x86_64")]
            pub(crate) fn store<O: ReleaseOrRelaxed>(&self, value: $type, _: O) {
                // WRITE_ONCE() or smp_store_release(). The processor does not move a store before
                // earlier accesses, so only the compiler has to be kept from doing so.
                compiler_barrier_of::<O>();
                // SAFETY: `self` is valid and aligned; the store is one instruction.
                unsafe { self.0.as_ptr().write_volatile(value) };
            }
        }
    };
}

inlined!(u32);
inlined!(u64);
inlined!(*mut T, T);

impl<T: k::AtomicType> Deref for Atomic<T> {
    type Target = k::Atomic<T>;

    #[inline(always)]
    fn deref(&self) -> &k::Atomic<T> {
        &self.0
    }
}

#[inline(always)]
#[cfg(target_arch = "x86_64")]
fn compiler_barrier_of<O: Ordering>() {
    if !matches!(O::TYPE, OrderingType::Relaxed) {
        compiler_barrier();
    }
}

/// barrier(): keeps the compiler from moving accesses across it.
#[inline(always)]
#[cfg(target_arch = "x86_64")]
fn compiler_barrier() {
    // SAFETY: The block is empty. Without `nomem` the compiler assumes that it accesses all memory.
    unsafe { core::arch::asm!("") };
}

/// Keeps all accesses before it before all accesses after it.
#[inline(always)]
pub(crate) fn smp_mb(_: Full) {
    // __smp_mb(): any locked instruction is a full barrier.
    // SAFETY: Adds 0 to a word below the stack pointer. That word is mapped, and unused because the
    // kernel is built without a red zone.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("lock addl $0, -4(%rsp)", options(att_syntax))
    };
    #[cfg(not(target_arch = "x86_64"))]
    barrier::smp_mb(barrier::Full);
}

/// Keeps stores before it before stores after it.
#[inline(always)]
pub(crate) fn smp_wmb() {
    // The processor keeps stores in order among each other.
    #[cfg(target_arch = "x86_64")]
    compiler_barrier();
    #[cfg(not(target_arch = "x86_64"))]
    barrier::smp_mb(barrier::Write);
}

/// Keeps loads before it before loads after it.
#[inline(always)]
pub(crate) fn smp_rmb() {
    // The processor keeps loads in order among each other.
    #[cfg(target_arch = "x86_64")]
    compiler_barrier();
    #[cfg(not(target_arch = "x86_64"))]
    barrier::smp_mb(barrier::Read);
}
