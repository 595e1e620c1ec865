// SPDX-License-Identifier: GPL-2.0

//! The race points, and how a thread is held at one.

use kernel::{
    prelude::*,
    sync::atomic::{Atomic, Relaxed},
    time::{Delta, Instant, Monotonic},
};

use crate::bindings;

/// The names of all points. `race_point!` accepts no other name.
///
/// `edu-wedged` holds nobody: while it is set, the edu card's engine seems to be busy.
pub const POINTS: &[&str] = &[
    "armed",
    "buffer-given",
    "buffer-joins",
    "buffers-joined",
    "callbacks-disabled",
    "callbacks-enabled",
    "client-armed",
    "client-drops",
    "client-watches",
    "close-end",
    "close-unpublished",
    "dma-closed",
    "dma-closing",
    "dma-mapped",
    "dma-maps",
    "dma-syncs",
    "dma-unbound",
    "dma-unmaps",
    "drain-notified",
    "drained",
    "driver-cleared",
    "driver-found",
    "edu-wedged",
    "endpoint-called",
    "endpoint-ended",
    "endpoint-ran",
    "ends-quiesced",
    "eventfd-found",
    "eventfd-replaced",
    "gate-opened",
    "input-timer-fires",
    "input-timer-start",
    "input-watermark-set",
    "input-work",
    "kicked",
    "lane-found",
    "lane-retired",
    "look-for-sleeper",
    "looked",
    "map-claimed",
    "marked-ready",
    "mode-agreed",
    "node-added",
    "node-found",
    "node-hidden",
    "node-published",
    "notice-pushed",
    "notices-begin",
    "open-agreed",
    "open-published",
    "output-timer-fires",
    "output-timer-start",
    "passed-over",
    "poll-registered",
    "read-claimed",
    "reset-claimed",
    "reset-halfway",
    "return-begins",
    "revoke-unpublished",
    "set-up-made",
    "source-added",
    "source-due",
    "source-ends",
    "source-served",
    "start-answered",
    "stop-answered",
    "suspend-fenced",
    "timer-claimed",
    "watermark-set",
    "write-claimed",
];
const COUNT: usize = POINTS.len();

/// The longest time for which a thread is held, so that a test that dies does not hang the machine.
/// It is shorter than the time after which the kernel reports an RCU stall.
const LIMIT: Delta = Delta::from_secs(10);

/// The same where interrupts are disabled, in looks at the point: other processors may spin for a
/// lock that the thread holds, so that none is left for the test that releases it, and the clock may
/// stand still.
const LOOKS_WITHOUT_INTERRUPTS: u32 = 500_000;

/// Threads pass the point.
const OPEN: u32 = 0;
/// The point holds the next thread that reaches it.
const SET: u32 = 1;
/// The point holds a thread.
const HOLDS: u32 = 2;
/// The point held a thread, which has gone on by itself. Threads pass.
const LEFT: u32 = 3;

static STATES: [Atomic<u32>; COUNT] = [const { Atomic::new(OPEN) }; COUNT];

/// The index of a point in [`POINTS`]. It is evaluated at compile time, so a name that is not in
/// the list does not build.
pub(crate) const fn index(name: &str) -> usize {
    let mut point = 0;
    while point < COUNT {
        if is_equal(POINTS[point].as_bytes(), name.as_bytes()) {
            return point;
        }
        point += 1;
    }
    panic!("no such race point");
}

const fn is_equal(a: &[u8], b: &[u8]) -> bool {
    let mut same = a.len() == b.len();
    let mut i = 0;
    while same && i < a.len() {
        same = a[i] == b[i];
        i += 1;
    }
    same
}

/// Holds the calling thread if a test has set the point. It spins, because most points lie where a
/// thread must not sleep. Any context.
pub(crate) fn pass(point: usize) {
    let state = &STATES[point];
    // No ordering, here and below: a point delays a thread, and orders nothing that it does.
    if state.load(Relaxed) == OPEN || state.cmpxchg(SET, HOLDS, Relaxed).is_err() {
        return;
    }
    // SAFETY: The function has no preconditions.
    let without_interrupts = unsafe { bindings::iostream_irqs_disabled() };
    let start = Instant::<Monotonic>::now();
    let mut looks = 0;
    while state.load(Relaxed) == HOLDS {
        looks += 1;
        let over = if without_interrupts {
            looks > LOOKS_WITHOUT_INTERRUPTS
        } else {
            start.elapsed() >= LIMIT
        };
        if over {
            break;
        }
        // SAFETY: The function has no preconditions.
        unsafe { bindings::iostream_cpu_relax() };
    }
    // Unless a test has released it meanwhile, or set it again.
    let _ = state.cmpxchg(HOLDS, LEFT, Relaxed);
}

fn state(name: &str) -> Result<&'static Atomic<u32>> {
    let point = POINTS.iter().position(|point| *point == name);
    point.map(|point| &STATES[point]).ok_or(ENOENT)
}

/// Sets a point: it holds the next thread that reaches it.
///
/// # Errors
///
/// `ENOENT`: there is no such point.
pub fn set(name: &str) -> Result {
    state(name)?.xchg(SET, Relaxed);
    Ok(())
}

/// Opens a point: the thread that it holds continues, and others pass.
///
/// # Errors
///
/// `ENOENT`: there is no such point.
pub fn release(name: &str) -> Result {
    state(name)?.xchg(OPEN, Relaxed);
    Ok(())
}

/// Whether a point is set, or holds a thread.
pub fn is_set(name: &str) -> bool {
    state(name).is_ok_and(|state| matches!(state.load(Relaxed), SET | HOLDS))
}

/// Whether a point holds a thread.
///
/// # Errors
///
/// `ENOENT`: there is no such point.
pub fn is_held(name: &str) -> Result<bool> {
    Ok(state(name)?.load(Relaxed) == HOLDS)
}

/// Whether a point has held a thread since it was set: a thread that an interrupt holds goes on by
/// itself after a moment.
///
/// # Errors
///
/// `ENOENT`: there is no such point.
pub fn has_held(name: &str) -> Result<bool> {
    Ok(matches!(state(name)?.load(Relaxed), HOLDS | LEFT))
}
