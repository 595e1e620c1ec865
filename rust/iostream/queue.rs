// SPDX-License-Identifier: GPL-2.0

//! One queue of one session: its region, the kernel's end, the counters and the wake-ups.
//!
//! A driver uses it through [`Producer`](crate::Producer) and [`Consumer`](crate::Consumer), a
//! process through its mappings or through read(2) and write(2) (`file/read_write.rs`).

pub(crate) mod config;
pub(crate) mod counters;
mod empty;
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
    memory::{
        account::Account,
        region::{Area, Region},
    },
    ring::{self, uapi, Descriptors, Framed, Geometry, Layout, Mapped, DESCRIPTOR_BYTES},
    sync::{
        atomic::{smp_mb, smp_wmb, Acquire, Atomic, Full, Relaxed, Release},
        race::race_point,
        wait::WaitQueue,
    },
};

use config::{Direction, Entries, QueueConfig};
pub(crate) use counters::Counter;
pub(crate) use end::EndLayout;
use end::{fresh_end, End};
use notify::Notify;
pub(crate) use publish::{Sleeper, Tally};
use ready::Watermark;
use watch::Watch;

/// One queue.
///
/// # Invariants
///
/// - `end` has one user at a time. This is the port's [`Producer`](crate::Producer),
///   [`Consumer`](crate::Consumer) or [`Stream`](crate::Stream), inside an RCU read-side section in
///   which it found the queue published; or the code that has unpublished the queue and waited for
///   a grace period. The output queue of a stream that can be in input mode is also used, in such a
///   section, by whoever drops a buffer; there each user holds `Pool::sending`.
/// - Only the kernel writes the words of the info page.
#[pin_data]
pub(crate) struct Queue {
    /// The first field, because it is dropped first: the callback of its timer uses the others.
    #[pin]
    watermark: Watermark,
    region: Region,
    direction: Direction,
    config: QueueConfig,
    end: UnsafeCell<End>,
    #[pin]
    pub(crate) notify: Notify,
    /// The position that the kernel's end published last. Poll reads it here, not in shared memory.
    kernel_pos: Atomic<u64>,
    /// 1 at first, raised at the begin and at the end of each reset: even while one is under way.
    generation: Atomic<u64>,
    /// The corrupt events that ends before the last reset have counted.
    corrupt_before_reset: Atomic<u64>,
    /// Set once the driver is gone.
    gone: Atomic<u32>,
    /// The room that the last write(2) found missing, overhead included; 0 if it found enough.
    pub(crate) call_room: Atomic<u64>,
    /// Set while a read(2) has copied a part of the next entry, or something has taken it out, or
    /// empty ones before which something was lost that is to be reported.
    pub(crate) call_began: Atomic<u32>,
}

// SAFETY: Ends of the ring and all other fields may be used from any thread.
unsafe impl Send for Queue {}
// SAFETY: By the type's invariant `end` has one user at a time; all other fields are `Sync`.
unsafe impl Sync for Queue {}

