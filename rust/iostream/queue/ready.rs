// SPDX-License-Identifier: GPL-2.0

//! Whether the process can go on: the one rule for poll, eventfd, read(2) and write(2).
//!
//! An input queue is ready when the room is there that was asked for. An output queue is ready when
//! entries wait; with a watermark, when that many bytes wait, or what waits was made ready by the
//! timer, a full queue, a flush or the end. That is remembered as a position, `ready_pos` of the
//! info page: all before it stays ready until it is consumed, and the process can see it, too.
//!
//! Each publication either makes ready all that waits or sees to it that the timer runs.

use core::mem::offset_of;

use kernel::{
    bindings as c,
    prelude::*,
    sync::{new_spinlock_irq, SpinLockIrq},
};

use super::{
    config::{self, Direction},
    Counter, Queue,
};
use crate::{
    ring::{self, uapi, Layout, Mapped},
    sync::{
        atomic::{smp_mb, Acquire, Atomic, Full, Relaxed, Release},
        timer::Timer,
    },
};

/// What it takes for an output queue to be ready, beyond that an entry waits.
#[pin_data]
pub(super) struct Watermark {
    /// Bytes, overhead included; 0: none.
    bytes: Atomic<u64>,
    /// How long an entry may wait below it; 0: for ever.
    latency_ns: Atomic<u64>,
    #[pin]
    timer: Timer,
    /// Held while `ready_pos` is set, so that it does not move back, and while the timer is started.
    /// Innermost; any context.
    #[pin]
    lock: SpinLockIrq<()>,
}

impl Watermark {
    /// None.
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            bytes: Atomic::new(0),
            latency_ns: Atomic::new(0),
            timer <- Timer::new(latency_over),
            lock <- new_spinlock_irq!((), "iostream_ready"),
        })
    }

    /// Whether there is one.
    #[inline(always)]
    pub(super) fn is_set(&self) -> bool {
        self.bytes.load(Relaxed) != 0
    }
}

/// The timer of a queue's watermark has fired.
///
/// # Safety
///
/// `raw` is the timer of a queue's watermark, and the queue lives.
unsafe extern "C" fn latency_over(raw: *mut c::hrtimer) -> c::hrtimer_restart {
    let offset =
        offset_of!(Queue, watermark) + offset_of!(Watermark, timer) + offset_of!(Timer, raw);
    // SAFETY: The timer lies at this offset in a queue, whose drop waits for this.
    let queue = unsafe { &*raw.byte_sub(offset).cast::<Queue>() };
    queue.watermark.timer.fired();
    queue.latency_over();
    c::hrtimer_restart::HRTIMER_NORESTART
}

impl Queue {
    /// Whether poll may say that the process can go on. `Err` if the process's position cannot be
    /// right.
    pub(crate) fn is_ready(&self) -> Result<bool, ring::Error> {
        let Some((user, kernel)) = self.both_positions() else {
            return Ok(true);
        };
        let size = self.geometry().data_bytes();
        let used = match self.direction {
            Direction::Output => kernel.wrapping_sub(user),
            Direction::Input => user.wrapping_sub(kernel),
        };
        if used > size && !self.config.overwrite {
            return Err(ring::Error::Corrupt);
        }
        match self.direction {
            Direction::Output => Ok(used != 0 && self.is_enough(user, used)),
            Direction::Input => Ok(size - used >= self.wanted_room()),
        }
    }

    /// Whether `used` bytes that wait, from position `user` on, are to be told of.
    fn is_enough(&self, user: u64, used: u64) -> bool {
        let watermark = self.watermark.bytes.load(Relaxed);
        if watermark == 0 || self.is_gone() {
            return true;
        }
        if used >= watermark {
            // Whoever finds it first: the process may take some before the producer looks.
            self.mark_ready();
            return true;
        }
        // A position of the process's is anything: the larger half means "not before".
        let ahead = self.ready_pos().load(Relaxed).wrapping_sub(user);
        ahead != 0 && ahead <= u64::MAX / 2
    }

