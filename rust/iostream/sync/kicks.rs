// SPDX-License-Identifier: GPL-2.0

//! Where the kernel's ends sleep: for room, for entries, for a client.

use kernel::{
    prelude::*,
    sync::atomic::{Acquire, Atomic, Full},
};

use super::wait::WaitQueue;
use crate::error::Error;

/// A wait queue whose wake-ups are counted, so that none is missed between a look and a sleep.
#[pin_data]
pub(crate) struct Kicks {
    #[pin]
    wait: WaitQueue,
    /// Raised each time they are woken.
    count: Atomic<u32>,
}

impl Kicks {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            wait <- WaitQueue::new(kernel::static_lock_class!()),
            count: Atomic::new(0),
        })
    }

    /// Wakes all.
    pub(crate) fn kick(&self) {
        self.count.fetch_add(1, Full);
        self.wait.wake_all(0);
    }

    /// How often they were woken. Read it, look at the rings, then wait for it to change.
    pub(crate) fn count(&self) -> u32 {
        // ORDERING: pairs with the full read-modify-write in `kick` (litmus: kick).
        self.count.load(Acquire)
    }

    /// Sleeps until the number of kicks is not `seen` any more; until any signal if
    /// `interruptible`, else a fatal one; and at most `timeout_ns`.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`]; [`Error::TimedOut`].
    pub(crate) fn wait(
        &self,
        seen: u32,
        timeout_ns: Option<u64>,
        interruptible: bool,
    ) -> Result<(), Error> {
        let kicked = || self.count() != seen;
        match self.wait.wait(interruptible, timeout_ns, kicked) {
            Ok(()) => Ok(()),
            Err(error) if error == ETIMEDOUT => Err(Error::TimedOut),
            Err(_) => Err(Error::Interrupted),
        }
    }
}
