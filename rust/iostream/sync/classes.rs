// SPDX-License-Identifier: GPL-2.0

//! Lock classes of one stream.
//!
//! The driver of a stream may be the client of another, and start that one while its own is being
//! started: then the same lock of two streams is held at once. The kernel's lock validator judges
//! locks by their class, so each stream has classes of its own. If all streams had the same, it
//! would take this for a lock that is taken twice.

use core::ptr;

use kernel::{
    prelude::*,
    static_lock_class,
    sync::{Arc, LockClassKey},
};

/// The classes of the locks that are held while code of another stream runs.
#[pin_data]
pub(crate) struct LockClasses {
    #[pin]
    changing: LockClassKey,
    #[pin]
    callbacks: LockClassKey,
    #[pin]
    watch: LockClassKey,
}

/// The name of one of the classes.
#[derive(Clone, Copy)]
pub(crate) enum LockOf {
    /// Held while the state of a stream changes.
    Changing,
    /// The section in which callbacks of the driver run.
    Callbacks,
    /// Held while the callback of a client runs.
    Watch,
}

impl LockClasses {
    /// Creates the classes of one stream.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                changing <- LockClassKey::new_dynamic(),
                callbacks <- LockClassKey::new_dynamic(),
                watch <- LockClassKey::new_dynamic(),
            }),
            GFP_KERNEL,
        )
    }

    /// The class of a lock; that of all ports that are no stream's without `classes`.
    ///
    /// # Safety
    ///
    /// Whoever uses the lock keeps a reference to `classes` for as long.
    pub(crate) unsafe fn key(
        classes: Option<&Arc<Self>>,
        lock: LockOf,
    ) -> Pin<&'static LockClassKey> {
        let Some(classes) = classes else {
            return match lock {
                LockOf::Changing => static_lock_class!(),
                LockOf::Callbacks => static_lock_class!(),
                LockOf::Watch => static_lock_class!(),
            };
        };
        let key = match lock {
            LockOf::Changing => &classes.changing,
            LockOf::Callbacks => &classes.callbacks,
            LockOf::Watch => &classes.watch,
        };
        // SAFETY: The key is pinned in the `Arc`, which lives for as long as the lock is used, by
        // this function's contract. The result has no other use.
        unsafe { Pin::new_unchecked(&*ptr::from_ref(key)) }
    }
}