    /// Both positions as they were at one moment: the process's and the kernel's end's. `None` if they
    /// move too fast to tell, which is ready enough.
    fn both_positions(&self) -> Option<(u64, u64)> {
        // ORDERING: the caller armed before, with a full barrier; see `Notify::arm`. The acquire
        // load in `user_pos` pairs with the process's release store: what the process had seen of
        // the kernel's end, `kernel_pos` shows (litmus: poll-positions, poll-moment).
        let mut user = self.user_pos();
        for _ in 0..4 {
            let kernel = self.kernel_pos.load(Acquire);
            let again = self.user_pos();
            if user == again {
                return Some((user, kernel));
            }
            user = again;
        }
        None
    }

    /// Whether the consumer has released all that was published.
    pub(crate) fn is_drained(&self) -> bool {
        self.both_positions()
            .is_some_and(|(user, kernel)| user == kernel)
    }

    /// The process's own position, as it says.
    pub(crate) fn user_pos(&self) -> u64 {
        match self.direction {
            Direction::Output => {
                let offset = offset_of!(uapi::iostream_consumer, consumer_pos);
                self.region.consumer_word(offset).load(Acquire)
            }
            Direction::Input => {
                let offset = offset_of!(uapi::iostream_producer, producer_pos);
                self.region.producer_word(offset).load(Acquire)
            }
        }
    }

    /// Of an input queue: the process's position and that of the kernel's end, which is never ahead of
    /// it if the process is right.
    pub(crate) fn input_positions(&self) -> (u64, u64) {
        let kernel = self.kernel_pos.load(Acquire);
        (self.user_pos(), kernel)
    }

    /// Of an input queue: has the process notify when it reaches `pos`.
    pub(crate) fn arm_kernel(&self, pos: u64) {
        let offset = offset_of!(uapi::iostream_consumer, wake_pos);
        self.region.consumer_word(offset).store(pos, Relaxed);
    }

    /// Of an input queue: whether the process waits for more room than there is with the kernel's end
    /// at `kernel`.
    pub(crate) fn user_waits_for_room(&self, kernel: u64) -> bool {
        let offset = offset_of!(uapi::iostream_producer, wake_pos);
        let wake = self.region.producer_word(offset).load(Relaxed);
        let ahead = wake.wrapping_sub(kernel);
        ahead != 0 && ahead <= self.geometry().data_bytes()
    }

    /// The room at which poll says that an input queue is writable.
    fn wanted_room(&self) -> u64 {
        let offset = offset_of!(uapi::iostream_producer, room_bytes);
        let asked = match self.call_room.load(Relaxed) {
            0 => self.region.producer_word(offset).load(Relaxed),
            room => room,
        };
        asked.clamp(ring::occupied_bytes(0), self.geometry().data_bytes())
    }

    /// All before this position is ready, whatever the watermark.
    fn ready_pos(&self) -> &Atomic<u64> {
        self.region
            .info_word(offset_of!(uapi::iostream_info, ready_pos))
    }

    /// Bytes and nanoseconds of the watermark; zeros if there is none.
    pub(crate) fn watermark(&self) -> (u64, u64) {
        let Watermark {
            bytes, latency_ns, ..
        } = &self.watermark;
        (bytes.load(Relaxed), latency_ns.load(Relaxed))
    }

