// SPDX-License-Identifier: GPL-2.0

//! Publishing for the kernel's end: storing its position, counting, and waking the client.

use super::{config::Wake, Counter, Queue};
use crate::{
    ring::{self, Layout, Mapped},
    sync::{
        atomic::{smp_mb, Full, Release},
        race::race_point,
    },
};

/// What was published and not yet added to the counters.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    /// The publications that did not have to wake the process.
    pub(crate) suppressed: u64,
}

/// Whether a publication has to wake the process.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sleeper {
    /// The process does not wait.
    None,
    /// The process has armed.
    Armed,
    /// The watermark decides whether the process is woken.
    Watermark,
}

impl Queue {
    /// Publishes what the kernel's producer committed, counts it, and wakes the process if needed.
    #[inline(always)]
    pub(crate) fn publish_produced<L: Layout>(
        &self,
        producer: &mut ring::Producer<Mapped, L>,
        entries: u64,
        bytes: u64,
        wake: Wake,
    ) {
        self.show_produced(producer);
        let tally = Tally {
            entries,
            bytes,
            suppressed: 0,
        };
        self.count_produced(producer, tally);
        if wake == Wake::Suppress {
            return;
        }
        let force = wake == Wake::Force;
        match self.find_sleeper(producer) {
            Sleeper::None if !force => self.count(Counter::WakeupsSuppressed, 1),
            found => self.wake_sleeper(producer, found, force),
        }
    }

    /// Publishes what the kernel's producer committed. [`Self::count_produced`] and
    /// [`Self::find_sleeper`] have to follow, in either order.
    #[inline(always)]
    pub(crate) fn show_produced<L: Layout>(&self, producer: &mut ring::Producer<Mapped, L>) {
        // ORDERING: stored before the published position, so that a process that has acted on that
        // position is never ahead of this one; pairs with the loads in `both_positions`
        // (litmus: poll-positions, poll-moment).
        self.kernel_pos.store(producer.committed_pos(), Release);
        producer.publish();
    }

    /// Publishes what a batch appended at `head`. Otherwise it does what [`Self::show_produced`]
    /// does.
    ///
    /// # Safety
    ///
    /// `head` came from [`ring::Producer::head`] of this producer. Since then nothing was reserved,
    /// committed or published except through the head.
    #[inline(always)]
    pub(crate) unsafe fn show_head<L: Layout>(
        &self,
        producer: &mut ring::Producer<Mapped, L>,
        head: ring::Head<L>,
    ) {
        // ORDERING: stored before the published position; pairs with the loads in `both_positions`
        // (litmus: poll-positions, poll-moment).
        self.kernel_pos.store(head.pos(), Release);
        // SAFETY: `head` meets the requirements of `publish_head` by this function's contract.
        unsafe { producer.publish_head(head) };
    }

    /// Adds what the kernel's producer published to the counters.
    #[inline(always)]
    pub(crate) fn count_produced<L: Layout>(
        &self,
        producer: &mut ring::Producer<Mapped, L>,
        tally: Tally,
    ) {
        self.count(Counter::Entries, tally.entries);
        self.count(Counter::Bytes, tally.bytes);
        if tally.suppressed > 0 {
            self.count(Counter::WakeupsSuppressed, tally.suppressed);
        }
        self.raise_high_water(producer.high_water_bytes());
        if self.config.overwrite {
            self.count(Counter::Lost, producer.take_overwritten());
        }
    }

    /// Whether the process has to be woken after [`Self::show_produced`]. To be called once for
    /// each publication.
    #[inline(always)]
    pub(crate) fn find_sleeper<L: Layout>(
        &self,
        producer: &mut ring::Producer<Mapped, L>,
    ) -> Sleeper {
        race_point!("look-for-sleeper");
        // ORDERING: pairs with the full barriers of `Notify::arm` and `ring::Consumer::arm`
        // (litmus: wake-consumer, wake-poll).
        smp_mb(Full);
        if self.watermark.is_set() {
            return Sleeper::Watermark;
        }
        if producer.crossed_armed() || self.notify.is_armed() {
            Sleeper::Armed
        } else {
            Sleeper::None
        }
    }

    /// Wakes the process as [`Self::find_sleeper`] says, or in any case if `force`.
    #[cold]
    pub(crate) fn wake_sleeper<L: Layout>(
        &self,
        producer: &mut ring::Producer<Mapped, L>,
        sleeper: Sleeper,
        force: bool,
    ) {
        if sleeper == Sleeper::Watermark {
            return self.finish_with_watermark(producer, force);
        }
        let _ = self.notify.take_armed();
        self.wake_user();
    }

    /// Publishes what the kernel's consumer released, counts it, and wakes the process if it waits.
    #[inline(always)]
    pub(crate) fn publish_consumed<L: Layout>(
        &self,
        consumer: &mut ring::Consumer<Mapped, L>,
        entries: u64,
        bytes: u64,
    ) {
        // ORDERING: stored before the published position; pairs with the loads in `both_positions`
        // (litmus: poll-positions, poll-moment).
        self.kernel_pos.store(consumer.released_pos(), Release);
        self.raise_high_water(consumer.known_bytes());
        consumer.publish();
        self.count(Counter::Entries, entries);
        self.count(Counter::Bytes, bytes);
        // ORDERING: pairs with the full barriers of `Notify::arm` and `ring::Producer::arm_room`
        // (litmus: wake-producer, wake-poll).
        smp_mb(Full);
        if consumer.crossed_armed() || self.notify.is_armed() {
            let _ = self.notify.take_armed();
            self.wake_user();
        } else {
            self.count(Counter::WakeupsSuppressed, 1);
        }
    }
}
