// SPDX-License-Identifier: GPL-2.0

//! Where the kernel's ends sleep: until there is room, an entry or a client.

use kernel::{
    prelude::*,
    sync::atomic::{Acquire, Atomic, Full, Relaxed},
};

use super::{
    thread::should_stop,
    wait::{Deadline, WaitQueue},
};
use crate::error::Error;

/// A wait queue that counts its wake-ups, so that a wake-up between a look and a sleep is not lost.
#[pin_data]
pub(crate) struct Kicks {
    #[pin]
    wait: WaitQueue,
    /// Raised by each kick.
    count: Atomic<u32>,
    /// Set while nobody is to sleep here.
    cancelled: Atomic<u32>,
}

impl Kicks {
    /// Creates a wait queue without sleepers.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            wait <- WaitQueue::new(kernel::static_lock_class!()),
            count: Atomic::new(0),
            cancelled: Atomic::new(0),
        })
    }

    /// Wakes all sleepers. Any context.
    pub(crate) fn kick(&self) {
        // ORDERING: what there is to find comes before the number; pairs with the acquire load in
        // `count` (litmus: kick).
        self.count.fetch_add(1, Full);
        super::race::race_point!("kicked");
        self.wait.wake_all();
    }

    /// Ends all sleeps, those that begin later as well, until they are allowed again. Any context.
    pub(crate) fn cancel(&self) {
        // No ordering: the kick has a full barrier.
        self.cancelled.store(1, Relaxed);
        self.kick();
    }

    /// Allows sleeps after [`Self::cancel`].
    pub(crate) fn allow(&self) {
        self.cancelled.store(0, Relaxed);
    }

    /// The number of kicks so far. Read it, look at the rings, then [`wait`](Self::wait) for it to
    /// change.
    pub(crate) fn count(&self) -> u32 {
        // ORDERING: pairs with the full read-modify-write in `kick` (litmus: kick).
        self.count.load(Acquire)
    }

    /// Sleeps until the number of kicks differs from `seen`, the deadline passes, a signal comes (any
    /// if `interruptible`, else a fatal one), or the calling kernel thread is told to stop. Does not
    /// sleep while sleeps are cancelled.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`]: a signal came, of any kind if `interruptible`, otherwise a fatal
    /// one, or the calling kernel thread is told to stop, or sleeps are cancelled;
    /// [`Error::TimedOut`].
    pub(crate) fn wait(
        &self,
        seen: u32,
        deadline: Deadline,
        interruptible: bool,
    ) -> Result<(), Error> {
        // A cancel is found here or kicks the sleep: the caller has looked at the rings since the
        // kick that it has seen.
        let kicked = || self.count() != seen;
        if self.cancelled.load(Relaxed) != 0 {
            return Err(Error::Interrupted);
        }
        if deadline.is_over() {
            // The caller has looked since. A sleep takes a moment at least, in which someone may kick
            // for no reason again, and again.
            return Err(if should_stop() {
                Error::Interrupted
            } else {
                Error::TimedOut
            });
        }
        match self.wait.wait(interruptible, deadline, kicked) {
            Ok(()) => Ok(()),
            Err(error) if error == ETIMEDOUT => Err(Error::TimedOut),
            Err(_) => Err(Error::Interrupted),
        }
    }
}
