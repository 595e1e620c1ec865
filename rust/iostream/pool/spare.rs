// SPDX-License-Identifier: GPL-2.0

//! Buffers that a client has whose part the kernel plays, in read(2) and write(2), or for a module:
//! those that are neither in a queue nor in anybody's hands.

use kernel::{
    prelude::*,
    sync::{new_spinlock_irq, SpinLockIrq},
};

use super::{spec::Mode, Pool};

struct State {
    /// Room for as many as there can be, so that putting one back never allocates.
    ids: KVVec<u32>,
    /// Input: buffers from this one on are the client's from the start, and were never sent.
    fresh: u32,
}

/// See the module. The lock is innermost.
#[pin_data]
pub(crate) struct Spare {
    #[pin]
    state: SpinLockIrq<State>,
}

impl Spare {
    /// Room for `max_buffers`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(max_buffers: u32) -> Result<impl PinInit<Self>> {
        let ids = KVVec::with_capacity(max_buffers as usize, GFP_KERNEL)?;
        Ok(pin_init!(Self {
            state <- new_spinlock_irq!(State { ids, fresh: 0 }, "iostream_spare"),
        }))
    }

    /// A buffer is the client's, and nobody works on it. Any context.
    pub(crate) fn put(&self, id: u32) {
        // No buffer is put twice, so there is room.
        let _ = self.state.lock().ids.push_within_capacity(id);
    }

    /// Takes one that was put.
    pub(crate) fn take_put(&self) -> Option<u32> {
        self.state.lock().ids.pop()
    }

    /// Takes one: in input mode also of those that the client has from the start.
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

    /// Whether there is one to take.
    pub(crate) fn has_any(&self, pool: &Pool) -> bool {
        let state = self.state.lock();
        !state.ids.is_empty() || (pool.mode() == Mode::Input && state.fresh < pool.count())
    }
}
