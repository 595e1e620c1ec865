// SPDX-License-Identifier: GPL-2.0

//! Calling a driver: only while it is there, and only while it wants to be called.
//!
//! Callbacks run in an SRCU section, so that a registration can wait until none runs.

use core::ptr;

use kernel::{
    prelude::*,
    sync::{
        atomic::{Acquire, Atomic, Full, Relaxed, Release},
        barrier::smp_mb,
        srcu, Srcu,
    },
};

use crate::{driver::Driver, queue::config::Direction};

/// Callbacks run, wait until they are enabled again, or never run again.
const ENABLED: u32 = 0;
const DISABLED: u32 = 1;
const CANCELLED: u32 = 2;

/// The driver of a port, as callbacks find it. Lives as long as its registration.
pub(crate) struct Slot(pub(crate) *const dyn Driver);

/// How a port calls its driver.
#[pin_data]
pub(crate) struct Callbacks {
    /// The driver, or null. Read under `srcu`.
    slot: Atomic<*mut Slot>,
    #[pin]
    srcu: Srcu,
    state: Atomic<u32>,
    /// Notifications that no callback has taken yet.
    pending: [Atomic<u32>; 2],
}

// SAFETY: The pointer is read and replaced by the rules of SRCU.
unsafe impl Send for Callbacks {}
// SAFETY: As above.
unsafe impl Sync for Callbacks {}

impl Callbacks {
    /// No driver yet; enabled.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            slot: Atomic::new(ptr::null_mut()),
            srcu <- srcu::new_srcu!("iostream_callbacks"),
            state: Atomic::new(ENABLED),
            pending: [const { Atomic::new(0) }; 2],
        })
    }

    /// Gives the port its driver.
    ///
    /// # Safety
    ///
    /// `slot` and what it points at live until [`Self::revoke`] has returned.
    pub(crate) unsafe fn set_driver(&self, slot: &Slot) {
        self.slot.store(ptr::from_ref(slot).cast_mut(), Release);
    }

    /// Takes the driver away for good: no callback runs when this returns.
    pub(crate) fn revoke(&self) {
        // ORDERING: the grace period pairs with the section in `call` (litmus: callbacks-revoke).
        self.slot.store(ptr::null_mut(), Release);
        self.srcu.synchronize();
    }

    /// Runs `f` with the driver, unless it is gone.
    pub(crate) fn call<R>(&self, f: impl FnOnce(&dyn Driver) -> R) -> Option<R> {
        let _srcu = self.srcu.read_lock();
        // ORDERING: pairs with the release store in `set_driver`
        // (litmus: publish-pointer, callbacks-revoke).
        let slot = self.slot.load(Acquire);
        if slot.is_null() {
            return None;
        }
        // SAFETY: `revoke` clears the pointer and waits for this section before slot and driver go.
        Some(f(unsafe { &*(*slot).0 }))
    }

    /// Notes a notification, for the next [`Self::run_pending`]. Issues a full barrier.
    pub(crate) fn set_pending(&self, direction: Direction) {
        self.pending[direction as usize].store(1, Relaxed);
        // ORDERING: pairs with the full barrier in `enable`: one of the two sees the other, and
        // takes what is pending (litmus: callbacks-enable).
        smp_mb(Full);
    }

    /// Calls `f` with the driver if a notification is pending, callbacks are enabled, and the caller
    /// says that this one may run.
    pub(crate) fn run_pending(
        &self,
        direction: Direction,
        may_run: impl Fn() -> bool,
        f: impl FnOnce(&dyn Driver),
    ) {
        let allowed = || self.are_enabled() && may_run();
        if !allowed() {
            return;
        }
        let _ = self.call(|driver| {
            // ORDERING: inside the SRCU section, so that `disable`, or a fence, waits for who saw that
            // callbacks may run (litmus: callbacks-disable).
            if allowed() && self.pending[direction as usize].xchg(0, Full) != 0 {
                f(driver);
            }
        });
    }

    /// Whether callbacks may run. To be relied on inside [`Self::call`] alone.
    pub(crate) fn are_enabled(&self) -> bool {
        self.state.load(Relaxed) == ENABLED
    }

    /// No callback runs when this returns, nor starts until [`Self::enable`].
    pub(crate) fn disable(&self) {
        let _ = self.state.cmpxchg(ENABLED, DISABLED, Full);
        self.synchronize();
    }

    /// Callbacks may run again; the caller runs those that are pending.
    pub(crate) fn enable(&self) {
        let _ = self.state.cmpxchg(DISABLED, ENABLED, Full);
        // ORDERING: pairs with the full barrier in `set_pending` (litmus: callbacks-enable).
        smp_mb(Full);
    }

    /// No callback runs when this returns, nor ever again.
    pub(crate) fn cancel(&self) {
        self.state.xchg(CANCELLED, Full);
        self.synchronize();
    }

    /// Waits until callbacks that run have ended.
    pub(crate) fn synchronize(&self) {
        self.srcu.synchronize();
    }
}