    /// Of an output queue: see `IOSTREAM_IOC_WATERMARK`. Process context.
    ///
    /// # Errors
    ///
    /// As there.
    pub(crate) fn set_watermark(&self, bytes: u64, latency_ns: u64) -> Result {
        config::check_watermark(self.geometry().data_bytes(), bytes, latency_ns)?;
        let info = |offset| self.region.info_word(offset);
        {
            let _both = self.watermark.lock.lock();
            self.watermark.bytes.store(bytes, Relaxed);
            self.watermark.latency_ns.store(latency_ns, Relaxed);
            info(offset_of!(uapi::iostream_info, watermark_bytes)).store(bytes, Relaxed);
            info(offset_of!(uapi::iostream_info, latency_ns)).store(latency_ns, Relaxed);
        }
        // One that was started for the old latency.
        self.watermark.timer.cancel();
        // ORDERING: pairs with the full barrier in `publish_produced`: either the publication goes by
        // the new watermark, or it is seen here (litmus: watermark-change).
        smp_mb(Full);
        if self.is_gone() || self.is_ready().unwrap_or(true) {
            self.make_ready();
        } else if self.is_untold() {
            self.start_timer();
        }
        Ok(())
    }

    /// Whether something waits that was not made ready.
    fn is_untold(&self) -> bool {
        match self.both_positions() {
            Some((user, kernel)) => kernel != user && kernel != self.ready_pos().load(Relaxed),
            None => true,
        }
    }

    /// Tells the process of all that waits, whatever the watermark. Any context.
    pub(crate) fn make_ready(&self) {
        self.mark_ready();
        let _ = self.notify.take_armed();
        // ORDERING: after `ready_pos`, as `wake_all` takes the lock that sleepers take before they
        // look at it (litmus: sleep).
        self.wake_user();
    }

    /// All that is published is ready from now on. Issues a full barrier.
    #[cold]
    fn mark_ready(&self) {
        let ready = self.ready_pos();
        if ready.load(Relaxed) != self.kernel_pos.load(Relaxed) {
            // Loaded again under the lock, so that it only goes forward.
            let _lock = self.watermark.lock.lock();
            ready.store(self.kernel_pos.load(Relaxed), Release);
        }
        // ORDERING: pairs with the full barriers of `Notify::arm` and `ring::Consumer::arm_watermark`:
        // either the arming is seen after this, or who armed sees `ready_pos` (litmus: wake-ready).
        smp_mb(Full);
    }

    /// The positions of an empty queue, for a reset.
    pub(super) fn reset_ready(&self) {
        let _lock = self.watermark.lock.lock();
        self.kernel_pos.store(0, Relaxed);
        self.ready_pos().store(0, Relaxed);
    }

    /// The end of a publication with a watermark, after a full barrier.
    #[cold]
    pub(super) fn finish_with_watermark<L: Layout>(
        &self,
        producer: &mut ring::Producer<Mapped, L>,
        force: bool,
    ) {
        if force {
            let _ = producer.crossed_armed();
            return self.make_ready();
        }
        let woken = if self.is_ready().unwrap_or(true) {
            self.mark_ready();
            // Also if the position armed lies ahead, as below when the queue is found full.
            let waits = producer.must_wake_full();
            self.notify.take_armed() || waits
        } else {
            // Who is armed here stays so.
            self.start_timer();
            producer.crossed_armed()
        };
        if woken {
            self.wake_user();
        } else {
            self.count(Counter::WakeupsSuppressed, 1);
        }
    }

    /// After an enqueue that found no room: counts it, and wakes a waiting consumer.
    #[cold]
    pub(crate) fn found_full<L: Layout>(&self, producer: &mut ring::Producer<Mapped, L>) {
        self.count(Counter::Full, 1);
        if self.watermark.is_set() {
            self.mark_ready();
        }
        let waits = producer.must_wake_full();
        if self.notify.take_armed() || waits {
            self.wake_user();
        }
    }

    /// Sees to it that what waits is made ready in time. Any context.
    fn start_timer(&self) {
        // A change of the latency takes the lock, and then cancels what was started before it: no
        // timer runs for an old latency.
        let _lock = self.watermark.lock.lock();
        let latency_ns = self.watermark.latency_ns.load(Relaxed);
        if latency_ns != 0 {
            self.watermark.timer.start(latency_ns);
        }
    }

    /// The timer has fired. Interrupt context.
    fn latency_over(&self) {
        if self.watermark.is_set() && self.is_untold() {
            self.make_ready();
        }
    }
}
