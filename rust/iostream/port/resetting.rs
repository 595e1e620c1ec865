// SPDX-License-Identifier: GPL-2.0

//! How a queue is taken back for a moment, to be reset or discarded.

use core::ptr;

use kernel::{prelude::*, sync::rcu};

use super::{publish, Port};
use crate::{
    channel::Channel,
    queue::{config::Direction, Queue},
    sync::{
        atomic::{Relaxed, Release},
        race::race_point,
    },
};

impl Port {
    /// Empties one queue of the session: sets its positions to zero and raises its generation. The
    /// kernel's end is quiesced meanwhile. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the registration is gone.
    ///
    /// # Locking
    ///
    /// The caller holds the lock that keeps read(2) and write(2) away from the client's end.
    pub(crate) fn reset(&self, queue: &Queue) -> Result {
        self.with_ends_quiesced(&[queue.direction()], |_| {
            // SAFETY: The queue was taken back, and a grace period has passed: nothing uses the
            // kernel's end.
            unsafe { queue.reset() };
            if queue.direction() == Direction::Input {
                self.restart_input_watermark(queue);
            }
        })
    }

    /// Wakes everything that may wait at a queue that was reset: it has room, and nobody is armed in
    /// it. Process context, outside the session's gates.
    pub(crate) fn wake_after_reset(&self, queue: &Queue) {
        queue.wake_user();
        if queue.direction() == Direction::Output {
            // The process finds nothing to take in an empty queue, and would not notify.
            self.deliver(Direction::Output);
        }
    }

    /// Runs `f` while nothing uses the kernel's ends of these directions: their queues are taken
    /// back meanwhile. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the registration is gone.
    pub(crate) fn with_ends_quiesced<R>(
        &self,
        directions: &[Direction],
        f: impl FnOnce(&Channel) -> R,
    ) -> Result<R> {
        // The lock keeps out `close`, `revoke` and another call of this function.
        let state = self.state.lock();
        if state.gone {
            return Err(ENODEV);
        }
        // No ordering: who finds a queue taken back below finds this as well.
        self.resetting.store(1, Relaxed);
        for direction in directions {
            // ORDERING: the grace period pairs with the section in `with_lane` (litmus: retire).
            self.published[*direction as usize].store(ptr::null_mut(), Release);
        }
        rcu::synchronize_rcu();
        race_point!("ends-quiesced");
        let result = f(&state.queues);
        for direction in directions {
            publish(
                &self.published[*direction as usize],
                state.queues.get(*direction),
            );
        }
        self.kicks.kick();
        // ORDERING: pairs with the acquire load in `may_be_back` (litmus: gone-port).
        self.resetting.store(0, Release);
        Ok(result)
    }
}
