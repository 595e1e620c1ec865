// SPDX-License-Identifier: GPL-2.0

//! A timer that fires once for each time it is started, and may be started in any context.
//!
//! The kernel crate's own timers are held by a handle whose owner starts them; here whoever produces
//! starts one, in an interrupt, too. Not in a "hard" mode, for the reason that `endpoint/timer.rs` has.

use kernel::{
    bindings as c,
    prelude::*,
    sync::{
        atomic::{Atomic, Full, Relaxed},
        barrier::smp_mb,
    },
    types::Opaque,
};

/// What the kernel calls when a timer fires, with the timer's [`Timer::raw`].
pub(crate) type Callback = unsafe extern "C" fn(*mut c::hrtimer) -> c::hrtimer_restart;

/// See the module.
///
/// # Invariants
///
/// - `raw` is initialised and pinned.
/// - `pending` is set from the start of the timer until its callback begins or it was cancelled.
#[pin_data(PinnedDrop)]
pub(crate) struct Timer {
    #[pin]
    pub(crate) raw: Opaque<c::hrtimer>,
    pending: Atomic<u32>,
}

// SAFETY: The kernel locks timers by itself; the rest is atomic.
unsafe impl Send for Timer {}
// SAFETY: As above.
unsafe impl Sync for Timer {}

impl Timer {
    /// A timer that is not started.
    pub(crate) fn new(callback: Callback) -> impl PinInit<Self> {
        pin_init!(Self {
            raw <- Opaque::ffi_init(move |raw: *mut c::hrtimer| {
                // SAFETY: `raw` is where the timer will stay.
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

    /// Runs the callback `ns` nanoseconds from now, unless it is to run already. Any context.
    pub(crate) fn start(&self, ns: u64) {
        // ORDERING: the caller has issued a full barrier since it made what the callback is to find;
        // pairs with that in `fired` (litmus: latency).
        if self.pending.load(Relaxed) != 0 || self.pending.xchg(1, Full) != 0 {
            return;
        }
        let ns = i64::try_from(ns).unwrap_or(i64::MAX);
        // SAFETY: Initialised by the type's invariant; its drop stops it before its memory goes.
        unsafe {
            c::hrtimer_start_range_ns(self.raw.get(), ns, 0, c::hrtimer_mode_HRTIMER_MODE_REL)
        };
    }

    /// What a callback does first; then it looks whether there is something to do. What comes after
    /// that look starts the timer again.
    pub(crate) fn fired(&self) {
        self.pending.store(0, Relaxed);
        // ORDERING: pairs with the full barrier of who starts it: either that one sees that the timer
        // is not pending, or the callback sees what it is started for (litmus: latency).
        smp_mb(Full);
    }

    /// Stops the timer and waits for a callback that runs. Process context, and not under a lock
    /// that the callback takes.
    pub(crate) fn cancel(&self) {
        // SAFETY: Initialised by the type's invariant.
        if unsafe { c::hrtimer_cancel(self.raw.get()) } != 0 {
            // Its callback does not come. Otherwise it has run, or who starts it is not done yet.
            self.pending.store(0, Relaxed);
            // ORDERING: as in `fired`: who cancels looks for what is due itself (litmus: latency).
            smp_mb(Full);
        }
    }
}

#[pinned_drop]
impl PinnedDrop for Timer {
    /// Stops the timer, however late it was started. What holds a timer is freed in process context.
    fn drop(self: Pin<&mut Self>) {
        self.cancel();
    }
}
