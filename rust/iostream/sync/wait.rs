// SPDX-License-Identifier: GPL-2.0

//! The kernel's wait queue: sleeping and waking.

use core::ptr;

use kernel::{
    bindings as c,
    error::to_result,
    prelude::*,
    sync::{Arc, LockClassKey},
    time::{ClockSource, Monotonic},
    types::Opaque,
};

use super::{race::race_point, thread::should_stop};
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

    /// A wait queue for all that waits for one session.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new_shared() -> Result<Arc<Self>> {
        Arc::pin_init(Self::new(kernel::static_lock_class!()), GFP_KERNEL_ACCOUNT)
    }

    /// The wait queue as C's `poll_wait` takes it.
    pub(crate) fn as_ptr(&self) -> *mut c::wait_queue_head {
        self.head.get()
    }

    /// Wakes all sleepers. Any context.
    ///
    /// The key of the wake-up is 0: it names no events, so that everything that waits by way of poll
    /// polls again, and arms by that. If the key named events, io_uring's multishot poll would report
    /// them and not poll.
    pub(crate) fn wake_all(&self) {
        // ORDERING: takes the lock even if nobody waits; a sleeper takes the same lock before its
        // last look (litmus: sleep).
        // SAFETY: `head` is initialised by the type's invariant.
        unsafe { c::__wake_up(self.as_ptr(), c::TASK_NORMAL, 0, ptr::null_mut()) };
    }

    /// Sleeps until `ready` returns true, or until the deadline, however often it is woken meanwhile.
    /// Looks at least once.
    ///
    /// # Errors
    ///
    /// `EINTR`: a signal came, of any kind if `interruptible`, otherwise a fatal one, or the
    /// calling kernel thread is told to stop; `ETIMEDOUT`.
    pub(crate) fn wait(
        &self,
        interruptible: bool,
        deadline: Deadline,
        mut ready: impl FnMut() -> bool,
    ) -> Result {
        let mut is_ready = false;
        // Whoever stops a kernel thread waits for its end, so the thread must not sleep on.
        let mut woken = || {
            is_ready = ready();
            if !is_ready {
                race_point!("looked");
            }
            is_ready || should_stop()
        };
        let function = trampoline(&woken);
        let arg = ptr::from_mut(&mut woken).cast();
        // SAFETY: `function` is `call` for the type of `woken`, which outlives the sleep and is used
        // by nothing else.
        unsafe { self.sleep(interruptible, deadline, function, arg) }?;
        if is_ready {
            Ok(())
        } else {
            Err(EINTR)
        }
    }

    /// Sleeps until `function` returns true for `arg`: what [`Self::wait`] does for closures of any
    /// type.
    ///
    /// # Errors
    ///
    /// `EINTR`; `ETIMEDOUT`.
    ///
    /// # Safety
    ///
    /// `function` may be called with `arg` until this returns.
    #[inline(never)]
    unsafe fn sleep(
        &self,
        interruptible: bool,
        Deadline(end_ns): Deadline,
        function: Option<unsafe extern "C" fn(*mut c_void) -> bool>,
        arg: *mut c_void,
    ) -> Result {
        // SAFETY: `head` is initialised by the type's invariant. `function` may be called with `arg`
        // by this function's contract.
        let woken = unsafe {
            if interruptible {
                bindings::iostream_wait_interruptible(self.as_ptr(), function, arg, end_ns)
            } else {
                bindings::iostream_wait_killable(self.as_ptr(), function, arg, end_ns)
            }
        };
        match to_result(woken) {
            Ok(()) => Ok(()),
            Err(error) if error == ETIME => Err(ETIMEDOUT),
            Err(_) => Err(EINTR),
        }
    }

    /// Sleeps until `ready` returns true, or until the deadline. For kernel threads: the sleep does
    /// not count as load, and signals do not end it.
    pub(crate) fn wait_idle(&self, Deadline(end_ns): Deadline, mut ready: impl FnMut() -> bool) {
        let function = trampoline(&ready);
        let arg = ptr::from_mut(&mut ready).cast();
        // SAFETY: `head` is initialised by the type's invariant. `function` is `call` for the type
        // of `ready`, which outlives the sleep and is used by nothing else.
        unsafe { bindings::iostream_wait_idle(self.as_ptr(), function, arg, end_ns) };
    }
}

/// Calls the closure that `arg` points to.
///
/// # Safety
///
/// `arg` points to a valid `F` that nothing else uses during the call.
unsafe extern "C" fn call<F: FnMut() -> bool>(arg: *mut c_void) -> bool {
    // SAFETY: `arg` points to an `F` that nothing else uses, by this function's contract.
    unsafe { (*arg.cast::<F>())() }
}

/// [`call`] for the type of a closure.
fn trampoline<F: FnMut() -> bool>(_: &F) -> Option<unsafe extern "C" fn(*mut c_void) -> bool> {
    Some(call::<F>)
}

/// The time at which a wait ends, however often it looks in between, in nanoseconds since boot; what
/// the kernel's times cannot reach is never.
///
/// A wait takes this and not the time that is left: whoever works that out may be held up before the
/// sleep begins.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(u64);

impl Deadline {
    pub(crate) const NEVER: Self = Self(u64::MAX);

    /// `timeout_ns` nanoseconds from now; never without.
    pub(crate) fn after(timeout_ns: Option<u64>) -> Self {
        timeout_ns.map_or(Self::NEVER, |ns| Self(now_ns().saturating_add(ns)))
    }

    /// At this time, in nanoseconds since boot.
    pub(crate) fn at(ns: u64) -> Self {
        Self(ns)
    }

    /// Whether it is past.
    pub(crate) fn is_over(self) -> bool {
        now_ns() >= self.0
    }
}

/// Nanoseconds since boot, without the time in which the machine slept.
pub(crate) fn now_ns() -> u64 {
    // Since boot, so never below zero.
    Monotonic::ktime_get() as u64
}
