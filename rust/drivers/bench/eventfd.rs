// SPDX-License-Identifier: GPL-2.0

//! A bare eventfd, signalled by the kernel: what the latency of a queue is measured against.

use core::ptr::NonNull;

use kernel::{bindings, error::from_err_ptr, prelude::*};

/// One reference to an eventfd.
///
/// # Invariants
///
/// The pointer is a reference of this value's own.
pub(crate) struct EventFd(NonNull<bindings::eventfd_ctx>);

// SAFETY: An eventfd's context has a lock and a counter of its own.
unsafe impl Send for EventFd {}

impl EventFd {
    /// The eventfd behind a descriptor of the calling process's.
    ///
    /// # Errors
    ///
    /// `EBADF`; `EINVAL`: it is not an eventfd.
    pub(crate) fn from_descriptor(fd: i32) -> Result<Self> {
        // SAFETY: No preconditions, this is the context of a process.
        let context = from_err_ptr(unsafe { bindings::eventfd_ctx_fdget(fd) })?;
        // INVARIANT: The call took the reference.
        NonNull::new(context).map(Self).ok_or(EBADF)
    }

    /// Wakes who waits for it.
    pub(crate) fn signal(&self) {
        // SAFETY: The context is alive by the type's invariant.
        unsafe { bindings::eventfd_signal_mask(self.0.as_ptr(), 0) };
    }
}

impl Drop for EventFd {
    fn drop(&mut self) {
        // SAFETY: The reference is this value's.
        unsafe { bindings::eventfd_ctx_put(self.0.as_ptr()) };
    }
}
