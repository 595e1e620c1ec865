// SPDX-License-Identifier: MIT OR Apache-2.0

//! The counters of a queue, and where they are shown.

use iostream_ring::uapi::iostream_queue_counters;

/// All counters, by name.
pub fn named(counters: &iostream_queue_counters) -> [(&'static str, u64); 9] {
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
