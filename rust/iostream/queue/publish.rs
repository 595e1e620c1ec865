// SPDX-License-Identifier: GPL-2.0

//! Publishing: what the kernel's end has done becomes visible, is counted, and wakes who waits for it.

use super::{config::Wake, Counter, Queue};
use crate::{
    ring::{self, Layout, Mapped},
    sync::atomic::{smp_mb, Full, Release},
};

/// What was published and is not counted yet.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    /// Publications after which nobody had to be woken.
    pub(crate) suppressed: u64,
}

/// Who may have to be woken after a publication.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sleeper {
    /// Nobody.
    None,
    /// Whoever armed.
    Armed,
    /// Whether anybody is the watermark's business.
    Watermark,
}

impl Queue {
    /// Publishes what the producing end committed, counts it, and wakes the process if it waits.
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

    /// Publishes what the producing end committed; to be followed by [`Self::count_produced`] and
    /// [`Self::find_sleeper`], in either order.
    #[inline(always)]
    pub(crate) fn show_produced<L: Layout>(&self, producer: &mut ring::Producer<Mapped, L>) {
        // ORDERING: first, so that who sees the published position, and acts on it, is not ahead of
        // this one; pairs with the loads in `both_positions` (litmus: poll-positions, poll-moment).
        self.kernel_pos.store(producer.committed_pos(), Release);
        producer.publish();
    }

    /// As [`Self::show_produced`], with what was appended at `head`.
    ///
    /// # Safety
    ///
    /// As for [`ring::Producer::set_head`].
    #[inline(always)]
    pub(crate) unsafe fn show_head<L: Layout>(
        &self,
        producer: &mut ring::Producer<Mapped, L>,
        head: ring::Head<L>,
    ) {
        // ORDERING: as there (litmus: poll-positions, poll-moment).
        self.kernel_pos.store(head.pos(), Release);
        // SAFETY: The caller's promise.
        unsafe { producer.publish_head(head) };
    }

    /// Counts what the producing end has published.
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

    /// Whether the process may have to be woken after [`Self::show_produced`]. Once a publication.
    #[inline(always)]
    pub(crate) fn find_sleeper<L: Layout>(
        &self,
        producer: &mut ring::Producer<Mapped, L>,
    ) -> Sleeper {
        // ORDERING: pairs with the full barriers of `Notify::arm` and `ring::Consumer::arm`
        // (litmus: wake-consumer, wake-poll).
        smp_mb(Full);
        if self.watermark.is_set() {
            return Sleeper::Watermark;
        }
        match producer.crossed_armed() || self.notify.is_armed() {
            true => Sleeper::Armed,
            false => Sleeper::None,
        }
    }

    /// Wakes whom [`Self::find_sleeper`] found.
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

    /// Publishes what the consuming end released, counts it, and wakes the process if it waits.
    #[inline(always)]
    pub(crate) fn publish_consumed<L: Layout>(
        &self,
        consumer: &mut ring::Consumer<Mapped, L>,
        entries: u64,
        bytes: u64,
    ) {
        // ORDERING: first, as in `publish_produced` (litmus: poll-positions, poll-moment).
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
