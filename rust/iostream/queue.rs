// SPDX-License-Identifier: GPL-2.0

//! One queue of one session: its region, the kernel's end, the counters, the means to wake up.
//!
//! A driver reaches it through [`Producer`](crate::Producer) and [`Consumer`](crate::Consumer), a
//! process through its mappings or `io.rs`.

pub(crate) mod config;
mod end;
mod error;
pub(crate) mod notify;
pub(crate) mod produce;
mod publish;
mod ready;
pub(crate) mod watch;

use core::{cell::UnsafeCell, mem::offset_of};

use kernel::{prelude::*, sync::Arc};

use crate::{
    memory::region::{Area, Region},
    ring::{self, uapi, Descriptors, Framed, Geometry, Layout, Mapped},
    sync::{
        atomic::{smp_mb, Acquire, Atomic, Full, Relaxed, Release},
        wait::WaitQueue,
    },
};

use config::{Direction, Entries, QueueConfig};
pub(crate) use end::Kind;
use end::{fresh_end, End};
use notify::Notify;
pub(crate) use publish::{Sleeper, Tally};
use ready::Watermark;
use watch::Watch;

/// One counter of the info page.
#[derive(Clone, Copy)]
pub(crate) enum Counter {
    Entries = offset_of!(uapi::iostream_counters, entries) as isize,
    Bytes = offset_of!(uapi::iostream_counters, bytes) as isize,
    WakeupsSent = offset_of!(uapi::iostream_counters, wakeups_sent) as isize,
    WakeupsSuppressed = offset_of!(uapi::iostream_counters, wakeups_suppressed) as isize,
    Notifications = offset_of!(uapi::iostream_counters, notifications) as isize,
    Full = offset_of!(uapi::iostream_counters, full) as isize,
    Lost = offset_of!(uapi::iostream_counters, lost) as isize,
    Corrupt = offset_of!(uapi::iostream_counters, corrupt) as isize,
    HighWater = offset_of!(uapi::iostream_counters, high_water_bytes) as isize,
}

/// One queue.
///
/// # Invariants
///
/// - `end` is used by the one [`Producer`](crate::Producer) or [`Consumer`](crate::Consumer) of the
///   port, inside an RCU read-side section in which it found the queue published; or by whoever
///   has taken the queue back and waited for a grace period.
/// - Words of the info page are written by the kernel alone.
#[pin_data]
pub(crate) struct Queue {
    /// Dropped first, and its timer with it, whose callback uses the rest.
    #[pin]
    watermark: Watermark,
    region: Region,
    direction: Direction,
    config: QueueConfig,
    end: UnsafeCell<End>,
    #[pin]
    pub(crate) notify: Notify,
    /// What the kernel's end last published; poll reads it here, not from shared memory.
    kernel_pos: Atomic<u64>,
    generation: Atomic<u64>,
    /// Corrupt events of the ends before the last reset.
    corrupt_before_reset: Atomic<u64>,
    gone: Atomic<u32>,
    /// Room that a write(2) waits for, overhead included.
    pub(crate) call_room: Atomic<u64>,
}

// SAFETY: Everything but `end` is made for sharing; `end` is by the type's invariant.
unsafe impl Send for Queue {}
// SAFETY: As above.
unsafe impl Sync for Queue {}

impl Queue {
    /// An empty queue, charged to the calling task's cgroup. A process waits at `user`;
    /// `watch` is called when it would be woken.
    ///
    /// # Errors
    ///
    /// `EINVAL`: an overwriting input queue; `EDQUOT`; `ENOMEM`.
    pub(crate) fn new(
        direction: Direction,
        config: QueueConfig,
        user: Arc<WaitQueue>,
        watch: Option<Arc<Watch>>,
    ) -> Result<impl PinInit<Self>> {
        if config.overwrite && direction == Direction::Input {
            return Err(EINVAL);
        }
        let geometry = config.geometry;
        let mut region = Region::new(geometry)?;
        region.write_info(uapi::iostream_info {
            magic_low: uapi::IOSTREAM_MAGIC_LOW,
            magic_high: uapi::IOSTREAM_MAGIC_HIGH,
            version: uapi::IOSTREAM_VERSION,
            flags: flags(config),
            data_bytes: geometry.data_bytes(),
            max_entry_bytes: max_entry_bytes(config),
            direction: direction as u32,
            generation: 1,
            ..Default::default()
        });
        // SAFETY: The region is zeroed and stays with the end, in this queue.
        let end = unsafe { fresh_end(&region, direction, config) };
        // INVARIANT: Nobody else knows the queue yet.
        Ok(pin_init!(Self {
            watermark <- Watermark::new(),
            region,
            direction,
            config,
            end: UnsafeCell::new(end),
            notify <- Notify::new(user, watch),
            kernel_pos: Atomic::new(0),
            generation: Atomic::new(1),
            corrupt_before_reset: Atomic::new(0),
            gone: Atomic::new(0),
            call_room: Atomic::new(0),
        }))
    }

    /// The direction of the queue.
    pub(crate) fn direction(&self) -> Direction {
        self.direction
    }

    /// How it was configured.
    pub(crate) fn config(&self) -> &QueueConfig {
        &self.config
    }

    /// The size of the queue.
    #[inline(always)]
    pub(crate) fn geometry(&self) -> &Geometry {
        &self.config.geometry
    }

    /// Its pages.
    #[inline(always)]
    pub(crate) fn region(&self) -> &Region {
        &self.region
    }

