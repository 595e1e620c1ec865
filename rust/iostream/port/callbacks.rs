// SPDX-License-Identifier: GPL-2.0

//! How a port calls its driver: only while the driver is there, and only while it wants to be
//! called.
//!
//! Callbacks run in an SRCU section, so that a registration can wait until none runs. The port of a
//! session of `/dev/iostream` needs none of this ([`Callers::Session`]), and has no SRCU domain: its
//! memory, some for each processor, would be charged to nobody.

use core::ptr;

use kernel::{
    prelude::*,
    sync::{
        atomic::{Acquire, Atomic, Full, Relaxed, Release},
        barrier::smp_mb,
        LockClassKey, Srcu,
    },
};

use crate::sync::race::race_point;
use crate::{driver::Driver, queue::config::Direction};

/// Callbacks run.
const ENABLED: u32 = 0;
/// Callbacks stay pending until they are enabled again.
const DISABLED: u32 = 1;
/// Callbacks never run again.
const CANCELLED: u32 = 2;

/// Where a port finds its driver. An atomic cannot hold the wide pointer itself, so the port has a
/// thin pointer to this.
pub(crate) struct DriverSlot(pub(crate) *const dyn Driver);

/// Where calls of a port's driver come from.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Callers {
    /// Calls of its sessions, and workers.
    #[default]
    Any,
    /// Calls of its one session only. The driver goes in the release of the session's file, when
    /// none of them runs any more.
    Session,
}

/// How a port calls its driver.
pub(crate) struct Callbacks {
    /// The driver, or null. Read under `srcu`.
    slot: Atomic<*mut DriverSlot>,
    /// Delays `revoke` and its like while callbacks run; `None` for [`Callers::Session`].
    srcu: Option<Pin<KBox<Srcu>>>,
    /// `ENABLED`, `DISABLED` or `CANCELLED`.
    state: Atomic<u32>,
    /// Set for a direction while it has a notification that no callback has taken.
    pending: [Atomic<u32>; 2],
}

// SAFETY: Only the raw pointer in `slot` keeps the type from being `Send`. It is read under
// `srcu`, and the driver that it leads to is `Send` and `Sync`.
unsafe impl Send for Callbacks {}
// SAFETY: Only the raw pointer in `slot` keeps the type from being `Sync`. It is read under
// `srcu`, and the driver that it leads to is `Send` and `Sync`.
unsafe impl Sync for Callbacks {}

impl Callbacks {
    /// Creates callbacks that are enabled, without a driver, in a section of the class `key`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(callers: Callers, key: Pin<&'static LockClassKey>) -> Result<Self> {
        let srcu = match callers {
            Callers::Any => Some(KBox::pin_init(
                Srcu::new(c"iostream_callbacks", key),
                GFP_KERNEL_ACCOUNT,
            )?),
            Callers::Session => None,
        };
        Ok(Self {
            slot: Atomic::new(ptr::null_mut()),
            srcu,
            state: Atomic::new(ENABLED),
            pending: [const { Atomic::new(0) }; 2],
        })
    }

    /// Gives the port its driver.
    ///
    /// # Safety
    ///
    /// `slot` and what it points at live until [`Self::revoke`] has returned. With
    /// [`Callers::Session`] no callback runs when that is called, or later.
    pub(crate) unsafe fn set_driver(&self, slot: &DriverSlot) {
        // ORDERING: the slot is initialised before a callback finds it (litmus: publish-pointer).
        self.slot.store(ptr::from_ref(slot).cast_mut(), Release);
    }

    /// Takes the driver away permanently, and waits until no callback runs.
    pub(crate) fn revoke(&self) {
        // ORDERING: the grace period pairs with the section in `call` (litmus: callbacks-revoke).
        self.slot.store(ptr::null_mut(), Release);
        race_point!("driver-cleared");
        self.synchronize();
    }

    /// Runs `f` with the driver, unless it is gone.
    pub(crate) fn call<R>(&self, f: impl FnOnce(&dyn Driver) -> R) -> Option<R> {
        let _srcu = self.srcu.as_ref().map(|srcu| srcu.read_lock());
        // ORDERING: pairs with the release store in `set_driver`
        // (litmus: publish-pointer, callbacks-revoke).
        let slot = self.slot.load(Acquire);
        if slot.is_null() {
            return None;
        }
        race_point!("driver-found");
        // SAFETY: The caller of `set_driver` keeps slot and driver until `revoke` has returned,
        // which clears the pointer and then waits for this section. Without a section `revoke` is
        // not called while this runs.
        Some(f(unsafe { &*(*slot).0 }))
    }

    /// Notes a notification for the next [`Self::run_pending`]. Issues a full barrier.
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
            // ORDERING: inside the SRCU section, so that `disable`, or a fence, waits for every
            // callback that saw that it may run (litmus: callbacks-disable).
            if allowed() && self.pending[direction as usize].xchg(0, Full) != 0 {
                f(driver);
            }
        });
    }

    /// Whether callbacks may run. Only reliable inside [`Self::call`].
    pub(crate) fn are_enabled(&self) -> bool {
        self.state.load(Relaxed) == ENABLED
    }

    /// Disables callbacks: when this returns none runs, and none starts until [`Self::enable`].
    pub(crate) fn disable(&self) {
        // ORDERING: before the grace period, which pairs with the look inside the section of a
        // callback (litmus: callbacks-disable).
        let _ = self.state.cmpxchg(ENABLED, DISABLED, Full);
        race_point!("callbacks-disabled");
        self.synchronize();
    }

    /// Enables callbacks, unless they were cancelled. The caller then runs those that are pending.
    pub(crate) fn enable(&self) {
        // No ordering by the exchange itself.
        let _ = self.state.cmpxchg(DISABLED, ENABLED, Full);
        race_point!("callbacks-enabled");
        // ORDERING: pairs with the full barrier in `set_pending` (litmus: callbacks-enable).
        smp_mb(Full);
    }

    /// Disables callbacks permanently: when this returns none runs, and none starts again.
    pub(crate) fn cancel(&self) {
        self.state.xchg(CANCELLED, Full);
        self.synchronize();
    }

    /// Waits until the callbacks that run now have returned.
    pub(crate) fn synchronize(&self) {
        if let Some(srcu) = &self.srcu {
            srcu.synchronize();
        }
    }
}
