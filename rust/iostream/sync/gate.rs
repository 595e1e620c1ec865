// SPDX-License-Identifier: GPL-2.0

//! A mutex for the calls of a process, which may keep it for as long as they like: it is waited for
//! until a signal comes, or not at all.
//!
//! A call that copies to or from a process may fault, and the page that it waits for may never arrive
//! (userfaultfd, FUSE). Another call that waits for it must still end by SIGKILL, and one that must
//! not wait must not.

use core::{
    cell::UnsafeCell,
    ops::{Deref, DerefMut},
};

use kernel::{
    prelude::*,
    sync::atomic::{Atomic, Full},
};

use super::wait::WaitQueue;

const OPEN: u32 = 0;
const TAKEN: u32 = 1;

/// A value that one call at a time may use.
///
/// # Invariants
///
/// `value` is used by the one [`Pass`] that exists while the latch is taken.
#[pin_data]
pub(crate) struct Gate<T> {
    #[pin]
    latch: Latch,
    value: UnsafeCell<T>,
}

// SAFETY: The value is used by one thread at a time.
unsafe impl<T: Send> Sync for Gate<T> {}
// SAFETY: The value goes with the gate.
unsafe impl<T: Send> Send for Gate<T> {}

impl<T> Gate<T> {
    /// An open gate.
    pub(crate) fn new(value: T) -> impl PinInit<Self> {
        pin_init!(Self {
            latch <- Latch::new(),
            value: UnsafeCell::new(value),
        })
    }

    /// Enters if nobody is inside.
    pub(crate) fn try_enter(&self) -> Option<Pass<'_, T>> {
        // INVARIANT: Whoever takes the latch has the only pass. It is made only then: the drop of
        // another one would open the gate.
        self.latch.try_take().then(|| Pass(self))
    }

    /// Enters; waits if somebody is inside, unless `nonblocking`. Process context.
    ///
    /// # Errors
    ///
    /// `EAGAIN`: the call must not wait; `ERESTARTSYS`: a signal came.
    pub(crate) fn enter(&self, nonblocking: bool) -> Result<Pass<'_, T>> {
        self.latch.take(nonblocking)?;
        // INVARIANT: As in `try_enter`.
        Ok(Pass(self))
    }
}

/// What a gate is without its value, once for the gates of all types.
#[pin_data]
struct Latch {
    state: Atomic<u32>,
    #[pin]
    wait: WaitQueue,
}

impl Latch {
    fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            state: Atomic::new(OPEN),
            wait <- WaitQueue::new(kernel::static_lock_class!()),
        })
    }

    fn try_take(&self) -> bool {
        // ORDERING: pairs with the release of the gate in the drop of the last pass
        // (litmus: claim).
        self.state.cmpxchg(OPEN, TAKEN, Full).is_ok()
    }

    fn take(&self, nonblocking: bool) -> Result {
        if self.try_take() {
            return Ok(());
        }
        if nonblocking {
            return Err(EAGAIN);
        }
        // Nothing was done: the call may be restarted after the handler.
        let waited = self.wait.wait(true, None, || self.try_take());
        waited.map_err(|_| ERESTARTSYS)
    }

    fn release(&self) {
        // ORDERING: a full exchange, and then the lock of the wait queue: a call that went to sleep
        // before finds the gate open (litmus: sleep).
        self.state.xchg(OPEN, Full);
        self.wait.wake_all();
    }
}

/// The right to use the value of a [`Gate`], until dropped.
pub(crate) struct Pass<'a, T>(&'a Gate<T>);

impl<T> Deref for Pass<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: This is the only pass, by the gate's invariant.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for Pass<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: This is the only pass, by the gate's invariant, and borrowed exclusively.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for Pass<'_, T> {
    fn drop(&mut self) {
        self.0.latch.release();
    }
}
