// SPDX-License-Identifier: GPL-2.0

//! The watermark of an input queue: how much must wait before the driver is told.
//!
//! The process notifies when it crosses the position that is armed in the consumer's page. Without a
//! latency that is the watermark. With one it is the first entry, while the queue is empty, and then
//! the watermark: at the first entry the timer is started. So the word has two writers, the driver's
//! end, which finds the queue empty, and a notification of the process's; each computes it under
//! `lock`, from the position that the driver's end has published, looks once more, and so the last
//! one is right.

use core::mem::offset_of;

use kernel::{
    bindings as c,
    prelude::*,
    sync::{
        atomic::{Atomic, Full, Relaxed},
        barrier::smp_mb,
        new_spinlock_irq, Arc, SpinLockIrq,
    },
    workqueue::WorkItem,
};

use super::{Port, PortRef, WATERMARK_WORK};
use crate::{
    error::Error,
    queue::{
        config::{self, Direction},
        Queue,
    },
    ring::uapi,
    sync::{race::race_point, timer::Timer, work},
};

/// The shortest entry moves a position by this much.
const ENTRY_ALIGN: u64 = uapi::IOSTREAM_ENTRY_ALIGN as u64;

/// See the module.
#[pin_data]
pub(super) struct InputWatermark {
    /// Bytes, overhead included; 0: none.
    bytes: Atomic<u64>,
    /// How long an entry may wait below it; 0: for ever.
    latency_ns: Atomic<u64>,
    /// The process's entries before this position are ready, however few they are.
    ready_pos: Atomic<u64>,
    #[pin]
    timer: Timer,
    /// Held while the driver's end is armed, `ready_pos` set, or the timer started. Innermost; any context.
    #[pin]
    lock: SpinLockIrq<()>,
}

impl InputWatermark {
    /// None.
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            bytes: Atomic::new(0),
            latency_ns: Atomic::new(0),
            ready_pos: Atomic::new(0),
            timer <- Timer::new(latency_over),
            lock <- new_spinlock_irq!((), "iostream_input"),
        })
    }
}

/// The timer of a port's watermark has fired.
///
/// # Safety
///
/// `raw` is the timer of a port's watermark, and the port lives.
unsafe extern "C" fn latency_over(raw: *mut c::hrtimer) -> c::hrtimer_restart {
    let offset =
        offset_of!(Port, input) + offset_of!(InputWatermark, timer) + offset_of!(Timer, raw);
    // SAFETY: The timer lies at this offset in a port, whose drop waits for this.
    let port = unsafe { &*raw.byte_sub(offset).cast::<Port>() };
    port.input.timer.fired();
    // If the session's end, or a reset, has taken the queue back there is nothing to tell.
    let waits = port.with_lane(Direction::Input, |queue| {
        let (user, kernel) = queue.input_positions();
        let waits = user != kernel && user != port.input.ready_pos.load(Relaxed);
        if waits {
            port.mark_input_ready(queue);
        }
        Ok(waits)
    });
    if waits == Ok(true) {
        port.deliver_later();
    }
    c::hrtimer_restart::HRTIMER_NORESTART
}

impl WorkItem<WATERMARK_WORK> for Port {
    type Pointer = Arc<Port>;

    fn run(port: Arc<Port>) {
        port.deliver(Direction::Input);
    }
}

impl Port {
    /// Sets the watermark of this port's input queues, this session's and those to come. Process
    /// context.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`].
    pub(crate) fn set_input_watermark(&self, bytes: u64, latency_ns: u64) -> Result<(), Error> {
        let capacity = self.config.input.map_or(0, |queue| queue.capacity_bytes());
        config::check_watermark(capacity, bytes, latency_ns).map_err(|_| Error::Invalid)?;
        {
            let _both = self.input.lock.lock();
            self.input.bytes.store(bytes, Relaxed);
            self.input.latency_ns.store(latency_ns, Relaxed);
        }
        // One that was started for the old latency.
        self.input.timer.cancel();
        // What waits is looked at by the new one, as if the process had notified. With no session the
        // next goes by it. Not in this call: the caller may hold a lock that its callback takes.
        let _ = self.with_lane(Direction::Input, |queue| {
            if self.is_due(queue) {
                self.deliver_later();
            }
            Ok(())
        });
        Ok(())
    }

