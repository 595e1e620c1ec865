// SPDX-License-Identifier: GPL-2.0

//! The kernel's wait queue: sleeping and waking.

use core::ptr;

use kernel::{bindings as c, prelude::*, sync::LockClassKey, types::Opaque};

use crate::bindings;

/// A wait queue that may be woken in any context.
///
/// # Invariants
///
/// `head` is initialised and pinned.
#[pin_data]
pub(crate) struct WaitQueue {
    #[pin]
    head: Opaque<c::wait_queue_head>,
}

// SAFETY: A wait queue may be used from any thread.
unsafe impl Send for WaitQueue {}
// SAFETY: The functions of a wait queue take its own lock.
unsafe impl Sync for WaitQueue {}

impl WaitQueue {
    /// Creates a wait queue without sleepers.
    pub(crate) fn new(key: Pin<&'static LockClassKey>) -> impl PinInit<Self> {
        pin_init!(Self {
            head <- Opaque::ffi_init(|head: *mut c::wait_queue_head| {
                // SAFETY: `head` is the wait queue's pinned memory; name and key are static.
                unsafe { c::__init_waitqueue_head(head, c"iostream".as_char_ptr(), key.as_ptr()) }
            }),
        })
    }

    /// The wait queue as C's `poll_wait` takes it.
    pub(crate) fn as_ptr(&self) -> *mut c::wait_queue_head {
        self.head.get()
    }

    /// Wakes all sleepers. A poll is woken only if it asked for one of `events`, or if `events` is
    /// 0. Any context.
    pub(crate) fn wake_all(&self, events: u32) {
        let key = ptr::without_provenance_mut(events as usize);
        // ORDERING: takes the lock even if nobody waits; a sleeper takes the same lock before its
        // last look (litmus: sleep).
        // SAFETY: `head` is initialised by the type's invariant.
        unsafe { c::__wake_up(self.as_ptr(), c::TASK_NORMAL, 0, key) };
    }

    /// Sleeps until `ready` returns true, for at most `timeout_ns` nanoseconds.
    ///
    /// # Errors
    ///
    /// `EINTR`: a signal came, of any kind if `interruptible`, otherwise a fatal one; `ETIMEDOUT`.
    pub(crate) fn wait(
        &self,
        interruptible: bool,
        timeout_ns: Option<u64>,
        mut ready: impl FnMut() -> bool,
    ) -> Result {
        /// Calls the closure that `arg` points to.
        ///
        /// # Safety
        ///
        /// `arg` points to a valid `F` that nothing else uses during the call.
        unsafe extern "C" fn call<F: FnMut() -> bool>(arg: *mut c_void) -> bool {
            // SAFETY: `arg` points to an `F` that nothing else uses, by this function's contract.
            unsafe { (*arg.cast::<F>())() }
        }
        /// Names the type of a closure, for `call`.
        fn trampoline<F: FnMut() -> bool>(_: &F) -> unsafe extern "C" fn(*mut c_void) -> bool {
            call::<F>
        }
        let function = Some(trampoline(&ready) as unsafe extern "C" fn(*mut c_void) -> bool);
        let timeout = match timeout_ns {
            // SAFETY: The function has no preconditions.
            Some(ns) => unsafe { bindings::iostream_nsecs_to_jiffies(ns) },
            // MAX_SCHEDULE_TIMEOUT.
            None => c_long::MAX,
        };
        let arg = ptr::from_mut(&mut ready).cast();
        // SAFETY: `head` is initialised by the type's invariant. `function` is `call` for the type
        // of `ready`, which outlives the sleep and is used by nothing else.
        let left = unsafe {
            if interruptible {
                bindings::iostream_wait_interruptible(self.as_ptr(), function, arg, timeout)
            } else {
                bindings::iostream_wait_killable(self.as_ptr(), function, arg, timeout)
            }
        };
        match left {
            0 => Err(ETIMEDOUT),
            left if left < 0 => Err(EINTR),
            _ => Ok(()),
        }
    }
}
