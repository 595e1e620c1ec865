// SPDX-License-Identifier: GPL-2.0

//! A kernel thread of the lowest priority, for work that must not keep anyone from a processor.

use core::ptr::NonNull;

use kernel::{bindings as c, prelude::*};

use crate::bindings;

/// The function that a thread runs.
pub(crate) type Main = unsafe extern "C" fn(*mut c_void) -> c_int;

/// A kernel thread. Dropping it tells it to stop, and waits until it has.
pub(crate) struct IdleThread(NonNull<c::task_struct>);

// SAFETY: A thread may be stopped by any other thread.
unsafe impl Send for IdleThread {}
// SAFETY: No method changes the field.
unsafe impl Sync for IdleThread {}

impl IdleThread {
    /// Starts a thread that runs `main(arg)`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    ///
    /// # Safety
    ///
    /// `main` may be called with `arg` in another thread until the result's drop has returned. It
    /// returns once [`should_stop`] says so, and not before.
    pub(crate) unsafe fn start(name: &CStr, main: Main, arg: *mut c_void) -> Result<Self> {
        // SAFETY: This is process context. `main` may be called by this function's contract.
        let thread =
            unsafe { bindings::iostream_start_idle_thread(Some(main), arg, name.as_char_ptr()) };
        NonNull::new(thread).map(Self).ok_or(ENOMEM)
    }
}

impl Drop for IdleThread {
    fn drop(&mut self) {
        // SAFETY: The thread does not end before it is told to stop, so it exists. Only this stops
        // it.
        unsafe { bindings::iostream_stop_thread(self.0.as_ptr()) };
    }
}

/// Whether the calling kernel thread is told to stop.
pub(crate) fn should_stop() -> bool {
    // SAFETY: No preconditions.
    unsafe { bindings::iostream_should_stop() }
}
