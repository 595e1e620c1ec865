// SPDX-License-Identifier: GPL-2.0

//! The spare buffers of a client whose part the kernel plays.
//!
//! The kernel plays this part in read(2) and write(2), and for a module that is a client. A client
//! that maps its buffers remembers by itself which ones it has; here the kernel does. A buffer is
//! spare if it is with the client, and neither queued nor in use by a call or a `ClientBuffer`.

use kernel::{
    prelude::*,
    sync::{new_spinlock_irq, SpinLockIrq},
};

use super::{spec::Mode, Pool};

/// Which buffers are spare.
struct SpareIds {
    /// Buffers that were put here. Has room for all buffers, so that putting one never allocates.
    ids: KVVec<u32>,
    /// In input mode: buffers from this one on have been with the client since the session began,
    /// and were not used yet.
    fresh: u32,
}

/// The spare buffers of a session. The lock is innermost.
#[pin_data]
pub(crate) struct Spare {
    #[pin]
    state: SpinLockIrq<SpareIds>,
}

impl Spare {
    /// Creates an empty list with room for `max_buffers`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(max_buffers: u32) -> Result<impl PinInit<Self>> {
        let ids = KVVec::with_capacity(max_buffers as usize, GFP_KERNEL_ACCOUNT)?;
        Ok(pin_init!(Self {
            state <- new_spinlock_irq!(SpareIds { ids, fresh: 0 }, "iostream_spare"),
        }))
    }

    /// Puts a buffer here that is with the client, and that no one uses any more. Any context.
    pub(crate) fn put(&self, id: u32) {
        // No buffer is here twice, so there is room.
        let _ = self.state.lock().ids.push_within_capacity(id);
    }

    /// Takes a buffer that was put here.
    pub(crate) fn take_put(&self) -> Option<u32> {
        self.state.lock().ids.pop()
    }

    /// Takes a spare buffer: one that was put here, or in input mode one that was not used yet.
    pub(crate) fn take(&self, pool: &Pool) -> Option<u32> {
        let mut state = self.state.lock();
        if let Some(id) = state.ids.pop() {
            return Some(id);
        }
        if pool.mode() != Mode::Input || state.fresh >= pool.count() {
            return None;
        }
        state.fresh += 1;
        Some(state.fresh - 1)
    }

    /// Whether [`Self::take`] would find a buffer.
    pub(crate) fn has_any(&self, pool: &Pool) -> bool {
        let state = self.state.lock();
        !state.ids.is_empty() || (pool.mode() == Mode::Input && state.fresh < pool.count())
    }
}
