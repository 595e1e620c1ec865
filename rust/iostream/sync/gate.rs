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
/// `value` is used by the one [`Pass`] that exists while `state` is `TAKEN`.
#[pin_data]
pub(crate) struct Gate<T> {
    state: Atomic<u32>,
    #[pin]
    wait: WaitQueue,
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
            state: Atomic::new(OPEN),
            wait <- WaitQueue::new(kernel::static_lock_class!()),
            value: UnsafeCell::new(value),
        })
    }

    /// Enters if nobody is inside.
    pub(crate) fn try_enter(&self) -> Option<Pass<'_, T>> {
        // INVARIANT: Whoever changes the state has the only pass. It is made only then: the drop of
        // another one would open the gate.
        // ORDERING: pairs with the release of the gate in the drop of the last pass
        // (litmus: claim).
        let entered = self.state.cmpxchg(OPEN, TAKEN, Full).is_ok();
        entered.then(|| Pass(self))
    }

    /// Enters; waits if somebody is inside, unless `nonblocking`. Process context.
    ///
    /// # Errors
    ///
    /// `EAGAIN`: the call must not wait; `ERESTARTSYS`: a signal came.
    pub(crate) fn enter(&self, nonblocking: bool) -> Result<Pass<'_, T>> {
        if let Some(pass) = self.try_enter() {
            return Ok(pass);
        }
        if nonblocking {
            return Err(EAGAIN);
        }
        let mut pass = None;
        let waited = self.wait.wait(true, None, || {
            pass = self.try_enter();
            pass.is_some()
        });
        // Nothing was done: the call may be restarted after the handler.
        waited.map_err(|_| ERESTARTSYS)?;
        pass.ok_or(EAGAIN)
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
        // ORDERING: a full exchange, and then the lock of the wait queue: a call that went to sleep
        // before finds the gate open (litmus: sleep).
        self.0.state.xchg(OPEN, Full);
        self.0.wait.wake_all();
    }
}
