// SPDX-License-Identifier: GPL-2.0

//! Whether a queue is ready for the process: one rule for poll, eventfd, read(2) and write(2).
//!
//! An input queue is ready when it has the room that was asked for. An output queue without a
//! watermark is ready when it holds an entry. With a watermark it is ready when that many bytes
//! wait, or when what waits was made ready by the timer, a full queue, a flush or the end of the
//! stream. `ready_pos` of the info page records this: everything before that position stays ready
//! until it is consumed. The process sees it too.
//!
//! Each publication makes everything that waits ready, or makes sure that the timer runs.

use core::mem::offset_of;

use kernel::{
    bindings as c, container_of,
    prelude::*,
    sync::{new_spinlock_irq, SpinLockIrq},
    types::Opaque,
};

use super::{
    config::{self, Direction},
    Counter, Queue,
};
use crate::{
    ring::{self, uapi, Layout, Mapped},
    sync::{
        atomic::{smp_mb, Acquire, Atomic, Full, Relaxed, Release},
        race::race_point,
        timer::{Timer, NO_RESTART},
    },
};

/// The watermark of an output queue.
#[pin_data]
pub(super) struct Watermark {
    /// The bytes that have to wait, overhead included; 0: there is no watermark.
    bytes: Atomic<u64>,
    /// How long an entry may wait below the watermark; 0: without limit.
    latency_ns: Atomic<u64>,
    /// Runs while an entry waits below the watermark, if there is a latency.
    #[pin]
    timer: Timer,
    /// Held while `ready_pos` is stored, so that it does not move back, and while the timer is started.
    /// Innermost lock, taken in any context.
    #[pin]
    lock: SpinLockIrq<()>,
}

impl Watermark {
    /// Creates a state without a watermark.
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            bytes: Atomic::new(0),
            latency_ns: Atomic::new(0),
            timer <- Timer::new(latency_over),
            lock <- new_spinlock_irq!((), "iostream_ready"),
        })
    }

    /// Whether there is a watermark.
    #[inline(always)]
    pub(super) fn is_set(&self) -> bool {
        self.bytes.load(Relaxed) != 0
    }
}

/// Handles the timer of a queue's watermark.
///
/// # Safety
///
/// `raw` is the `watermark.timer.raw` of a queue that has not been freed.
unsafe extern "C" fn latency_over(raw: *mut c::hrtimer) -> c::hrtimer_restart {
    // SAFETY: `raw` is this field of a queue by this function's contract. The queue's drop cancels
    // the timer first, and so waits for this function.
    let queue = unsafe { &*container_of!(Opaque::cast_from(raw), Queue, watermark.timer.raw) };
    queue.watermark.timer.fired();
    queue.latency_over();
    NO_RESTART
}

impl Queue {
    /// Whether the queue is ready for the process: readable if it is an output queue, writable if
    /// it is an input queue.
    ///
    /// # Errors
    ///
    /// [`ring::Error::Corrupt`]: the process's position is invalid.
    pub(crate) fn is_ready(&self) -> Result<bool, ring::Error> {
        // ORDERING: pairs with the release store at the end of a reset, and the second load with
        // the write barrier at its begin, because the loads in between are acquire
        // (litmus: reset-poll).
        let generation = self.generation.load(Acquire);
        let ready = self.is_ready_by_positions();
        if generation % 2 == 0 || self.generation.load(Relaxed) != generation {
            // The positions may be of two generations. Whoever sleeps is woken after a reset.
            return Ok(false);
        }
        ready
    }

