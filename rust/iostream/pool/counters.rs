// SPDX-License-Identifier: GPL-2.0

//! What the kernel counts of a stream in one session, on the stream's info page.

use core::mem::offset_of;

use super::Pool;
use crate::{
    memory::counters::counters,
    ring::uapi,
    sync::atomic::{Atomic, Relaxed},
};

counters! {
    /// A counter of a stream.
    StreamCounter of iostream_stream_counters {
        Sent = sent,
        Received = received,
        Discarded = discarded,
        RejectedId = rejected_id,
        RejectedOwner = rejected_owner,
        RejectedRange = rejected_range,
        RejectedFlags = rejected_flags,
        Lost = lost,
    }
}

impl Pool {
    /// The word of a counter.
    pub(crate) fn counter(&self, counter: StreamCounter) -> &Atomic<u64> {
        let base = offset_of!(uapi::iostream_stream_info, counters);
        self.info.word(base + counter as usize)
    }

    /// All counters with their values.
    pub(crate) fn counters(&self) -> impl Iterator<Item = (StreamCounter, u64)> + '_ {
        let all = StreamCounter::ALL.into_iter();
        all.map(|counter| (counter, self.counter(counter).load(Relaxed)))
    }

    /// Adds one to a counter. Only one of the kernel's ends writes the counter, and the caller has
    /// this end.
    pub(crate) fn count_one(&self, counter: StreamCounter) {
        let word = self.counter(counter);
        word.store(word.load(Relaxed).wrapping_add(1), Relaxed);
    }
}
