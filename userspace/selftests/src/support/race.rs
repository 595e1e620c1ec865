// SPDX-License-Identifier: MIT OR Apache-2.0

//! Points of the module's code at which a thread can be held, on the bug-hunting kernel.

use std::fs::{read_to_string, write};

use crate::clause::skip;

const CONTROL: &str = "/sys/kernel/debug/iostream_test/races";

/// Skips the clause where the module has no points. To be called before anything is loaded: what is
/// loaded then stays.
pub fn skip_without_points() {
    if !std::path::Path::new(CONTROL).exists() {
        skip("this module has no race points: they are the bug-hunting kernel's");
    }
}

/// The names of all points of the module. Skips the clause where it has none.
pub fn points() -> Vec<String> {
    skip_without_points();
    let text = read_to_string(CONTROL).expect(CONTROL);
    let names = text.lines().filter_map(|line| line.split_once('='));
    names.map(|(name, _)| name.into()).collect()
}

/// A point at which the next thread to arrive is held until this is dropped.
pub struct RacePoint(&'static str);

impl RacePoint {
    /// Sets the point. Skips the clause where the module has no points.
    pub fn set(name: &'static str) -> Self {
        skip_without_points();
        write(CONTROL, format!("set {name}")).expect(name);
        Self(name)
    }

    /// Releases the thread that is held. The next one to arrive is held in its place.
    pub fn hold_next(&self) {
        write(CONTROL, format!("set {}", self.0)).expect(self.0);
    }

    /// Whether a thread is held.
    pub fn is_held(&self) -> bool {
        self.shows("=1")
    }

    /// Whether a thread is held, or was held since the point was set: one that an interrupt holds
    /// goes on by itself after a moment.
    pub fn has_held(&self) -> bool {
        self.shows("=1") || self.shows("=2")
    }

    fn shows(&self, what: &str) -> bool {
        let held = format!("{}{what}", self.0);
        let text = read_to_string(CONTROL).expect(CONTROL);
        text.lines().any(|line| line == held)
    }

    /// Waits until a thread is held. The clause's time-out ends the wait.
    pub fn wait_held(&self) {
        while !self.is_held() {
            std::thread::yield_now();
        }
    }
}

impl Drop for RacePoint {
    /// Releases the thread.
    fn drop(&mut self) {
        let _ = write(CONTROL, format!("release {}", self.0));
    }
}
