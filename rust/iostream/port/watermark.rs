// SPDX-License-Identifier: GPL-2.0

//! The watermark of an input queue: how much must wait before the driver is told.
//!
//! The process notifies when it crosses the position that is armed in the consumer's page. Without
//! a latency the armed position is that of the watermark. With a latency it is that of the first
//! entry while the queue is empty, because the first entry starts the timer, and then that of the
//! watermark.
//!
//! So the armed position has two writers: the driver's end when it finds the queue empty, and a
//! notification of the process. Each writer computes it under `lock` from the position that the
//! driver's end has published, and then looks at the queue again. So the last writer is right.

use kernel::{
    bindings as c, container_of,
    prelude::*,
    sync::{
        atomic::{Atomic, Full, Relaxed},
        barrier::smp_mb,
        new_spinlock_irq, Arc, ArcBorrow, SpinLockIrq,
    },
    types::Opaque,
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
    sync::{
        race::race_point,
        timer::{Timer, NO_RESTART},
        work,
    },
};

/// The shortest entry moves a position by this many bytes.
const ENTRY_ALIGN: u64 = uapi::IOSTREAM_ENTRY_ALIGN as u64;

/// The watermark of a port's input queues, with the timer of its latency.
#[pin_data]
pub(super) struct InputWatermark {
    /// The watermark in bytes, overhead included. 0 means no watermark.
    bytes: Atomic<u64>,
    /// How long an entry may wait below the watermark. 0 means without limit.
    latency_ns: Atomic<u64>,
    /// The driver is told of the entries before this position, even below the watermark.
    ready_pos: Atomic<u64>,
    #[pin]
    timer: Timer,
    /// Held while the armed position or `ready_pos` is computed and stored, and while the timer is
    /// started. Innermost; any context.
    #[pin]
    lock: SpinLockIrq<()>,
}

impl InputWatermark {
    /// Creates the state of a port without a watermark.
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

/// Called when the timer of a port's watermark fires: marks what waits as ready, and schedules a
/// call of the driver.
///
/// # Safety
///
/// `raw` is `input.timer.raw` of a port that lives.
unsafe extern "C" fn latency_over(raw: *mut c::hrtimer) -> c::hrtimer_restart {
    // SAFETY: `raw` is this field of a port by this function's contract, and ports live in an
    // `Arc`. The port's drop cancels the timer first, and so waits for this function.
    let port = unsafe {
        ArcBorrow::from_raw(container_of!(Opaque::cast_from(raw), Port, input.timer.raw))
    };
    port.input.timer.fired();
    race_point!("input-timer-fires");
    // If a reset or the end of the session has taken the queue back, there is nothing to tell.
    let waits = port.with_lane(Direction::Input, |queue| {
        let (user, kernel) = queue.input_positions();
        let waits = user != kernel && user != port.input.ready_pos.load(Relaxed);
        if waits {
            port.mark_input_ready(queue);
        }
        Ok(waits)
    });
    if waits == Ok(true) {
        Port::deliver_later(port);
    }
    NO_RESTART
}

impl WorkItem<WATERMARK_WORK> for Port {
    type Pointer = Arc<Port>;

    fn run(port: Arc<Port>) {
        race_point!("input-work");
        port.deliver(Direction::Input);
    }
}

impl Port {
    /// Sets the watermark of this port's input queues, in this session and later ones. Process
    /// context.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if `check_watermark` refuses the values.
    pub(crate) fn set_input_watermark(
        port: ArcBorrow<'_, Self>,
        bytes: u64,
        latency_ns: u64,
    ) -> Result<(), Error> {
        let capacity = port.config.input.map_or(0, |queue| queue.capacity_bytes());
        config::check_watermark(capacity, bytes, latency_ns).map_err(|_| Error::Invalid)?;
        {
            let _both = port.input.lock.lock();
            port.input.bytes.store(bytes, Relaxed);
            port.input.latency_ns.store(latency_ns, Relaxed);
        }
        race_point!("input-watermark-set");
        // The timer may have been started for the old latency.
        port.input.timer.cancel();
        // Applies the new watermark to what waits now, as if the process had notified. A worker
        // calls the driver, because the caller may hold a lock that its callback takes. Without a
        // session there is nothing to do: the next one begins with the new watermark.
        let _ = port.with_lane(Direction::Input, |queue| {
            if port.is_due(queue) {
                Self::deliver_later(port);
            }
            Ok(())
        });
        Ok(())
    }

