// SPDX-License-Identifier: GPL-2.0

//! The kernel's atomics, whose loads, stores and full barrier are inlined.
//!
//! `kernel::sync::atomic` reaches each of C's macros through a function, because it is compiled by
//! another compiler. A publication has two dozen of them, and with the mitigations of a stock
//! kernel the calls and returns cost more than all the rest. On x86-64 the macros stand for one
//! instruction each, which is written here as arch/x86/include/asm/barrier.h has it; elsewhere the
//! functions are called.

use core::ops::Deref;

use kernel::sync::atomic::{
    self as k,
    ordering::{AcquireOrRelaxed, Ordering, OrderingType, ReleaseOrRelaxed},
};
#[cfg(not(target_arch = "x86_64"))]
use kernel::sync::barrier;

pub(crate) use kernel::sync::atomic::{Acquire, Full, Relaxed, Release};

/// As `kernel::sync::atomic::Atomic`, to which it derefs for what is not inlined.
#[repr(transparent)]
pub(crate) struct Atomic<T: k::AtomicType>(k::Atomic<T>);

impl<T: k::AtomicType> Atomic<T> {
    /// An atomic of this value.
    pub(crate) const fn new(value: T) -> Self {
        Self(k::Atomic::new(value))
    }

    /// An atomic where `ptr` points.
    ///
    /// # Safety
    ///
    /// `ptr` is aligned and valid for reads and writes for `'a`, and all accesses to it are atomic.
    #[inline(always)]
    pub(crate) unsafe fn from_ptr<'a>(ptr: *mut T) -> &'a Self {
        // SAFETY: The caller's promise; the type is transparent, and so is the kernel's.
        unsafe { &*ptr.cast() }
    }
}

macro_rules! inlined {
    ($type:ty $(, $name:ident)?) => {
        impl$(<$name>)? Atomic<$type> {
            /// Loads.
            #[inline(always)]
            #[cfg(target_arch = "x86_64")]
            pub(crate) fn load<O: AcquireOrRelaxed>(&self, _: O) -> $type {
                // READ_ONCE(), and smp_load_acquire(): the processor keeps loads in order, so that
                // only the compiler must be told.
                // SAFETY: Valid, aligned, and loaded by one instruction.
                let value = unsafe { self.0.as_ptr().read_volatile() };
                compiler_barrier_of::<O>();
                value
            }

            /// Stores.
            #[inline(always)]
            #[cfg(target_arch = "x86_64")]
            pub(crate) fn store<O: ReleaseOrRelaxed>(&self, value: $type, _: O) {
                // WRITE_ONCE(), and smp_store_release(): the processor keeps a store after all
                // that was before it.
                compiler_barrier_of::<O>();
                // SAFETY: Valid, aligned, and stored by one instruction.
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

/// barrier(): the compiler moves no access across it.
#[inline(always)]
#[cfg(target_arch = "x86_64")]
fn compiler_barrier() {
    // SAFETY: An empty block. The compiler has to assume that it accesses all memory.
    unsafe { core::arch::asm!("") };
}

/// Keeps all accesses before it before all accesses after it.
#[inline(always)]
pub(crate) fn smp_mb(_: Full) {
    // __smp_mb(): any locked instruction is a full barrier.
    // SAFETY: Nothing is added to what lies below the stack, which is mapped; there is no red zone.
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
    // The processor keeps stores in order.
    #[cfg(target_arch = "x86_64")]
    compiler_barrier();
    #[cfg(not(target_arch = "x86_64"))]
    barrier::smp_mb(barrier::Write);
}

/// Keeps loads before it before loads after it.
#[inline(always)]
pub(crate) fn smp_rmb() {
    // The processor keeps loads in order.
    #[cfg(target_arch = "x86_64")]
    compiler_barrier();
    #[cfg(not(target_arch = "x86_64"))]
    barrier::smp_mb(barrier::Read);
}
