// SPDX-License-Identifier: GPL-2.0

//! Which address space has the process's page of words of a queue mapped.
//!
//! A process that has mapped the page may hold slices of the queue's entries. A reset by another
//! process would hand their memory to the kernel's producer, so it has to find out. The page is
//! mapped once in a session and not inherited, so there is one such address space at most.

use core::ptr;

use kernel::{bindings as c, mm::virt::VmaNew, prelude::*};

use crate::sync::atomic::{Atomic, Full, Relaxed};

/// The address space that has the page mapped.
///
/// # Invariants
///
/// `mm` is null, or has `mappings` mappings of the page. It is only compared, never dereferenced.
/// An address space unmaps everything before it is freed, so `mm` is not that of a later one.
pub(crate) struct Mapper {
    mm: Atomic<*mut c::mm_struct>,
    mappings: Atomic<u32>,
}

impl Mapper {
    /// Nobody has mapped the page.
    pub(crate) const fn new() -> Self {
        Self {
            mm: Atomic::new(ptr::null_mut()),
            mappings: Atomic::new(0),
        }
    }

    /// The page is being mapped, for the first time in this session.
    pub(super) fn begin(&self, vma: &VmaNew) {
        // INVARIANT: This is the only mapping.
        self.mappings.store(1, Relaxed);
        self.mm.store(vma.mm().as_raw(), Relaxed);
    }

    /// The mapping was copied inside its address space, as mremap(2) does before it removes the
    /// old one. The caller holds the lock of the address space for writing.
    pub(crate) fn copied(&self) {
        self.mappings.fetch_add(1, Relaxed);
    }

    /// A mapping was removed. The caller holds the lock of the address space for writing, or is its
    /// last user.
    pub(crate) fn removed(&self) {
        // No ordering: the lock of the address space orders the changes, and `is_another` relies on
        // the claim of the process's end.
        if self.mappings.fetch_sub(1, Full) == 1 {
            self.mm.xchg(ptr::null_mut(), Full);
        }
    }

    /// Whether another address space than the current task's has the page mapped. Reliable while
    /// the caller has claimed the process's end.
    pub(super) fn is_another(&self) -> bool {
        let mapper = self.mm.load(Relaxed);
        let own = current!().mm().map_or(ptr::null_mut(), |mm| mm.as_raw());
        !mapper.is_null() && mapper != own
    }
}