    /// The page of words that the process writes.
    pub(crate) fn user_words(&self) -> Area {
        match self.direction {
            Direction::Output => Area::Consumer,
            Direction::Input => Area::Producer,
        }
    }

    /// Raised by each reset.
    #[inline(always)]
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// Whether the driver is gone.
    pub(crate) fn is_gone(&self) -> bool {
        // ORDERING: pairs with the release store in `set_gone` (litmus: gone).
        self.gone.load(Acquire) != 0
    }

    /// The kernel's producing end.
    ///
    /// # Safety
    ///
    /// The caller is who the type's invariant allows to use `end`, and drops the result first.
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "exclusive by the type's invariant")]
    pub(crate) unsafe fn producer<K: Kind>(&self) -> Option<&mut ring::Producer<Mapped, K>> {
        // SAFETY: The caller's promise.
        K::producer(unsafe { &mut *self.end.get() })
    }

    /// The kernel's consuming end.
    ///
    /// # Safety
    ///
    /// As for [`Self::producer`].
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "exclusive by the type's invariant")]
    pub(crate) unsafe fn consumer<K: Kind>(&self) -> Option<&mut ring::Consumer<Mapped, K>> {
        // SAFETY: The caller's promise.
        K::consumer(unsafe { &mut *self.end.get() })
    }

    /// What `iostream_queue.flags` says.
    pub(crate) fn flags(&self) -> u32 {
        flags(self.config)
    }

    /// The longest entry in bytes; of a stream's queue, the length of all.
    pub(crate) fn max_entry_bytes(&self) -> u32 {
        max_entry_bytes(self.config)
    }

    /// One of the counters.
    #[inline(always)]
    pub(crate) fn counter(&self, counter: Counter) -> &Atomic<u64> {
        let base = offset_of!(uapi::iostream_info, counters);
        self.region.info_word(base + counter as usize)
    }

    /// Adds to a counter that the kernel's end alone writes.
    #[inline(always)]
    pub(crate) fn count(&self, counter: Counter, add: u64) {
        let word = self.counter(counter);
        word.store(word.load(Relaxed).wrapping_add(add), Relaxed);
    }

    /// Counts a notification of the process's. Any thread.
    pub(crate) fn count_notification(&self) {
        self.counter(Counter::Notifications).add(1, Relaxed);
    }

    /// All counters.
    pub(crate) fn counters(&self) -> uapi::iostream_counters {
        let get = |counter| self.counter(counter).load(Relaxed);
        uapi::iostream_counters {
            entries: get(Counter::Entries),
            bytes: get(Counter::Bytes),
            wakeups_sent: get(Counter::WakeupsSent),
            wakeups_suppressed: get(Counter::WakeupsSuppressed),
            notifications: get(Counter::Notifications),
            full: get(Counter::Full),
            lost: get(Counter::Lost),
            corrupt: get(Counter::Corrupt),
            high_water_bytes: get(Counter::HighWater),
        }
    }

    /// Of the kernel's end alone: so many bytes were in the queue at once.
    #[inline(always)]
    pub(crate) fn raise_high_water(&self, bytes: u64) {
        let word = self.counter(Counter::HighWater);
        if bytes > word.load(Relaxed) {
            word.store(bytes, Relaxed);
        }
    }

    /// Wakes the process. Any context.
    #[cold]
    pub(crate) fn wake_user(&self) {
        self.counter(Counter::WakeupsSent).add(1, Relaxed);
        self.notify.wake_user();
    }

    /// Marks the driver gone and wakes everybody.
    pub(crate) fn set_gone(&self) {
        // ORDERING: pairs with the crate's acquire load: who sees it sees all that was published
        // before (litmus: gone).
        self.region
            .info_word(offset_of!(uapi::iostream_info, gone))
            .store(1, Release);
        // ORDERING: pairs with the acquire load in `is_gone`; the wake-ups below come after it
        // (litmus: gone, gone-eventfd).
        self.gone.store(1, Release);
        smp_mb(Full);
        self.notify.wake_user();
    }

    /// Empties the queue: positions zero, generation raised.
    ///
    /// # Safety
    ///
    /// The caller has taken the queue back from the port and waited for a grace period.
    pub(crate) unsafe fn reset(&self) {
        let generation = self.generation().wrapping_add(1);
        self.generation.store(generation, Relaxed);
        self.region
            .info_word(offset_of!(uapi::iostream_info, generation))
            .store(generation, Release);
        let corrupt = self.counter(Counter::Corrupt).load(Relaxed);
        self.corrupt_before_reset.store(corrupt, Relaxed);
        self.region.zero_words();
        self.reset_ready();
        self.call_room.store(0, Relaxed);
        // SAFETY: Nobody uses the end, says the caller; the words were just zeroed.
        unsafe {
            *self.end.get() = fresh_end(&self.region, self.direction, self.config);
        }
    }
}

/// What `iostream_queue.flags` says of a queue.
fn flags(config: QueueConfig) -> u32 {
    let mut flags = 0;
    if config.overwrite {
        flags |= uapi::IOSTREAM_QUEUE_OVERWRITE;
    }
    if config.entries == Entries::Descriptors {
        flags |= uapi::IOSTREAM_QUEUE_SLOTS;
    }
    flags
}

/// The longest entry of a queue.
fn max_entry_bytes(config: QueueConfig) -> u32 {
    match config.entries {
        Entries::Framed => Framed::max_entry_bytes(&config.geometry),
        Entries::Descriptors => Descriptors::max_entry_bytes(&config.geometry),
    }
}
