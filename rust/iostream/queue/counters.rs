// SPDX-License-Identifier: GPL-2.0

//! What the kernel counts of a queue, on the queue's info page.

use core::mem::offset_of;

use super::Queue;
use crate::{
    memory::counters::counters,
    ring::uapi,
    sync::atomic::{Atomic, Relaxed},
};

counters! {
    /// A counter of a queue.
    Counter of iostream_queue_counters {
        Entries = entries,
        Bytes = bytes,
        WakeupsSent = wakeups_sent,
        WakeupsSuppressed = wakeups_suppressed,
        Notifications = notifications,
        Full = full,
        Lost = lost,
        Corrupt = corrupt,
        HighWater = high_water_bytes,
    }
}

impl Queue {
    /// The word of a counter.
    #[inline(always)]
    pub(crate) fn counter(&self, counter: Counter) -> &Atomic<u64> {
        let base = offset_of!(uapi::iostream_info, counters);
        self.region.info_word(base + counter as usize)
    }

    /// All counters with their values.
    pub(crate) fn counters(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        let all = Counter::ALL.into_iter();
        all.map(|counter| (counter, self.counter(counter).load(Relaxed)))
    }

    /// Adds to a counter that only the kernel's end writes.
    #[inline(always)]
    pub(crate) fn count(&self, counter: Counter, add: u64) {
        let word = self.counter(counter);
        word.store(word.load(Relaxed).wrapping_add(add), Relaxed);
    }

    /// Counts a notification by the process. Any thread.
    pub(crate) fn count_notification(&self) {
        self.counter(Counter::Notifications).add(1, Relaxed);
    }

    /// Records that the queue held `bytes` at once. Only the kernel's end calls this.
    #[inline(always)]
    pub(crate) fn raise_high_water(&self, bytes: u64) {
        let word = self.counter(Counter::HighWater);
        if bytes > word.load(Relaxed) {
            word.store(bytes, Relaxed);
        }
    }
}
