// SPDX-License-Identifier: GPL-2.0

//! Leaking, as a wrong driver does it.

use kernel::prelude::*;

#[cfg(CONFIG_DEBUG_KMEMLEAK)]
extern "C" {
    /// Tells the leak detector that an allocation, and what it refers to, is no leak.
    fn kmemleak_not_leak(start: *const c_void);
}

/// Keeps a value permanently, where nothing finds it again.
pub(crate) fn leak<T>(value: T) -> Result {
    let _leaked = KBox::into_raw(KBox::new(value, GFP_KERNEL)?);
    #[cfg(CONFIG_DEBUG_KMEMLEAK)]
    // SAFETY: This is the start of an allocation.
    unsafe {
        kmemleak_not_leak(_leaked.cast())
    };
    Ok(())
}
