// SPDX-License-Identifier: GPL-2.0

//! A port with its driver.

use kernel::prelude::*;

use super::{callbacks::Slot, PortRef};
use crate::driver::Driver;

/// A port that a driver serves, until dropped: then the driver is gone for whoever has the port.
///
/// # Invariants
///
/// The port calls the driver by `_slot`, until the drop has revoked it; neither moves.
pub(crate) struct Served<D: Driver> {
    port: PortRef,
    _slot: KBox<Slot>,
    driver: Pin<KBox<D>>,
}

// SAFETY: The driver is `Send`, and so is everything else here.
unsafe impl<D: Driver> Send for Served<D> {}
// SAFETY: The driver is `Sync`, and so is everything else here.
unsafe impl<D: Driver> Sync for Served<D> {}

impl<D: Driver> Served<D> {
    /// Gives a port its driver.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; that of `driver`.
    pub(crate) fn new<E>(port: PortRef, driver: impl PinInit<D, E>) -> Result<Self>
    where
        Error: From<E>,
    {
        let driver = KBox::pin_init(driver, GFP_KERNEL)?;
        let dynamic: *const dyn Driver = &raw const *driver;
        let slot = KBox::new(Slot(dynamic), GFP_KERNEL)?;
        // INVARIANT: Both stay in boxes until `drop`, which revokes first.
        // SAFETY: Neither goes before `revoke` has returned, by the type's invariant.
        unsafe { port.callbacks.set_driver(&slot) };
        Ok(Self {
            port,
            _slot: slot,
            driver,
        })
    }

    /// The port.
    pub(crate) fn port(&self) -> &PortRef {
        &self.port
    }

    /// The driver.
    pub(crate) fn driver(&self) -> &D {
        &self.driver
    }
}

impl<D: Driver> Drop for Served<D> {
    fn drop(&mut self) {
        // The port has the slot no more when this returns; slot and driver go with the fields.
        self.port.revoke();
    }
}
