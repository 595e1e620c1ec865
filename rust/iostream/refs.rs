// SPDX-License-Identifier: GPL-2.0

//! References to ports, queues and pools whose last one may go in any context.

use core::ptr;

use kernel::sync::Arc;

use crate::{pool::Pool, port::Port, queue::Queue};

/// A reference to a port that may be dropped in any context.
pub(crate) struct PortRef(Option<Arc<Port>>);

impl PortRef {
    pub(crate) fn new(port: Arc<Port>) -> Self {
        Self(Some(port))
    }

    /// A reference for those who sleep.
    pub(crate) fn to_arc(&self) -> Arc<Port> {
        match &self.0 {
            Some(port) => port.clone(),
            // `None` only inside `drop`.
            None => unreachable!(),
        }
    }
}

impl Clone for PortRef {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl core::ops::Deref for PortRef {
    type Target = Port;

    #[inline(always)]
    fn deref(&self) -> &Port {
        match &self.0 {
            Some(port) => port,
            // `None` only inside `drop`.
            None => unreachable!(),
        }
    }
}

impl Drop for PortRef {
    fn drop(&mut self) {
        if let Some(port) = self.0.take() {
            Port::release(port);
        }
    }
}

/// A reference to a queue that may be dropped in any context.
pub(crate) struct QueueRef(Option<Arc<Queue>>);

impl QueueRef {
    /// A reference to a queue, to be kept after the section in which it was found.
    ///
    /// # Safety
    ///
    /// `queue` came from [`Port::with_queue`], which still runs.
    pub(crate) unsafe fn new(queue: &Queue) -> Self {
        // SAFETY: Queues live in an `Arc`, and one reference of the session's is kept until a grace
        // period after the queue was taken back; so the count is not zero here.
        let queue = unsafe {
            let queue = core::mem::ManuallyDrop::new(Arc::from_raw(ptr::from_ref(queue)));
            Arc::clone(&queue)
        };
        Self(Some(queue))
    }
}

impl core::ops::Deref for QueueRef {
    type Target = Queue;

    #[inline(always)]
    fn deref(&self) -> &Queue {
        match &self.0 {
            Some(queue) => queue,
            // `None` only inside `drop`.
            None => unreachable!(),
        }
    }
}

impl Drop for QueueRef {
    fn drop(&mut self) {
        if let Some(queue) = self.0.take() {
            Queue::release(queue);
        }
    }
}

/// A reference to a pool that may be dropped in any context.
pub(crate) struct PoolRef(Option<Arc<Pool>>);

impl PoolRef {
    /// A reference to a pool, to be kept after the section in which its queue was found.
    ///
    /// # Safety
    ///
    /// `pool` is of a queue that came from [`Port::with_queue`], which still runs.
    pub(crate) unsafe fn new(pool: &Pool) -> Self {
        // SAFETY: Pools live in an `Arc`, and the queue has a reference; so the count is not zero.
        let pool = unsafe {
            let pool = core::mem::ManuallyDrop::new(Arc::from_raw(ptr::from_ref(pool)));
            Arc::clone(&pool)
        };
        Self(Some(pool))
    }
}

impl From<Arc<Pool>> for PoolRef {
    fn from(pool: Arc<Pool>) -> Self {
        Self(Some(pool))
    }
}

impl core::ops::Deref for PoolRef {
    type Target = Pool;

    #[inline(always)]
    fn deref(&self) -> &Pool {
        match &self.0 {
            Some(pool) => pool,
            // `None` only inside `drop`.
            None => unreachable!(),
        }
    }
}

impl Drop for PoolRef {
    fn drop(&mut self) {
        if let Some(pool) = self.0.take() {
            Pool::release(pool);
        }
    }
}
