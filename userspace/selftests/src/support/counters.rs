// SPDX-License-Identifier: MIT OR Apache-2.0

//! The counters of a queue, and where they are shown.

use iostream_ring::uapi::{iostream_counters, iostream_info};

use crate::raw::Map;

/// All counters, by name.
pub fn named(counters: &iostream_counters) -> [(&'static str, u64); 9] {
    [
        ("entries", counters.entries),
        ("bytes", counters.bytes),
        ("wakeups_sent", counters.wakeups_sent),
        ("wakeups_suppressed", counters.wakeups_suppressed),
        ("notifications", counters.notifications),
        ("full", counters.full),
        ("lost", counters.lost),
        ("corrupt", counters.corrupt),
        ("high_water_bytes", counters.high_water_bytes),
    ]
}

/// A copy of the info page.
pub fn info(map: &Map) -> iostream_info {
    let bytes = map.read(0, size_of::<iostream_info>());
    // SAFETY: Plain integers of exactly this size.
    unsafe { bytes.as_ptr().cast::<iostream_info>().read_unaligned() }
}
