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
use crate::{channel::exchange::{Discarded, discard_input, discard_output}, pool::{Pool, StreamCounter, spec::Mode, state::{State, Stop}}, queue::config::Direction};

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
        let drained = match how {
            Stop::Drain => Some(self.drain(timeout_ns)?),
            Stop::Discard => None,
        };
        let _one = self.changing.lock();
        let pool = self.changing_pool()?;
        if drained.is_some_and(|drained| !Arc::ptr_eq(&drained, &pool)) {
            // The session that was to be stopped has ended; this is the next.
            return Err(ENOTCONN);
        }
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
    fn drain(&self, timeout_ns: Option<u64>) -> Result<Arc<Pool>> {
        let pool = self.open_pool()?;
        match pool.state() {
            State::Stopped => return Err(EALREADY),
            State::Suspended => return Err(EBADFD),
            State::Running => {}
        }
        if pool.mode() == Mode::Output {
            // What comes back is empty, and the driver may take it as late as it likes.
            return Ok(pool);
        }
        let Some(queue) = self.open_lane(Direction::Input) else {
            return Err(ENODEV);
        };
        // A wake-up takes the arming, so each look arms first.
        queue.notify.user.wait(true, timeout_ns, || {
            queue.notify.arm();
            queue.is_gone() || pool.is_closing() || queue.is_drained()
        })?;
        if queue.is_gone() {
            return Err(ENODEV);
        }
        if pool.is_closing() {
            return Err(ENOTCONN);
        }
        Ok(pool)
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
            if let Some(queue) = self.open_lane(direction) {
                queue.make_ready();
            }
        }
    }

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
        let lane = self.open_lane(Direction::Output).ok_or(ENOTCONN)?;
        Ok(lane.pool().map_err(|_| ENOTTY)?.clone())
    }
}
