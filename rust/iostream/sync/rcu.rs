// SPDX-License-Identifier: GPL-2.0

//! RCU read-side sections as short as the kernel's own.
//!
//! The kernel crate enters and leaves a section by a C function that calls another one. On an entry's
//! path to the process that is a good part of the whole, so the second one is called directly where it
//! is all that `rcu_read_lock()` is: in a kernel with preemptible RCU and without the lock validator.

use core::marker::PhantomData;

use kernel::bindings as c;

/// An RCU read-side section, until dropped. In it the code must not sleep.
pub(crate) struct ReadSection(PhantomData<*mut ()>);

impl ReadSection {
    /// Enters a section. Any context but an NMI.
    #[inline(always)]
    pub(crate) fn enter() -> Self {
        // SAFETY: The functions have no preconditions. The drop leaves the section, in this thread,
        // since the type is not `Send`.
        unsafe {
            #[cfg(all(CONFIG_PREEMPT_RCU, not(CONFIG_DEBUG_LOCK_ALLOC)))]
            c::__rcu_read_lock();
            #[cfg(not(all(CONFIG_PREEMPT_RCU, not(CONFIG_DEBUG_LOCK_ALLOC))))]
            c::rcu_read_lock();
        }
        Self(PhantomData)
    }
}

impl Drop for ReadSection {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: `enter` has entered the section, by the same function.
        unsafe {
            #[cfg(all(CONFIG_PREEMPT_RCU, not(CONFIG_DEBUG_LOCK_ALLOC)))]
            c::__rcu_read_unlock();
            #[cfg(not(all(CONFIG_PREEMPT_RCU, not(CONFIG_DEBUG_LOCK_ALLOC))))]
            c::rcu_read_unlock();
        }
    }
}
