// SPDX-License-Identifier: GPL-2.0

//! How a stream starts, suspends, stops and changes its mode, when a client or sysfs asks for it.
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
//! The driver's callbacks for these changes run one at a time, under `Port::changing`.

use kernel::{
    prelude::*,
    sync::{atomic::Relaxed, Arc},
};

use super::Port;
use crate::{
    channel::exchange::{discard_input, discard_output, Discarded},
    pool::{
        spec::Mode,
        state::{State, Stop},
        Pool, StreamCounter,
    },
    queue::config::Direction,
};

impl Port {
    /// Starts the stream, or resumes it after a suspend.
    ///
    /// # Errors
    ///
    /// `EALREADY` if the stream runs; `ENOTCONN` without a session; `ENODEV` if the driver is gone;
    /// the driver's own.
    pub(crate) fn start(&self) -> Result {
        {
            let _one = self.changing.lock();
            let pool = self.changing_pool()?;
            let before = pool.state();
            if before == State::Running {
                return Err(EALREADY);
            }
            pool.fix_mode();
            // Before the callback, because the driver may send from inside it.
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
        // The driver was not told of buffers that came while the stream did not run, and may have
        // left some when it was suspended.
        self.notify_started();
        Ok(())
    }

    /// Suspends the stream. What is queued stays queued.
    ///
    /// # Errors
    ///
    /// `EBADFD` if the stream is stopped; `EALREADY` if it is suspended; `ENOTCONN` without a
    /// session; `ENODEV` if the driver is gone; the driver's own.
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
    /// `EALREADY` if the stream is stopped; `ENOTCONN` without a session; `ENODEV` if the driver is
    /// gone. To drain also `EBADFD` if the stream is suspended, `EINTR` and `ETIMEDOUT`; then the
    /// stream still runs.
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

    /// Stops the stream because its session ends or its driver goes. It is not started again.
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
    /// `EBUSY` once the stream was started or something was mapped; `EOPNOTSUPP` if the driver has
    /// slices of the buffers; `ENOTCONN` without a session; `ENODEV` if the driver is gone; the
    /// driver's own.
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

    /// The pool of the open session, unless the session is about to end. Called under `changing`.
    fn changing_pool(&self) -> Result<Arc<Pool>> {
        let pool = self.open_pool()?;
        if pool.is_closing() {
            return Err(ENOTCONN);
        }
        Ok(pool)
    }

    /// Waits until the driver has taken everything that the client sent.
    fn drain(&self, timeout_ns: Option<u64>) -> Result {
        let pool = self.open_pool()?;
        match pool.state() {
            State::Stopped => return Err(EALREADY),
            State::Suspended => return Err(EBADFD),
            State::Running => {}
        }
        if pool.mode() == Mode::Output {
            // The client returns empty buffers. The driver may take them as late as it likes.
            return Ok(());
        }
        let Some(queue) = self.open_lane(Direction::Input) else {
            return Err(ENODEV);
        };
        // A wake-up consumes the arming, so each check arms first.
        queue.notify.user.wait(true, timeout_ns, || {
            queue.notify.arm();
            queue.is_gone() || queue.is_drained()
        })?;
        if queue.is_gone() {
            return Err(ENODEV);
        }
        Ok(())
    }

    /// Discards what is queued: takes back the buffers that the driver has not taken, and marks
    /// those that the client has not taken.
    fn discard(&self, pool: &Pool) -> Result<Discarded> {
        self.with_ends_quiesced(&[Direction::Output, Direction::Input], |queues| {
            let (Some(output), Some(input)) =
                (queues.get(Direction::Output), queues.get(Direction::Input))
            else {
                return Discarded::default();
            };
            // SAFETY: Both queues were taken back, and a grace period has passed: nothing else
            // uses the kernel's ends.
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

    /// Wakes everyone that waits for the stream, because it was stopped.
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
    /// `ENOTTY` if the port has no stream; `ENODEV` if the registration is gone; `ENOTCONN`
    /// without a session.
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