    /// The watermark of the input queues in bytes, and its latency in nanoseconds; zeros if there
    /// is none.
    pub(crate) fn input_watermark(&self) -> (u64, u64) {
        let InputWatermark {
            bytes, latency_ns, ..
        } = &self.input;
        (bytes.load(Relaxed), latency_ns.load(Relaxed))
    }

    /// Whether the driver is to be told of what waits in `queue`. If not, arms the driver's end.
    ///
    /// The caller makes sure that the queue stays published: by an RCU read-side section, or
    /// because it runs in a call of the session. The driver's end has published what it released.
    pub(crate) fn is_due(&self, queue: &Queue) -> bool {
        let (watermark, latency_ns) = self.input_watermark();
        if watermark == 0 {
            return true;
        }
        if self.waiting(queue, watermark).is_some() {
            // If the process publishes all the while, this gives up and tells the driver too early,
            // which is harmless.
            for _ in 0..4 {
                let empty = self.arm_kernel(queue, watermark, latency_ns != 0);
                // ORDERING: pairs with the full barrier of the process between the store of its
                // position and its load of the armed one (litmus: wake-consumer, wake-full).
                smp_mb(Full);
                match self.waiting(queue, watermark) {
                    None => break,
                    // The first entry came meanwhile. The process may have loaded the armed
                    // position before it was stored here, so arm again.
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

    /// Arms the driver's end: for the watermark, or for the first entry if the queue is empty and
    /// that entry starts the timer (`timed`). Returns whether it armed for the first entry.
    fn arm_kernel(&self, queue: &Queue, watermark: u64, timed: bool) -> bool {
        let _lock = self.input.lock.lock();
        // ORDERING: the lock makes the last one that arms see what the driver's end had published
        // before it armed (litmus: input-arm).
        let (user, kernel) = queue.input_positions();
        let first = timed && user == kernel;
        queue.arm_kernel(kernel.wrapping_add(if first { ENTRY_ALIGN } else { watermark }));
        first
    }

    /// The bytes that wait below the watermark; `None` if the driver is to be told of them.
    fn waiting(&self, queue: &Queue, watermark: u64) -> Option<u64> {
        let (user, kernel) = queue.input_positions();
        let used = user.wrapping_sub(kernel);
        let ahead = self.input.ready_pos.load(Relaxed).wrapping_sub(kernel);
        let ready = ahead != 0 && ahead <= used;
        // An invalid position of the process is above any watermark: the driver's end reports it.
        (used < watermark && !ready && !queue.user_waits_for_room(kernel)).then_some(used)
    }

    /// Marks everything that the process has published as ready, even below the watermark.
    pub(crate) fn mark_input_ready(&self, queue: &Queue) {
        let _lock = self.input.lock.lock();
        let (user, _) = queue.input_positions();
        self.input.ready_pos.store(user, Relaxed);
    }

    /// Schedules a call of the driver in a worker. Any context.
    fn deliver_later(port: ArcBorrow<'_, Self>) {
        // If the work is queued already, it has not begun, and will find what is pending.
        if let Err(port) = work::calling().enqueue::<Arc<Port>, WATERMARK_WORK>(port.into()) {
            PortRef::release(port);
        }
    }

    /// Begins anew with the queue of a new session, or with one that was reset: nothing in it is
    /// ready yet.
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

    /// Stops the timer at the end of a session, or when the driver goes. Process context.
    ///
    /// A thread of the driver that found the queue before may still start the timer. Then it fires
    /// without a session, or in the next one, where it tells the driver too early at worst. The
    /// port's drop stops it.
    pub(super) fn stop_input_timer(&self) {
        self.input.timer.cancel();
    }
}
