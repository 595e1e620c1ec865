// SPDX-License-Identifier: GPL-2.0

//! A bare eventfd that the kernel signals, to compare the latency of a queue with.

use core::ptr::NonNull;

use kernel::{bindings, error::from_err_ptr, prelude::*};

/// One reference to an eventfd.
///
/// # Invariants
///
/// This value owns the reference behind the pointer.
pub(crate) struct EventFd(NonNull<bindings::eventfd_ctx>);

// SAFETY: The context of an eventfd has a lock and a reference count, and is not tied to a thread.
unsafe impl Send for EventFd {}

impl EventFd {
    /// The eventfd behind a descriptor of the calling process.
    ///
    /// # Errors
    ///
    /// `EBADF`: no such descriptor. `EINVAL`: it is not an eventfd.
    pub(crate) fn from_descriptor(fd: i32) -> Result<Self> {
        // SAFETY: No preconditions; this runs in the context of a process.
        let context = from_err_ptr(unsafe { bindings::eventfd_ctx_fdget(fd) })?;
        // INVARIANT: The call took the reference.
        NonNull::new(context).map(Self).ok_or(EBADF)
    }

    /// Signals the eventfd.
    pub(crate) fn signal(&self) {
        // SAFETY: This value holds a reference, so the context is alive.
        unsafe { bindings::eventfd_signal_mask(self.0.as_ptr(), 0) };
    }
}

impl Drop for EventFd {
    fn drop(&mut self) {
        // SAFETY: This value owns the reference.
        unsafe { bindings::eventfd_ctx_put(self.0.as_ptr()) };
    }
}
