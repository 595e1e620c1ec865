// SPDX-License-Identifier: GPL-2.0

//! What the kernel's lock validator (lockdep) is told of a lock that is none of the kernel's.
//!
//! Only kernels with the validator have it; in others all of this is empty.

#[cfg(CONFIG_DEBUG_LOCK_ALLOC)]
mod told {
    use kernel::{bindings as c, prelude::*, sync::LockClassKey, types::Opaque};

    /// The validator's record of one lock, which only one task at a time may hold.
    #[pin_data]
    pub(crate) struct Validator {
        #[pin]
        map: Opaque<c::lockdep_map>,
    }

    // SAFETY: The validator's functions may be called in any thread.
    unsafe impl Send for Validator {}
    // SAFETY: As above.
    unsafe impl Sync for Validator {}

    impl Validator {
        /// A lock of class `class`.
        pub(crate) fn new(
            name: &'static CStr,
            class: Pin<&'static LockClassKey>,
        ) -> impl PinInit<Self> {
            let inner = c::lockdep_wait_type_LD_WAIT_SLEEP as u8;
            pin_init!(Self {
                map <- Opaque::ffi_init(move |map: *mut c::lockdep_map| {
                    // SAFETY: `map` is pinned memory for a record; name and class are static.
                    unsafe {
                        c::lockdep_init_map_type(
                            map, name.as_char_ptr(), class.as_ptr(), 0, inner,
                            c::lockdep_wait_type_LD_WAIT_INV as u8,
                            c::lockdep_lock_type_LD_LOCK_NORMAL as u8,
                        );
                    }
                }),
            })
        }

        /// This task takes the lock, and may wait for it.
        pub(crate) fn takes(&self) {
            self.acquire(0);
        }

        /// This task has taken the lock without a wait.
        pub(crate) fn taken_at_once(&self) {
            self.acquire(1);
        }

        fn acquire(&self, at_once: c_int) {
            let place = Self::acquire as *const () as c_ulong;
            // SAFETY: The record is initialised. Exclusive, and fully checked.
            unsafe {
                c::lock_acquire(
                    self.map.get(),
                    0,
                    at_once,
                    0,
                    1,
                    core::ptr::null_mut(),
                    place,
                );
            }
        }

        /// This task gives the lock back.
        pub(crate) fn releases(&self) {
            // SAFETY: The record is initialised, and this task holds the lock.
            unsafe { c::lock_release(self.map.get(), Self::releases as *const () as c_ulong) };
        }
    }
}

#[cfg(not(CONFIG_DEBUG_LOCK_ALLOC))]
mod told {
    use kernel::{prelude::*, sync::LockClassKey};

    /// Nothing.
    pub(crate) struct Validator;

    impl Validator {
        pub(crate) fn new(_: &'static CStr, _: Pin<&'static LockClassKey>) -> impl PinInit<Self> {
            Self
        }

        pub(crate) fn takes(&self) {}

        pub(crate) fn taken_at_once(&self) {}

        pub(crate) fn releases(&self) {}
    }
}

pub(crate) use told::Validator;
