// SPDX-License-Identifier: GPL-2.0

//! A mutex for the calls of a process: it is waited for until a signal comes, or not at all.
//!
//! Who is inside may stay for as long as others like: a call that copies to or from a process may
//! fault, and the page that it waits for may never arrive (userfaultfd, FUSE); a driver may take its
//! time to start. Another call that waits for it must still end by SIGKILL, and one that must not
//! wait must not.

use core::{
    cell::UnsafeCell,
    ops::{Deref, DerefMut},
};

use kernel::{
    prelude::*,
    sync::{
        atomic::{Atomic, Full},
        LockClassKey,
    },
};

use super::{
    validator::Validator,
    wait::{Deadline, WaitQueue},
};

const OPEN: u32 = 0;
const TAKEN: u32 = 1;

/// How a call waits while another is inside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Not at all.
    Never,
    /// Until any signal comes: the call of a process, which may be made again.
    UntilSignal,
    /// Until a fatal signal comes: a call of a module, in whatever process.
    UntilKilled,
}

/// A value that one call at a time may use. The kernel's lock validator takes it for a mutex.
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

/// Creates an open [`Gate`] with a lock class of its own.
macro_rules! new_gate {
    ($value:expr, $name:expr) => {
        $crate::sync::gate::Gate::new($value, $name, ::kernel::static_lock_class!())
    };
}
pub(crate) use new_gate;

impl<T> Gate<T> {
    /// An open gate.
    pub(crate) fn new(
        value: T,
        name: &'static CStr,
        class: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            latch <- Latch::new(name, class),
            value: UnsafeCell::new(value),
        })
    }

    /// Enters if nobody is inside.
    pub(crate) fn try_enter(&self) -> Option<Pass<'_, T>> {
        self.enter(Patience::Never).ok()
    }

    /// Enters; waits if somebody is inside, if `patience` says so. Process context.
    ///
    /// # Errors
    ///
    /// `EAGAIN`: the call must not wait. `ERESTARTSYS`, or `EINTR` if only a fatal signal counts: one
    /// came, or the calling kernel thread is told to stop.
    pub(crate) fn enter(&self, patience: Patience) -> Result<Pass<'_, T>> {
        self.latch.take(patience)?;
        // INVARIANT: Whoever takes the latch has the only pass. It is made only then: the drop of
        // another one would open the gate.
        Ok(Pass(self))
    }

    /// Enters, however long that takes. For a driver's calls and for the end of a session, which
    /// cannot be put off. Process context.
    pub(crate) fn enter_surely(&self) -> Pass<'_, T> {
        self.latch.take_surely();
        // INVARIANT: As in `enter`.
        Pass(self)
    }
}

/// What a gate is without its value, once for the gates of all types.
#[pin_data]
struct Latch {
    state: Atomic<u32>,
    #[pin]
    wait: WaitQueue,
    #[pin]
    validator: Validator,
}

impl Latch {
    fn new(name: &'static CStr, class: Pin<&'static LockClassKey>) -> impl PinInit<Self> {
        pin_init!(Self {
            state: Atomic::new(OPEN),
            wait <- WaitQueue::new(kernel::static_lock_class!()),
            validator <- Validator::new(name, class),
        })
    }

    fn try_take(&self) -> bool {
        // ORDERING: pairs with the release of the gate in the drop of the last pass
        // (litmus: claim).
        self.state.cmpxchg(OPEN, TAKEN, Full).is_ok()
    }

    #[inline(never)]
    fn take(&self, patience: Patience) -> Result {
        if patience == Patience::Never {
            if !self.try_take() {
                return Err(EAGAIN);
            }
            self.validator.taken_at_once();
            return Ok(());
        }
        self.validator.takes();
        if self.try_take() {
            return Ok(());
        }
        let interruptible = patience == Patience::UntilSignal;
        self.wait
            .wait(interruptible, Deadline::NEVER, || self.try_take())
            .map_err(|error| {
                self.validator.releases();
                // Nothing was done: a process's call may be restarted after the handler. Modules are
                // not to see that errno.
                if interruptible {
                    ERESTARTSYS
                } else {
                    error
                }
            })
    }

    fn take_surely(&self) {
        self.validator.takes();
        self.wait.wait_idle(Deadline::NEVER, || self.try_take());
    }

    #[inline(never)]
    fn release(&self) {
        self.validator.releases();
        // ORDERING: a full exchange, and then the lock of the wait queue: a call that went to sleep
        // before finds the gate open (litmus: sleep).
        self.state.xchg(OPEN, Full);
        super::race::race_point!("gate-opened");
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
