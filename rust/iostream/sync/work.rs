// SPDX-License-Identifier: GPL-2.0

//! The framework's own work queues: one calls drivers and clients, the other frees.
//!
//! A process decides how often something is freed, and a driver how long its callback takes. So the
//! two do not share workers, and few workers free, however many sessions end at a time.

use core::ptr::{self, NonNull};

use kernel::{
    bindings as c,
    prelude::*,
    sync::atomic::{Acquire, Atomic, Release},
    workqueue::Queue,
};

use crate::bindings;

static CALLING: Atomic<*mut c::workqueue_struct> = Atomic::new(ptr::null_mut());
static FREEING: Atomic<*mut c::workqueue_struct> = Atomic::new(ptr::null_mut());

/// How many workers free at a time.
const FREEING_WORKERS: c_int = 4;

/// Owns the work queues, and destroys them when dropped.
pub(crate) struct WorkQueues {
    calling: OwnedQueue,
    freeing: OwnedQueue,
}

impl WorkQueues {
    /// Allocates the work queues. Called once, when the module is loaded.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        let queues = Self {
            calling: OwnedQueue::new(c"iostream", 0)?,
            freeing: OwnedQueue::new(c"iostream_free", FREEING_WORKERS)?,
        };
        // ORDERING: the queues are initialised before they are found (litmus: publish-pointer).
        CALLING.store(queues.calling.0.as_ptr(), Release);
        FREEING.store(queues.freeing.0.as_ptr(), Release);
        Ok(queues)
    }
}

impl Drop for WorkQueues {
    fn drop(&mut self) {
        // The callbacks of grace periods queue work. No more are to come, because the module has no
        // users left. Then the fields are dropped: work that calls may queue work that frees.
        // SAFETY: This is process context.
        unsafe { c::rcu_barrier() };
    }
}

/// A work queue that is destroyed when dropped, after everything in it has run.
struct OwnedQueue(NonNull<c::workqueue_struct>);

// SAFETY: A work queue may be used and destroyed in any thread.
unsafe impl Send for OwnedQueue {}
// SAFETY: No method changes the field.
unsafe impl Sync for OwnedQueue {}

impl OwnedQueue {
    fn new(name: &CStr, workers: c_int) -> Result<Self> {
        // SAFETY: The name is copied.
        let queue = unsafe { bindings::iostream_alloc_workqueue(name.as_char_ptr(), workers) };
        NonNull::new(queue).map(Self).ok_or(ENOMEM)
    }
}

impl Drop for OwnedQueue {
    fn drop(&mut self) {
        // SAFETY: `new` allocated the work queue, and only this destroys it.
        unsafe { c::destroy_workqueue(self.0.as_ptr()) };
    }
}

/// The work queue for calls of drivers and clients. To be called only while [`WorkQueues`] lives.
pub(crate) fn calling() -> &'static Queue {
    // ORDERING: pairs with the store in `WorkQueues::new` (litmus: publish-pointer).
    // SAFETY: `WorkQueues` is created before any object that queues work, and is the last field of
    // the module to be dropped.
    unsafe { Queue::from_raw(CALLING.load(Acquire)) }
}

/// The work queue in which last references are dropped, in process context. To be called only while
/// [`WorkQueues`] lives.
pub(crate) fn freeing() -> &'static Queue {
    // ORDERING: pairs with the store in `WorkQueues::new` (litmus: publish-pointer).
    // SAFETY: `WorkQueues` is created before any object that queues work, and is the last field of
    // the module to be dropped.
    unsafe { Queue::from_raw(FREEING.load(Acquire)) }
}
