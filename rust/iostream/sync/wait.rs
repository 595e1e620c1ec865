// SPDX-License-Identifier: GPL-2.0

//! Sleeping and waking: the kernel's wait queue.

use core::ptr;

use kernel::{
    bindings as c,
    prelude::*,
    sync::{Arc, LockClassKey},
    time::{Delta, Instant, Monotonic},
    types::Opaque,
};

use crate::bindings;

/// A wait queue that any context may wake.
///
/// # Invariants
///
/// `head` is initialised and pinned.
#[pin_data]
pub(crate) struct WaitQueue {
    #[pin]
    head: Opaque<c::wait_queue_head>,
}

// SAFETY: A wait queue has a lock of its own.
unsafe impl Send for WaitQueue {}
// SAFETY: As above.
unsafe impl Sync for WaitQueue {}

impl WaitQueue {
    /// An empty wait queue.
    pub(crate) fn new(key: Pin<&'static LockClassKey>) -> impl PinInit<Self> {
        pin_init!(Self {
            head <- Opaque::ffi_init(|head: *mut c::wait_queue_head| {
                // SAFETY: `head` is where the wait queue will stay; name and key are static.
                unsafe { c::__init_waitqueue_head(head, c"iostream".as_char_ptr(), key.as_ptr()) }
            }),
        })
    }

    /// An empty wait queue of a session's.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new_shared() -> Result<Arc<Self>> {
        Arc::pin_init(Self::new(kernel::static_lock_class!()), GFP_KERNEL)
    }

    /// The wait queue for `poll_wait`.
    pub(crate) fn as_ptr(&self) -> *mut c::wait_queue_head {
        self.head.get()
    }

    /// Wakes all that wait. Those that wait by way of poll ask again what the file is ready for, and
    /// arm by that: the key is 0, which says nothing of events. With events in the key io_uring's
    /// multishot poll would take them for the answer, and not ask.
    pub(crate) fn wake_all(&self) {
        // ORDERING: always takes the lock, as who goes to sleep does before its last look
        // (litmus: sleep).
        // SAFETY: The wait queue is initialised by the type's invariant.
        unsafe { c::__wake_up(self.as_ptr(), c::TASK_NORMAL, 0, ptr::null_mut()) };
    }

    /// Sleeps until `ready`, a signal, or for `timeout_ns` nanoseconds. Any signal ends it if
    /// `interruptible`, else a fatal one.
    ///
    /// # Errors
    ///
    /// `EINTR`; `ETIMEDOUT`.
    pub(crate) fn wait(
        &self,
        interruptible: bool,
        timeout_ns: Option<u64>,
        mut ready: impl FnMut() -> bool,
    ) -> Result {
        /// # Safety
        ///
        /// `arg` points at an `F` that nobody else uses.
        unsafe extern "C" fn call<F: FnMut() -> bool>(arg: *mut c_void) -> bool {
            // SAFETY: `arg` is the closure below, borrowed by nobody else while it sleeps.
            unsafe { (*arg.cast::<F>())() }
        }
        fn trampoline<F: FnMut() -> bool>(_: &F) -> unsafe extern "C" fn(*mut c_void) -> bool {
            call::<F>
        }
        let function = Some(trampoline(&ready) as unsafe extern "C" fn(*mut c_void) -> bool);
        let timeout = match timeout_ns {
            // SAFETY: No preconditions.
            Some(ns) => unsafe { bindings::iostream_nsecs_to_jiffies(ns) },
            // MAX_SCHEDULE_TIMEOUT.
            None => c_long::MAX,
        };
        let arg = ptr::from_mut(&mut ready).cast();
        // SAFETY: The wait queue is initialised; `function` takes what `arg` points at, which
        // outlives the call.
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

/// The time at which a wait ends, however often it looks in between.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(Option<Instant<Monotonic>>);

impl Deadline {
    /// `timeout_ns` nanoseconds from now; never without.
    pub(crate) fn after(timeout_ns: Option<u64>) -> Self {
        let until = |ns| {
            Instant::now()
                + Delta::from_nanos(i64::try_from(ns).unwrap_or(i64::MAX).min(i64::MAX / 2))
        };
        Self(timeout_ns.map(until))
    }

    /// Nanoseconds that are left; `None` if there is no end.
    pub(crate) fn left_ns(self) -> Option<u64> {
        let end = self.0?;
        let left = (end - Instant::now()).as_nanos();
        Some(u64::try_from(left).unwrap_or(0))
    }
}