impl Queue {
    /// Creates an empty queue, charged to the calling task's cgroup and counted in `account`. The
    /// process waits at `user`; `watch` has the callback of a client that is a module.
    ///
    /// # Errors
    ///
    /// `EINVAL`: an input queue cannot overwrite; `EDQUOT`; `ENOMEM`.
    pub(crate) fn new(
        direction: Direction,
        config: QueueConfig,
        user: Arc<WaitQueue>,
        watch: Option<Arc<Watch>>,
        account: &Account,
    ) -> Result<impl PinInit<Self>> {
        if config.overwrite && direction == Direction::Input {
            return Err(EINVAL);
        }
        let geometry = config.geometry;
        let mut region = Region::new(geometry, account)?;
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
        // SAFETY: The region is fresh, so its words are zero and no other end uses it. The queue
        // owns both region and end.
        let end = unsafe { fresh_end(&region, direction, config) };
        // INVARIANT: Nothing else uses the queue yet.
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
            call_began: Atomic::new(0),
        }))
    }

    /// The direction of the queue.
    pub(crate) fn direction(&self) -> Direction {
        self.direction
    }

    /// The configuration of the queue.
    pub(crate) fn config(&self) -> &QueueConfig {
        &self.config
    }

    /// The size of the queue.
    #[inline(always)]
    pub(crate) fn geometry(&self) -> &Geometry {
        &self.config.geometry
    }

    /// The pages of the queue.
    #[inline(always)]
    pub(crate) fn region(&self) -> &Region {
        &self.region
    }

    /// Copies the entry at `pos` of a stream's output queue. If `pos` is not between the positions of
    /// the process and of the kernel's end, it is another entry, or none.
    pub(crate) fn copy_slot(&self, pos: u64) -> [u8; DESCRIPTOR_BYTES] {
        let mut bytes = [0; DESCRIPTOR_BYTES];
        let offset = pos.checked_rem(self.geometry().data_bytes()).unwrap_or(0) as usize;
        // SAFETY: The data are mapped twice in a row, and no queue is shorter than a descriptor, so
        // the range is in bounds. The copy allows the producer to write meanwhile.
        unsafe {
            self.region
                .copy_data(offset, bytes.as_mut_ptr(), DESCRIPTOR_BYTES);
        }
        bytes
    }

    /// The page of words that the process writes.
    pub(crate) fn user_words(&self) -> Area {
        match self.direction {
            Direction::Output => Area::Consumer,
            Direction::Input => Area::Producer,
        }
    }

    /// A number that each reset raises.
    #[inline(always)]
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// Whether the driver is gone.
    pub(crate) fn is_gone(&self) -> bool {
        // ORDERING: pairs with the release store in `set_gone` (litmus: gone).
        self.gone.load(Acquire) != 0
    }

    /// The kernel's producer, if the queue has a producer of this layout.
    ///
    /// # Safety
    ///
    /// The caller is the one user of `end` that the type's invariant allows, and remains so for as
    /// long as it uses the result.
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "exclusive by the type's invariant")]
    pub(crate) unsafe fn producer<L: EndLayout>(&self) -> Option<&mut ring::Producer<Mapped, L>> {
        // SAFETY: The caller is the only user of `end` by this function's contract.
        L::producer(unsafe { &mut *self.end.get() })
    }

    /// The kernel's consumer, if the queue has a consumer of this layout.
    ///
    /// # Safety
    ///
    /// The caller is the one user of `end` that the type's invariant allows, and remains so for as
    /// long as it uses the result.
    #[inline(always)]
    #[allow(clippy::mut_from_ref, reason = "exclusive by the type's invariant")]
    pub(crate) unsafe fn consumer<L: EndLayout>(&self) -> Option<&mut ring::Consumer<Mapped, L>> {
        // SAFETY: The caller is the only user of `end` by this function's contract.
        L::consumer(unsafe { &mut *self.end.get() })
    }

    /// The value of `iostream_queue.flags`.
    pub(crate) fn flags(&self) -> u32 {
        flags(self.config)
    }

    /// The longest entry in bytes. In a stream's queue all entries have this length.
    pub(crate) fn max_entry_bytes(&self) -> u32 {
        max_entry_bytes(self.config)
    }

    /// Wakes the client, and counts the wake-up. Any context.
    #[cold]
    pub(crate) fn wake_user(&self) {
        self.counter(Counter::WakeupsSent).add(1, Relaxed);
        self.notify.wake_user();
    }

    /// Records that the driver is gone, and wakes the client.
    pub(crate) fn set_gone(&self) {
        // ORDERING: pairs with the crate's acquire load: a process that sees the word set also sees
        // everything that was published before (litmus: gone).
        self.region
            .info_word(offset_of!(uapi::iostream_info, gone))
            .store(1, Release);
        // ORDERING: pairs with the acquire load in `is_gone`; the barrier keeps the wake-ups below
        // after the stores (litmus: gone, gone-eventfd).
        self.gone.store(1, Release);
        smp_mb(Full);
        self.notify.wake_user();
    }

    /// Empties the queue: sets the positions to zero. The generation is raised before and after.
    ///
    /// # Safety
    ///
    /// The caller has unpublished the queue and waited for a grace period.
    pub(crate) unsafe fn reset(&self) {
        let shown = self
            .region
            .info_word(offset_of!(uapi::iostream_info, generation));
        let generation = self.generation().wrapping_add(1);
        self.generation.store(generation, Relaxed);
        shown.store(generation, Relaxed);
        // ORDERING: pairs with the acquire loads of the positions, in the process and in
        // `is_ready`: who finds one that was zeroed finds the new generation, and that a reset is
        // under way (litmus: reset, reset-poll).
        smp_wmb();
        let corrupt = self.counter(Counter::Corrupt).load(Relaxed);
        self.corrupt_before_reset.store(corrupt, Relaxed);
        self.region.zero_words();
        race_point!("reset-halfway");
        self.reset_ready();
        self.call_room.store(0, Relaxed);
        self.call_began.store(0, Relaxed);
        // SAFETY: Nothing else uses the end by this function's contract, and the old end is
        // replaced. The words were zeroed right above.
        unsafe {
            *self.end.get() = fresh_end(&self.region, self.direction, self.config);
        }
        // ORDERING: pairs with the acquire loads in `is_ready` and in the crate's renewal of an end:
        // whoever finds the generation odd finds the positions zeroed (litmus: reset-poll).
        let generation = generation.wrapping_add(1);
        self.generation.store(generation, Release);
        shown.store(generation, Release);
    }
}

/// The value of `iostream_queue.flags` for a queue.
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

/// The longest entry of a queue in bytes.
pub(crate) fn max_entry_bytes(config: QueueConfig) -> u32 {
    match config.entries {
        Entries::Framed => Framed::max_entry_bytes(&config.geometry),
        Entries::Descriptors => Descriptors::max_entry_bytes(&config.geometry),
    }
}
