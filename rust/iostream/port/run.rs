// SPDX-License-Identifier: GPL-2.0

//! Start, suspend, stop, and the change of mode: what a client, or sysfs, asks of a stream.
//!
//! ```text
//!            start                suspend
//! stopped  --------->  running  ---------->  suspended
//!    ^                  |   ^                  |   |
//!    +------------------+   +------------------+   |
//!    |      stop                   start           |
//!    +---------------------------------------------+
//! ```
//!
//! The driver's callbacks for these run one at a time, under `Port::changing`.

use kernel::{
    prelude::*,
    sync::{atomic::Relaxed, Arc},
};

use super::Port;
use crate::{
    pool::{
        descriptor::Descriptor,
        spec::{Descriptors, Mode, DESCRIPTOR_BYTES},
        state::{State, Stop},
        Pool, StreamCounter,
    },
    queue::{
        config::{Direction, Wake},
        Queue,
    },
    ring::{self, uapi},
};

/// What a stop discarded.
#[derive(Clone, Copy, Default)]
pub(crate) struct Discarded {
    pub(crate) output: u64,
    pub(crate) input: u64,
}

impl Port {
    /// Starts the stream, or has it go on.
    ///
    /// # Errors
    ///
    /// `ENODEV`; `ENOTCONN`: no session; `EALREADY`: it runs; the driver's own.
    pub(crate) fn start(&self) -> Result {
        {
            let _one = self.changing.lock();
            let pool = self.changing_pool()?;
            let before = pool.state();
            if before == State::Running {
                return Err(EALREADY);
            }
            pool.fix_mode();
            // First, so that the driver may send from its callback on.
            pool.set_state(State::Running);
            let started = self
                .callbacks
                .call(|driver| driver.start())
                .unwrap_or(Err(ENODEV));
            if let Err(error) = started {
                pool.set_state(before);
                return Err(error);
            }
            pool.set_started();
        }
        // What came while the stream did not run, and what a suspended driver left.
        self.notify_started();
        Ok(())
    }

    /// Has the stream pause; what is queued stays.
    ///
    /// # Errors
    ///
    /// `ENODEV`; `ENOTCONN`; `EBADFD`: stopped; `EALREADY`: suspended; the driver's own.
    pub(crate) fn suspend(&self) -> Result {
        let _one = self.changing.lock();
        let pool = self.changing_pool()?;
        match pool.state() {
            State::Stopped => return Err(EBADFD),
            State::Suspended => return Err(EALREADY),
            State::Running => {}
        }
        self.callbacks
            .call(|driver| driver.suspend())
            .unwrap_or(Err(ENODEV))?;
        pool.set_state(State::Suspended);
        Ok(())
    }

    /// Stops the stream.
    ///
    /// # Errors
    ///
    /// `ENODEV`; `ENOTCONN`; `EALREADY`: stopped; to drain: `EBADFD`: suspended, `EINTR`,
    /// `ETIMEDOUT`, and the stream goes on.
    pub(crate) fn stop(&self, how: Stop, timeout_ns: Option<u64>) -> Result<Discarded> {
        if how == Stop::Drain {
            self.drain(timeout_ns)?;
        }
        let _one = self.changing.lock();
        let pool = self.changing_pool()?;
        if pool.state() == State::Stopped {
            return Err(EALREADY);
        }
        self.callbacks
            .call(|driver| driver.stop(how))
            .ok_or(ENODEV)?;
        pool.set_state(State::Stopped);
        let discarded = match how {
            Stop::Discard => self.discard(&pool)?,
            Stop::Drain => Discarded::default(),
        };
        self.wake_stopped();
        Ok(discarded)
    }

    /// Stops the stream, if it is not, because its session ends or its driver goes.
    pub(crate) fn stop_for_good(&self, pool: &Pool) {
        let _one = self.changing.lock();
        pool.set_closing();
        if pool.state() != State::Stopped {
            let _ = self.callbacks.call(|driver| driver.stop(Stop::Discard));
            pool.set_state(State::Stopped);
        }
    }

    /// Changes the session's mode.
    ///
    /// # Errors
    ///
    /// `ENODEV`; `ENOTCONN`; `EBUSY`: started, or mapped; `EOPNOTSUPP`: the driver has slices of the
    /// buffers; the driver's own.
    pub(crate) fn set_mode(&self, mode: Mode) -> Result {
        let _one = self.changing.lock();
        let pool = self.changing_pool()?;
        if pool.mode() == mode {
            return Ok(());
        }
        if pool.is_mode_fixed() {
            return Err(EBUSY);
        }
        if pool.spec().output_only {
            return Err(EOPNOTSUPP);
        }
        self.callbacks
            .call(|driver| driver.mode_change(mode))
            .unwrap_or(Err(ENODEV))?;
        pool.set_mode(mode)
    }

    /// The pool of a session that is not about to end; under `changing`.
    fn changing_pool(&self) -> Result<Arc<Pool>> {
        let pool = self.open_pool()?;
        if pool.is_closing() {
            return Err(ENOTCONN);
        }
        Ok(pool)
    }