    /// Bytes and nanoseconds of the watermark of the input queues; zeros if there is none.
    pub(crate) fn input_watermark(&self) -> (u64, u64) {
        let InputWatermark {
            bytes, latency_ns, ..
        } = &self.input;
        (bytes.load(Relaxed), latency_ns.load(Relaxed))
    }

    /// Whether the driver is to be told of what waits in `queue`. If not, it is armed for that.
    ///
    /// The queue is published, in an RCU read-side section or by a call of the process's, and the
    /// driver's end has published what it released.
    pub(crate) fn is_due(&self, queue: &Queue) -> bool {
        let (watermark, latency_ns) = self.input_watermark();
        if watermark == 0 {
            return true;
        }
        if self.waiting(queue, watermark).is_some() {
            // A process that moves all the while has it told too often, and no more.
            for _ in 0..4 {
                let empty = self.arm_kernel(queue, watermark, latency_ns != 0);
                // ORDERING: pairs with the process's full barrier between its position and its look
                // at the word (litmus: wake-consumer, wake-full).
                smp_mb(Full);
                match self.waiting(queue, watermark) {
                    None => break,
                    // It may have looked at the word as it was before.
                    Some(used) if empty && used != 0 => {}
                    Some(used) => {
                        if used != 0 && latency_ns != 0 {
                            self.start_input_timer();
                        }
                        return false;
                    }
                }
            }
        }
        self.mark_input_ready(queue);
        true
    }

    /// Starts the timer for the latency as it is now. Any context.
    fn start_input_timer(&self) {
        race_point!("input-timer-start");
        // A change of the latency takes the lock, and then cancels what was started before it: no
        // timer runs for an old latency.
        let _lock = self.input.lock.lock();
        let latency_ns = self.input.latency_ns.load(Relaxed);
        if latency_ns != 0 {
            self.input.timer.start(latency_ns);
        }
    }

    /// Arms the driver's end: for the watermark, or for the first entry if there is none and it is to
    /// start the timer. Returns whether that was so.
    fn arm_kernel(&self, queue: &Queue, watermark: u64, timed: bool) -> bool {
        let _lock = self.input.lock.lock();
        // ORDERING: by the lock the last of two that arm has seen what the driver's end had published
        // before it armed (litmus: input-arm).
        let (user, kernel) = queue.input_positions();
        let first = timed && user == kernel;
        queue.arm_kernel(kernel.wrapping_add(if first { ENTRY_ALIGN } else { watermark }));
        first
    }

    /// Bytes that wait, below the watermark; `None` if the driver is to be told of them.
    fn waiting(&self, queue: &Queue, watermark: u64) -> Option<u64> {
        let (user, kernel) = queue.input_positions();
        let used = user.wrapping_sub(kernel);
        let ahead = self.input.ready_pos.load(Relaxed).wrapping_sub(kernel);
        let ready = ahead != 0 && ahead <= used;
        // A position that cannot be right is above any watermark: the driver's end reports it.
        (used < watermark && !ready && !queue.user_waits_for_room(kernel)).then_some(used)
    }

    /// All that the process has published is ready, whatever the watermark.
    pub(crate) fn mark_input_ready(&self, queue: &Queue) {
        let _lock = self.input.lock.lock();
        let (user, _) = queue.input_positions();
        self.input.ready_pos.store(user, Relaxed);
    }

    /// Has the driver told in a worker. Any context, with a session open.
    fn deliver_later(&self) {
        // SAFETY: Ports live in an `Arc`, and the session that is open has a reference.
        let port = unsafe { PortRef::from_ref(self) }.to_arc();
        // If it is queued already, it has not begun, and will find what is pending.
        if let Err(port) = work::queue().enqueue::<Arc<Port>, WATERMARK_WORK>(port) {
            PortRef::release(port);
        }
    }

    /// A new session's queue, or one that was reset: nothing of the one before is ready.
    pub(super) fn restart_input_watermark(&self, queue: &Queue) {
        {
            let _lock = self.input.lock.lock();
            self.input.ready_pos.store(0, Relaxed);
        }
        let (watermark, latency_ns) = self.input_watermark();
        if watermark != 0 {
            self.arm_kernel(queue, watermark, latency_ns != 0);
        }
    }

    /// Stops the timer at the end of a session. Process context.
    ///
    /// A driver's thread that found the queue before may still start it. It then fires without a
    /// session, or early in the next one, and tells the driver too soon at worst; the port's drop
    /// stops it.
    pub(super) fn stop_input_timer(&self) {
        self.input.timer.cancel();
    }
}
