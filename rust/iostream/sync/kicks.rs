// SPDX-License-Identifier: GPL-2.0

//! Where the kernel's ends sleep: for room, for entries, for a client.

use kernel::{
    prelude::*,
    sync::atomic::{Acquire, Atomic, Full},
};

use super::wait::{Deadline, WaitQueue};
use crate::{bindings, error::Error};

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
        self.wait.wake_all();
    }

    /// How often they were woken. Read it, look at the rings, then wait for it to change.
    pub(crate) fn count(&self) -> u32 {
        // ORDERING: pairs with the full read-modify-write in `kick` (litmus: kick).
        self.count.load(Acquire)
    }

    /// Sleeps until the number of kicks is not `seen` any more; until any signal if
    /// `interruptible`, else a fatal one; until the kernel thread that waits is told to stop; and at
    /// most until `deadline`.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`]; [`Error::TimedOut`].
    pub(crate) fn wait(
        &self,
        seen: u32,
        deadline: Deadline,
        interruptible: bool,
    ) -> Result<(), Error> {
        // SAFETY: No preconditions.
        let told_to_stop = || unsafe { bindings::iostream_should_stop() };
        let kicked = || self.count() != seen || told_to_stop();
        match self.wait.wait(interruptible, deadline.left_ns(), kicked) {
            Ok(()) if told_to_stop() => Err(Error::Interrupted),
            Ok(()) => Ok(()),
            Err(error) if error == ETIMEDOUT => Err(Error::TimedOut),
            Err(_) => Err(Error::Interrupted),
        }
    }
}
