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

use core::ptr;

use kernel::{
    prelude::*,
    sync::{atomic::Relaxed, Arc},
    task::Task,
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
    sync::{
        atomic::{smp_mb, Full},
        gate::{Pass, Patience},
        race::race_point,
        wait::Deadline,
    },
};

/// The right to change the state and the mode of a stream, until dropped.
struct Change<'a> {
    port: &'a Port,
    pass: Option<Pass<'a, ()>>,
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.port.changer.store(0, Relaxed);
        drop(self.pass.take());
        // A poll that would have started the stream found it being changed.
        if let Some(lane) = self.port.open_lane(Direction::Output) {
            lane.notify.user.wake_all();
        }
    }
}

impl Port {
    /// Waits until nobody else changes the state or the mode, if `patience` says so.
    ///
    /// # Errors
    ///
    /// `EDEADLK` if this very thread changes it: the driver's callback has come back to its own
    /// stream, through other streams of which it is a client. `EAGAIN`; `ERESTARTSYS`: a signal came
    /// while another call changed it.
    fn change(&self, patience: Patience) -> Result<Change<'_>> {
        self.check_not_changing()?;
        Ok(self.begin_change(self.changing.enter(patience)?))
    }

    fn check_not_changing(&self) -> Result {
        let me = ptr::from_ref::<Task>(kernel::current!()).addr();
        // No ordering: only this thread stores its own address.
        if self.changer.load(Relaxed) == me {
            return Err(EDEADLK);
        }
        Ok(())
    }

    fn begin_change<'a>(&'a self, pass: Pass<'a, ()>) -> Change<'a> {
        let me = ptr::from_ref::<Task>(kernel::current!()).addr();
        self.changer.store(me, Relaxed);
        Change {
            port: self,
            pass: Some(pass),
        }
    }

    /// Starts the stream, or resumes it after a suspend.
    ///
    /// # Errors
    ///
    /// `EALREADY` if the stream runs; `ENOTCONN` without a session; `ENODEV` if the driver is gone;
    /// `EDEADLK` in a callback of a change of the same stream; `EAGAIN` and `ERESTARTSYS` while
    /// another call changes the stream; the driver's own.
    pub(crate) fn start(&self, patience: Patience) -> Result {
        {
            let _one = self.change(patience)?;
            let pool = self.changing_pool()?;
            let before = pool.state();
            if before == State::Running {
                return Err(EALREADY);
            }
            pool.fix_mode_for_start();
            // Before the callback, because the driver may send from inside it. Buffer callbacks are
            // fenced, as always while the stream does not run, until it has returned.
            pool.set_state(State::Running);
            let started = self
                .callbacks
                .call(|driver| driver.start())
                .unwrap_or(Err(ENODEV));
            if let Err(error) = started {
                pool.set_state(before);
                self.forget_start(&pool);
                return Err(error);
            }
            race_point!("start-answered");
            pool.set_started();
            self.lift_fence();
        }
        // Buffers that were dropped while the stream was stopped. The fence was lifted with a full
        // barrier; see `return_free`. If this fails, the driver's next call meets the same error.
        let _ = self.return_free();
        // The driver was not told of buffers that came while the stream did not run, and may have
        // left some when it was suspended.
        self.notify_started();
        Ok(())
    }

    /// Lets the mode be changed again after the driver has refused the first start. If a buffer was
    /// sent meanwhile, the mode stays fixed, because the client may have it. Under `changing`.
    fn forget_start(&self, pool: &Pool) {
        if !pool.was_started() {
            // Waits for senders that have seen the stream run.
            let _ = self.with_ends_quiesced(&[Direction::Output], |_| pool.forget_start());
        }
    }

    /// Suspends the stream. What is queued stays queued.
    ///
    /// # Errors
    ///
    /// `EBADFD` if the stream is stopped; `EALREADY` if it is suspended; `ENOTCONN` without a
    /// session; `ENODEV` if the driver is gone; `ERESTARTSYS` while another call changes the stream;
    /// the driver's own.
    pub(crate) fn suspend(&self, patience: Patience) -> Result {
        let _one = self.change(patience)?;
        let pool = self.changing_pool()?;
        match pool.state() {
            State::Stopped => return Err(EBADFD),
            State::Suspended => return Err(EALREADY),
            State::Running => {}
        }
        self.fence();
        race_point!("suspend-fenced");
        let suspended = self
            .callbacks
            .call(|driver| driver.suspend())
            .unwrap_or(Err(ENODEV));
        if let Err(error) = suspended {
            self.lift_fence();
            drop(_one);
            // What came meanwhile.
            self.dispatch(Direction::Input);
            self.dispatch(Direction::Output);
            return Err(error);
        }
        pool.set_state(State::Suspended);
        Ok(())
    }

    /// Stops the stream. A drain waits for at most `timeout_ns` nanoseconds, and for what `patience`
    /// says.
    ///
    /// # Errors
    ///
    /// `EALREADY` if the stream is stopped; `ENOTCONN` without a session; `ENODEV` if the driver is
    /// gone; `ERESTARTSYS` while another call changes the stream. To drain also `EBADFD` if the
    /// stream is suspended, `EINTR` and `ETIMEDOUT`; then the stream still runs.
    pub(crate) fn stop(
        &self,
        how: Stop,
        timeout_ns: Option<u64>,
        patience: Patience,
    ) -> Result<Discarded> {
        let drained = match how {
            Stop::Drain => Some(self.drain(patience == Patience::UntilSignal, timeout_ns)?),
            Stop::Discard => None,
        };
        race_point!("drained");
        let _one = self.change(patience)?;
        let pool = self.changing_pool()?;
        if drained.is_some_and(|drained| !Arc::ptr_eq(&drained, &pool)) {
            // The session that was to be stopped has ended; this is the next.
            return Err(ENOTCONN);
        }
        if pool.state() == State::Stopped {
            return Err(EALREADY);
        }
        self.fence();
        self.callbacks
            .call(|driver| driver.stop(how))
            .ok_or(ENODEV)?;
        race_point!("stop-answered");
        pool.enter(State::Stopped);
        let discarded = self.discard(&pool, how);
        pool.publish_state();
        self.wake_stopped();
        discarded
    }

    /// Stops the stream because its session ends or its driver goes. It is not started again.
    pub(crate) fn stop_for_good(&self, pool: &Pool) {
        if self.check_not_changing().is_err() {
            // The driver's own callback for a change of this stream ends the session, through other
            // streams. What it changes now is the last change.
            return pool.set_closing();
        }
        let _one = self.begin_change(self.changing.enter_surely());
        pool.set_closing();
        self.fence();
        if pool.state() != State::Stopped {
            let _ = self.callbacks.call(|driver| driver.stop(Stop::Discard));
            pool.set_state(State::Stopped);
        }
    }

    /// No buffer callback runs when this returns, nor starts until [`Self::lift_fence`]. Under
    /// `changing`.
    fn fence(&self) {
        // ORDERING: the exchange comes before the grace period, which pairs with the look inside the
        // SRCU section of a callback (litmus: callbacks-disable).
        self.fenced.xchg(1, Full);
        self.callbacks.synchronize();
    }

    /// Buffer callbacks may run again; the caller runs those that are pending. Under `changing`.
    fn lift_fence(&self) {
        self.fenced.xchg(0, Full);
        // ORDERING: pairs with the full barrier in `set_pending` (litmus: callbacks-enable).
        smp_mb(Full);
    }

    /// Whether buffer callbacks are fenced off. To be relied on inside an SRCU section alone.
    pub(crate) fn is_fenced(&self) -> bool {
        self.fenced.load(Relaxed) != 0
    }

    /// Changes the session's mode.
    ///
    /// # Errors
    ///
    /// `EBUSY` once the stream was started or something was mapped; `EOPNOTSUPP` if the driver has
    /// slices of the buffers; `ENOTCONN` without a session; `ENODEV` if the driver is gone;
    /// `ERESTARTSYS` while another call changes the stream; the driver's own.
    pub(crate) fn set_mode(&self, mode: Mode, patience: Patience) -> Result {
        let _one = self.change(patience)?;
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
        let before = pool.mode();
        self.callbacks
            .call(|driver| driver.mode_change(mode))
            .unwrap_or(Err(ENODEV))?;
        race_point!("mode-agreed");
        let changed = pool.set_mode(mode, patience);
        if changed.is_err() {
            // Something was mapped meanwhile: the driver learns that the mode stays.
            let _ = self.callbacks.call(|driver| driver.mode_change(before));
        }
        changed
    }

    /// The pool of the open session, unless the session is about to end. Called under `changing`.
    fn changing_pool(&self) -> Result<Arc<Pool>> {
        let pool = self.open_pool()?;
        if pool.is_closing() {
            return Err(ENOTCONN);
        }
        Ok(pool)
    }

    /// Waits until the driver has taken everything that the client sent. Returns the pool of the
    /// session that was drained.
    fn drain(&self, interruptible: bool, timeout_ns: Option<u64>) -> Result<Arc<Pool>> {
        let pool = self.open_pool()?;
        match pool.state() {
            State::Stopped => return Err(EALREADY),
            State::Suspended => return Err(EBADFD),
            State::Running => {}
        }
        if pool.mode() == Mode::Output {
            // The client returns empty buffers. The driver may take them as late as it likes.
            return Ok(pool);
        }
        let Some(queue) = self.open_lane(Direction::Input) else {
            return Err(ENODEV);
        };
        // A wake-up consumes the arming, so each check arms first.
        let deadline = Deadline::after(timeout_ns);
        queue.notify.user.wait(interruptible, deadline, || {
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

    /// Discards what is queued: takes back the buffers that the driver has not taken, and, unless
    /// the stream was drained, marks those that the client has not taken.
    fn discard(&self, pool: &Pool, how: Stop) -> Result<Discarded> {
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
                output: match how {
                    Stop::Discard => discard_output(pool, output, producer),
                    // What the driver sent stays for the client.
                    Stop::Drain => 0,
                },
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
