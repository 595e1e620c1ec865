// SPDX-License-Identifier: GPL-2.0

//! A port together with the driver that serves it.

use kernel::prelude::*;

use super::{
    callbacks::{Callers, DriverSlot},
    PortRef,
};
use crate::{driver::Driver, sync::registered::words_of};

/// A port that a driver serves until this is dropped. The drop revokes the port: then the driver is
/// gone for everyone that has a reference to the port.
///
/// # Invariants
///
/// The port reaches the driver through `slot` until the drop has revoked the port. Slot and driver
/// do not move.
pub(crate) struct Served<D: Driver> {
    port: PortRef,
    slot: KBox<DriverSlot>,
    driver: Pin<KBox<D>>,
}

// SAFETY: Only the raw pointer in `slot` keeps the type from being `Send`. It points to the
// driver, which is `Send`.
unsafe impl<D: Driver> Send for Served<D> {}
// SAFETY: Only the raw pointer in `slot` keeps the type from being `Sync`. It points to the
// driver, which is `Sync`.
unsafe impl<D: Driver> Sync for Served<D> {}

impl<D: Driver> Served<D> {
    /// Gives a port its driver.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the port is that of a session of `/dev/iostream`; `ENOMEM`; the error of
    /// `driver`.
    pub(crate) fn new<E>(port: PortRef, driver: impl PinInit<D, E>) -> Result<Self>
    where
        Error: From<E>,
    {
        if port.config.callers != Callers::Any {
            return Err(EINVAL);
        }
        // SAFETY: The port's callers are not restricted.
        unsafe { Self::for_session(port, driver) }
    }

    /// Gives the port of a session of `/dev/iostream` its driver.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; the error of `driver`.
    ///
    /// # Safety
    ///
    /// If the port has [`Callers::Session`], no callback runs when the result is dropped, or later.
    pub(crate) unsafe fn for_session<E>(port: PortRef, driver: impl PinInit<D, E>) -> Result<Self>
    where
        Error: From<E>,
    {
        let driver = KBox::pin_init(driver, GFP_KERNEL_ACCOUNT)?;
        let dynamic: *const dyn Driver = &raw const *driver;
        let slot = KBox::new(DriverSlot(dynamic), GFP_KERNEL_ACCOUNT)?;
        // INVARIANT: Slot and driver are in boxes, so they do not move.
        // SAFETY: The boxes become fields of the result. Its drop calls `revoke` before it drops
        // them; then no callback runs, by this function's contract.
        unsafe { port.callbacks.set_driver(&slot) };
        Ok(Self { port, slot, driver })
    }

    /// The port.
    pub(crate) fn port(&self) -> &PortRef {
        &self.port
    }

    /// The two words of the pointer through which the port calls the driver.
    pub(crate) fn words(&self) -> [usize; 2] {
        words_of(self.slot.0)
    }

    /// The driver.
    pub(crate) fn driver(&self) -> &D {
        &self.driver
    }
}

impl<D: Driver> Drop for Served<D> {
    fn drop(&mut self) {
        // Slot and driver are dropped after this, with the fields. The port no longer uses them
        // then.
        self.port.revoke();
    }
}