    fn is_ready_by_positions(&self) -> Result<bool, ring::Error> {
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

    /// Whether an output queue is ready in which `used` bytes wait, from position `user` on.
    fn is_enough(&self, user: u64, used: u64) -> bool {
        let watermark = self.watermark.bytes.load(Relaxed);
        if watermark == 0 || self.is_gone() {
            return true;
        }
        if used >= watermark {
            // Recorded by the side that finds it first: the process may consume some of the bytes
            // before the producer looks.
            self.mark_ready();
            return true;
        }
        ring::is_before(user, self.ready_pos().load(Relaxed))
    }

    /// The positions of the process and of the kernel's end, as they were at one moment. `None` if
    /// they move too fast to tell; a caller may then treat the queue as ready.
    pub(crate) fn both_positions(&self) -> Option<(u64, u64)> {
        // ORDERING: the caller has armed before, with a full barrier; see `Notify::arm`. The
        // acquire load in `user_pos` pairs with the process's release store: `kernel_pos` is at
        // least what the process had seen of the kernel's end
        // (litmus: poll-positions, poll-moment).
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

    /// Whether read(2) has begun the next entry. Then the rest is ready, whatever the watermark.
    pub(crate) fn has_begun(&self) -> bool {
        self.call_began.load(Relaxed) != 0
    }

    /// Whether the process has consumed everything that was published to it.
    pub(crate) fn is_drained(&self) -> bool {
        self.both_positions()
            .is_some_and(|(user, kernel)| user == kernel)
    }

    /// The position that the process published. It is not checked.
    pub(crate) fn user_pos(&self) -> u64 {
        // ORDERING: pairs with the process's release store: what it had seen of the kernel's end, or
        // written, comes before (litmus: poll-positions, poll-moment).
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

    /// The positions of the process and of the kernel's end in an input queue. The kernel's is
    /// never ahead if the process's is valid.
    pub(crate) fn input_positions(&self) -> (u64, u64) {
        // ORDERING: loaded first, so that the process's position is not older (litmus: poll-moment).
        let kernel = self.kernel_pos.load(Acquire);
        (self.user_pos(), kernel)
    }

    /// The bytes that wait in an input queue, overhead included.
    ///
    /// # Errors
    ///
    /// `EBADMSG`: the process's position is invalid.
    pub(crate) fn input_bytes(&self) -> Result<u64> {
        let (user, kernel) = self.input_positions();
        let used = user.wrapping_sub(kernel);
        if used > self.geometry().data_bytes() {
            return Err(EBADMSG);
        }
        Ok(used)
    }

    /// Arms the kernel's end of an input queue: the process notifies when it reaches `pos`.
    pub(crate) fn arm_kernel(&self, pos: u64) {
        let offset = offset_of!(uapi::iostream_consumer, wake_pos);
        self.region.consumer_word(offset).store(pos, Relaxed);
    }

    /// Whether the process waits for more room in an input queue than there is while the kernel's
    /// end is at `kernel`.
    pub(crate) fn user_waits_for_room(&self, kernel: u64) -> bool {
        let offset = offset_of!(uapi::iostream_producer, wake_pos);
        let wake = self.region.producer_word(offset).load(Relaxed);
        let ahead = wake.wrapping_sub(kernel);
        ahead != 0 && ahead <= self.geometry().data_bytes()
    }

    /// The room that an input queue needs to be writable: what the last write(2) found missing, or
    /// what a process that has mapped its end asks for in its page.
    fn wanted_room(&self) -> u64 {
        let offset = offset_of!(uapi::iostream_producer, room_bytes);
        let asked = match self.call_room.load(Relaxed) {
            room if room != 0 && !self.region.is_mapped() => room,
            _ => self.region.producer_word(offset).load(Relaxed),
        };
        asked.clamp(ring::occupied_bytes(0), self.geometry().data_bytes())
    }

    /// The position before which everything is ready, whatever the watermark.
    fn ready_pos(&self) -> &Atomic<u64> {
        self.region
            .info_word(offset_of!(uapi::iostream_info, ready_pos))
    }

    /// The watermark in bytes and the latency in nanoseconds; 0 for each that is not set.
    pub(crate) fn watermark(&self) -> (u64, u64) {
        let Watermark {
            bytes, latency_ns, ..
        } = &self.watermark;
        (bytes.load(Relaxed), latency_ns.load(Relaxed))
    }

    /// Sets the watermark and the latency of an output queue, for `IOSTREAM_IOC_WATERMARK`. Process
    /// context.
    ///
    /// # Errors
    ///
    /// `EINVAL`: a latency without a watermark; `ERANGE`: a watermark above the queue's size, or a
    /// latency out of range.
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
        race_point!("watermark-set");
        // The timer may have been started for the old latency.
        self.watermark.timer.cancel();
        // ORDERING: pairs with the full barrier in `find_sleeper`: either the publication uses the
        // new watermark, or its entry is seen here (litmus: watermark-change).
        smp_mb(Full);
        if self.is_gone() || self.is_ready().unwrap_or(true) {
            self.make_ready();
        } else if self.is_untold() {
            self.start_timer();
        }
        Ok(())
    }

    /// Whether something waits that has not been made ready.
    fn is_untold(&self) -> bool {
        match self.both_positions() {
            Some((user, kernel)) => kernel != user && kernel != self.ready_pos().load(Relaxed),
            None => true,
        }
    }

    /// Makes everything that waits ready, whatever the watermark, and wakes the process. Any
    /// context.
    pub(crate) fn make_ready(&self) {
        self.mark_ready();
        race_point!("marked-ready");
        let _ = self.notify.take_armed();
        // ORDERING: after the store of `ready_pos`; `wake_all` takes the lock that a sleeper takes
        // before it looks at that position (litmus: sleep).
        self.wake_user();
    }

    /// Records that everything published is ready, and issues a full barrier.
    #[cold]
    fn mark_ready(&self) {
        let ready = self.ready_pos();
        if ready.load(Relaxed) != self.kernel_pos.load(Relaxed) {
            // `kernel_pos` is loaded again under the lock, so that `ready_pos` only moves forward.
            let _lock = self.watermark.lock.lock();
            ready.store(self.kernel_pos.load(Relaxed), Release);
        }
        // ORDERING: pairs with the full barriers of `Notify::arm` and
        // `ring::Consumer::arm_watermark`: either the arming is seen after this barrier, or the
        // side that armed sees `ready_pos` (litmus: wake-ready).
        smp_mb(Full);
    }

    /// Sets the positions to those of an empty queue, for a reset.
    pub(super) fn reset_ready(&self) {
        let _lock = self.watermark.lock.lock();
        self.kernel_pos.store(0, Relaxed);
        self.ready_pos().store(0, Relaxed);
    }

    /// Finishes a publication in a queue with a watermark: makes it ready and wakes the process, or
    /// starts the timer. The caller has issued a full barrier.
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
            // An armed position that lies ahead counts as well, because the queue is ready now.
            let waits = producer.must_wake_full();
            self.notify.take_armed() || waits
        } else {
            // `armed` stays set until the queue is ready.
            self.start_timer();
            producer.crossed_armed()
        };
        if woken {
            self.wake_user();
        } else {
            self.count(Counter::WakeupsSuppressed, 1);
        }
    }

    /// Handles an enqueue that found no room: counts it, and wakes a waiting process.
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

    /// Stops the timer of a queue that is no longer published. Process context.
    pub(crate) fn stop_timer(&self) {
        self.watermark.timer.cancel();
    }

    /// Makes sure that the timer runs, if there is a latency. Any context.
    fn start_timer(&self) {
        race_point!("output-timer-start");
        // A change of the latency takes the lock, and then cancels what was started before it: no
        // timer runs for an old latency.
        let _lock = self.watermark.lock.lock();
        let latency_ns = self.watermark.latency_ns.load(Relaxed);
        if latency_ns != 0 {
            self.watermark.timer.start(latency_ns);
        }
    }

    /// Makes what has waited for the latency ready. Called by the timer, in interrupt context.
    fn latency_over(&self) {
        race_point!("output-timer-fires");
        if self.watermark.is_set() && self.is_untold() {
            self.make_ready();
        }
    }
}
