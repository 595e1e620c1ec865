// SPDX-License-Identifier: GPL-2.0

//! The framework's own work queue, where last references are dropped in process context.

use core::ptr;

use kernel::{
    bindings as c,
    prelude::*,
    sync::atomic::{Acquire, Atomic, Release},
    workqueue::Queue,
};

use crate::bindings;

static QUEUE: Atomic<*mut c::workqueue_struct> = Atomic::new(ptr::null_mut());

/// Owns the work queue, and destroys it when dropped.
pub(crate) struct WorkQueue(());

impl WorkQueue {
    /// Allocates the work queue. Called once, when the module is loaded.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: The function has no preconditions.
        let queue = unsafe { bindings::iostream_alloc_workqueue() };
        if queue.is_null() {
            return Err(ENOMEM);
        }
        QUEUE.store(queue, Release);
        Ok(Self(()))
    }
}

impl Drop for WorkQueue {
    fn drop(&mut self) {
        let queue = QUEUE.load(Acquire);
        // Waits for all work. No more is queued, because the module has no users left.
        // SAFETY: `new` allocated the work queue, and only this destroys it.
        unsafe { c::destroy_workqueue(queue) };
    }
}

/// The work queue. To be called only while [`WorkQueue`] lives.
pub(crate) fn queue() -> &'static Queue {
    // SAFETY: `WorkQueue` is created before any object that queues work, and is the last field of
    // the module to be dropped.
    unsafe { Queue::from_raw(QUEUE.load(Acquire)) }
}
