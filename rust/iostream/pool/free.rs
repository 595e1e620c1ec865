// SPDX-License-Identifier: GPL-2.0

//! The free buffers of a session, in the order in which they became free.
//!
//! A list, so that nobody searches the buffers of a session for a free one, however many there are.

use kernel::{
    prelude::*,
    sync::{new_spinlock_irq, SpinLockIrq},
};

use crate::sync::atomic::{Atomic, Relaxed};

/// The ids, as a ring.
struct Ids {
    /// Has a place for each buffer of the session.
    ring: KVVec<u32>,
    /// The place of the buffer that has been free for the longest time.
    first: usize,
}

/// The free buffers of a session. The lock is innermost.
#[pin_data]
pub(super) struct Free {
    #[pin]
    ids: SpinLockIrq<Ids>,
    /// How many there are. Changed under the lock, and read without it.
    count: Atomic<u32>,
}

impl Free {
    /// Creates an empty list with room for `max_buffers`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new(max_buffers: u32) -> Result<impl PinInit<Self>> {
        let ring = KVVec::from_elem(0, max_buffers as usize, GFP_KERNEL_ACCOUNT)?;
        Ok(pin_init!(Self {
            ids <- new_spinlock_irq!(Ids { ring, first: 0 }, "iostream_free"),
            count: Atomic::new(0),
        }))
    }

    /// How many there are.
    #[inline(always)]
    pub(super) fn count(&self) -> u32 {
        self.count.load(Relaxed)
    }

    /// Adds a buffer that is not in the list, and marks it as free, by `free`, in the same moment.
    /// Any context.
    pub(super) fn push(&self, id: u32, free: impl FnOnce()) {
        let mut ids = self.ids.lock();
        free();
        let count = self.count();
        let size = ids.ring.len();
        // There is a place: no buffer is in the list twice.
        let place = (ids.first + count as usize).checked_rem(size).unwrap_or(0);
        if let Some(place) = ids.ring.get_mut(place) {
            *place = id;
            self.count.store(count + 1, Relaxed);
        }
    }

    /// Takes the buffer that has been free for the longest time. Any context.
    pub(super) fn pop(&self) -> Option<u32> {
        if self.count() == 0 {
            return None;
        }
        let mut ids = self.ids.lock();
        let count = self.count().checked_sub(1)?;
        let id = *ids.ring.get(ids.first)?;
        ids.first = (ids.first + 1) % ids.ring.len();
        self.count.store(count, Relaxed);
        Some(id)
    }
}
