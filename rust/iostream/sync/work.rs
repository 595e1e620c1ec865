// SPDX-License-Identifier: GPL-2.0

//! The framework's own work queue, on which last references are dropped in process context.

use core::ptr;

use kernel::{
    bindings as c,
    prelude::*,
    sync::atomic::{Acquire, Atomic, Release},
    workqueue::Queue,
};

use crate::bindings;

static QUEUE: Atomic<*mut c::workqueue_struct> = Atomic::new(ptr::null_mut());

/// The work queue, for as long as this lives.
pub(crate) struct WorkQueue(());

impl WorkQueue {
    /// Makes the work queue, once, when the module is loaded.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: No preconditions.
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
        // Waits for all work; nothing queues more, since the module has no users left.
        // SAFETY: Made by `new`, destroyed once.
        unsafe { c::destroy_workqueue(queue) };
    }
}

/// The work queue.
pub(crate) fn queue() -> &'static Queue {
    // SAFETY: Objects that queue work exist only while the module is loaded, and with it the work
    // queue; it is destroyed last.
    unsafe { Queue::from_raw(QUEUE.load(Acquire)) }
}
