// SPDX-License-Identifier: GPL-2.0

//! A one-shot timer that may be started in any context.
//!
//! The kernel crate's timers are started by the owner of a handle. These are started by whatever
//! produces an entry, which may be an interrupt. They do not run in a "hard" mode: with it the
//! callback would run in hard interrupts on a kernel with PREEMPT_RT, too, where the locks of the
//! wait queues that it wakes may sleep.

use kernel::{
    bindings as c,
    prelude::*,
    sync::{
        atomic::{Atomic, Full, Relaxed},
        barrier::smp_mb,
    },
    types::Opaque,
};

/// The function that the kernel calls when a timer fires, with the timer's [`Timer::raw`].
pub(crate) type Callback = unsafe extern "C" fn(*mut c::hrtimer) -> c::hrtimer_restart;

/// What a callback returns: the timer does not start again by itself. The kernels from 7.3-rc7 to 7.3.4
/// differ in whether bindgen makes a number or a type of its own of C's `enum hrtimer_restart`.
pub(crate) const NO_RESTART: c::hrtimer_restart =
    // SAFETY: Either is a `u32` in memory, of which every value is valid; 0 is HRTIMER_NORESTART.
    unsafe { core::mem::transmute(0_u32) };

/// A timer that calls its callback once after each start.
///
/// # Invariants
///
/// - `raw` is initialised and pinned.
/// - `pending` is set from the start of the timer until its callback begins or the timer has been
///   cancelled.
#[pin_data(PinnedDrop)]
pub(crate) struct Timer {
    #[pin]
    pub(crate) raw: Opaque<c::hrtimer>,
    pending: Atomic<u32>,
}

// SAFETY: An hrtimer may be used from any thread.
unsafe impl Send for Timer {}
// SAFETY: The kernel locks an hrtimer by itself, and `pending` is atomic.
unsafe impl Sync for Timer {}

impl Timer {
    /// Creates a timer that is not running.
    pub(crate) fn new(callback: Callback) -> impl PinInit<Self> {
        pin_init!(Self {
            raw <- Opaque::ffi_init(move |raw: *mut c::hrtimer| {
                // SAFETY: `raw` is the timer's pinned memory.
                unsafe {
                    c::hrtimer_setup(
                        raw,
                        Some(callback),
                        c::CLOCK_MONOTONIC as c::clockid_t,
                        c::hrtimer_mode_HRTIMER_MODE_REL,
                    )
                }
            }),
            pending: Atomic::new(0),
        })
    }

    /// Starts the timer: the callback runs `ns` nanoseconds from now. Does nothing if the timer is
    /// already running. Any context.
    pub(crate) fn start(&self, ns: u64) {
        // ORDERING: the caller issued a full barrier after it stored what the callback is to find;
        // that barrier pairs with the one in `fired` (litmus: latency).
        if self.pending.load(Relaxed) != 0 || self.pending.xchg(1, Full) != 0 {
            return;
        }
        super::race::race_point!("timer-claimed");
        let ns = i64::try_from(ns).unwrap_or(i64::MAX);
        // SAFETY: `raw` is initialised by the type's invariant. The drop of `self` stops the timer
        // before its memory is freed.
        unsafe {
            c::hrtimer_start_range_ns(self.raw.get(), ns, 0, c::hrtimer_mode_HRTIMER_MODE_REL)
        };
    }

    /// Marks the timer as not running. The callback calls this first and then looks for work; work
    /// that appears after that look starts the timer again.
    pub(crate) fn fired(&self) {
        self.pending.store(0, Relaxed);
        // ORDERING: pairs with the full barrier that precedes `start`: either `start` sees that the
        // timer is not pending, or the callback sees what it was started for (litmus: latency).
        smp_mb(Full);
    }

    /// Stops the timer, and waits for a callback that is running. Process context, without locks
    /// that the callback takes.
    pub(crate) fn cancel(&self) {
        // SAFETY: `raw` is initialised by the type's invariant.
        if unsafe { c::hrtimer_cancel(self.raw.get()) } != 0 {
            // The timer was running, so no callback clears the flag. In the other case the callback
            // has cleared it, or a `start` is between setting the flag and starting the timer.
            self.pending.store(0, Relaxed);
            // ORDERING: pairs as in `fired`; the caller of `cancel` then looks for work itself
            // (litmus: latency).
            smp_mb(Full);
        }
    }
}

#[pinned_drop]
impl PinnedDrop for Timer {
    /// Stops the timer, however late it was started. Whatever contains a timer is freed in process
    /// context.
    fn drop(self: Pin<&mut Self>) {
        self.cancel();
    }
}
