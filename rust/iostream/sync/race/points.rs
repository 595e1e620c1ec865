// SPDX-License-Identifier: GPL-2.0

//! The points, and holding a thread at one.

use kernel::{
    prelude::*,
    sync::atomic::{Acquire, Atomic, Full, Relaxed},
    time::{Delta, Instant, Monotonic},
};

use crate::bindings;

/// The points, by name. `race_point!` takes no other.
pub const POINTS: [&str; COUNT] = ["input-timer-start"];
const COUNT: usize = 1;

/// How long a thread is held at most: a test that dies does not hang the machine. Less than it takes
/// for the kernel to complain of an RCU stall.
const LIMIT: Delta = Delta::from_secs(10);

/// No thread is to be held.
const OPEN: u32 = 0;
/// The next thread that comes is to be held.
const SET: u32 = 1;
/// A thread is held.
const HOLDS: u32 = 2;

static STATES: [Atomic<u32>; COUNT] = [const { Atomic::new(OPEN) }; COUNT];

/// The number of a point. At compile time: a name that is not in [`POINTS`] does not build.
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

/// Holds the calling thread if a test has set the point. It spins, since most points lie where a
/// thread must not sleep. Any context.
pub(crate) fn pass(point: usize) {
    let state = &STATES[point];
    if state.load(Relaxed) == OPEN || state.cmpxchg(SET, HOLDS, Full).is_err() {
        return;
    }
    let start = Instant::<Monotonic>::now();
    while state.load(Acquire) == HOLDS && start.elapsed() < LIMIT {
        // SAFETY: No preconditions.
        unsafe { bindings::iostream_cpu_relax() };
    }
    state.xchg(OPEN, Full);
}

fn state(name: &str) -> Result<&'static Atomic<u32>> {
    let point = POINTS.iter().position(|point| *point == name);
    point.map(|point| &STATES[point]).ok_or(ENOENT)
}

/// Holds the next thread that comes to the point.
///
/// # Errors
///
/// `ENOENT`: there is no such point.
pub fn set(name: &str) -> Result {
    state(name)?.xchg(SET, Full);
    Ok(())
}

/// Lets the thread that is held at the point go on, and holds none from now on.
///
/// # Errors
///
/// `ENOENT`: there is no such point.
pub fn release(name: &str) -> Result {
    state(name)?.xchg(OPEN, Full);
    Ok(())
}

/// Whether a thread is held at the point.
///
/// # Errors
///
/// `ENOENT`: there is no such point.
pub fn is_held(name: &str) -> Result<bool> {
    Ok(state(name)?.load(Acquire) == HOLDS)
}