    /// Waits until the driver has taken all that the client sent.
    fn drain(&self, timeout_ns: Option<u64>) -> Result {
        let pool = self.open_pool()?;
        match pool.state() {
            State::Stopped => return Err(EALREADY),
            State::Suspended => return Err(EBADFD),
            State::Running => {}
        }
        if pool.mode() == Mode::Output {
            // What comes back is empty, and the driver may take it as late as it likes.
            return Ok(());
        }
        let Some(queue) = self.open_queue(Direction::Input) else {
            return Err(ENODEV);
        };
        // A wake-up takes the arming, so each look arms first.
        queue.notify.user.wait(true, timeout_ns, || {
            queue.notify.arm();
            queue.is_gone() || queue.is_drained()
        })?;
        if queue.is_gone() {
            return Err(ENODEV);
        }
        Ok(())
    }

    /// Discards what is queued: takes back what the driver has not taken, and marks what the client
    /// has not.
    fn discard(&self, pool: &Pool) -> Result<Discarded> {
        self.with_ends_quiesced(&[Direction::Output, Direction::Input], |queues| {
            let (Some(output), Some(input)) =
                (queues.get(Direction::Output), queues.get(Direction::Input))
            else {
                return Discarded::default();
            };
            // SAFETY: Both queues were taken back, and a grace period has passed.
            let (producer, consumer) = unsafe { (output.producer(), input.consumer()) };
            let (Some(producer), Some(consumer)) = (producer, consumer) else {
                return Discarded::default();
            };
            let discarded = Discarded {
                output: discard_output(pool, output, producer),
                input: discard_input(pool, (output, producer), (input, consumer)),
            };
            pool.counter(StreamCounter::Discarded)
                .add(discarded.output + discarded.input, Relaxed);
            discarded
        })
    }

    /// Whoever waits for a stream that was stopped has a look.
    fn wake_stopped(&self) {
        for direction in [Direction::Output, Direction::Input] {
            if let Some(queue) = self.open_queue(direction) {
                queue.make_ready();
            }
        }
    }
}

/// Marks what the client has not taken. Returns how many that are.
fn discard_output(
    pool: &Pool,
    queue: &Queue,
    producer: &mut ring::Producer<ring::Mapped, Descriptors>,
) -> u64 {
    if pool.mode() == Mode::Input {
        // What is in there are buffers for the client to fill.
        return 0;
    }
    let waiting = match producer.room() {
        Ok(room) => queue.geometry().data_bytes() - room,
        // The client lies about what it has taken; it gets what it says.
        Err(_) => 0,
    };
    pool.info().set_discarded_pos(producer.published_pos());
    waiting / DESCRIPTOR_BYTES as u64
}

/// Takes back what the driver has not taken. Returns how many that are.
fn discard_input(
    pool: &Pool,
    (output, producer): (&Queue, &mut ring::Producer<ring::Mapped, Descriptors>),
    (input, consumer): (&Queue, &mut ring::Consumer<ring::Mapped, Descriptors>),
) -> u64 {
    let mode = pool.mode();
    let mut discarded = 0;
    // The client may go on sending; what comes after is for the next start.
    let waiting = consumer.available().unwrap_or(0);
    let end = consumer.released_pos().wrapping_add(waiting);
    while consumer.released_pos() != end {
        let Ok(bytes) = consumer.pop_array() else {
            break;
        };
        let descriptor = Descriptor::from_bytes(bytes);
        input.publish_consumed(consumer, 1, 0);
        if pool.accept(&descriptor).is_err() {
            continue;
        }
        let meant = mode != Mode::Output && !descriptor.is_unused();
        discarded += u64::from(meant);
        if mode == Mode::Input {
            // Not yet the client's: another descriptor of it may follow, and must be refused.
            pool.put_aside(descriptor.buffer);
        } else {
            pool.put_back(descriptor.buffer);
        }
    }
    for buffer in 0..pool.count() {
        if !pool.take_aside(buffer) {
            continue;
        }
        let returned = Descriptor {
            buffer,
            flags: uapi::IOSTREAM_DESCRIPTOR_DISCARDED,
            sequence: pool.next_sequence(),
            ..Default::default()
        };
        if crate::ends::stream::send(output, pool, producer, &returned, Wake::Normal).is_err() {
            pool.put_back(buffer);
        }
    }
    // The driver left it without having found it empty, perhaps, and would not be told.
    let _ = consumer.arm();
    discarded
}

impl Port {
    /// The pool of the open session.
    ///
    /// # Errors
    ///
    /// `ENODEV`: the registration is gone; `ENOTCONN`: no session; `ENOTTY`: no stream.
    pub(crate) fn open_pool(&self) -> Result<Arc<Pool>> {
        if self.records().is_none() {
            return Err(ENOTTY);
        }
        if self.is_gone() {
            return Err(ENODEV);
        }
        let queue = self.open_queue(Direction::Output).ok_or(ENOTCONN)?;
        queue.pool_arc().ok_or(ENOTTY)
    }
}
