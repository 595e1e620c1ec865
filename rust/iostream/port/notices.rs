// SPDX-License-Identifier: GPL-2.0

//! What the driver of a stream is told, and when.

use kernel::{prelude::*, sync::Arc, workqueue::WorkItem};

use super::{Port, AGAIN_WORK, NOTICE_WORK};
use crate::{
    error::Error,
    pool::{spec::Mode, state::State, Pool},
    queue::config::Direction,
    sync::work,
};

impl WorkItem<NOTICE_WORK> for Port {
    type Pointer = Arc<Port>;

    fn run(port: Arc<Port>) {
        port.run_notices();
    }
}

impl WorkItem<AGAIN_WORK> for Port {
    type Pointer = Arc<Port>;

    fn run(port: Arc<Port>) {
        port.notify_started();
    }
}

impl Port {
    /// Whether this is a stream that does not run: its driver is told of nothing that comes.
    pub(crate) fn is_paused(&self) -> bool {
        self.records().is_some()
            && (self.is_fenced()
                || self
                    .with_pool(|pool| pool.state() != State::Running)
                    .unwrap_or(true))
    }

    /// Whether what the client sends are buffers that are free again.
    pub(crate) fn returns_empty(&self) -> bool {
        self.records().is_some()
            && self
                .with_pool(|pool| pool.mode() == Mode::Output)
                .unwrap_or(false)
    }

    fn with_pool<R>(&self, f: impl FnOnce(&Pool) -> R) -> Result<R, Error> {
        self.with_lane(Direction::Output, |lane| lane.pool().map(|pool| f(pool)))
    }

    /// Lets buffers that were added join an open session, charged to the calling task, and calls a
    /// driver that had run out of buffers.
    ///
    /// # Errors
    ///
    /// `EDQUOT`; `ENOMEM`; `EINTR`.
    pub(crate) fn join_added(&self, pool: &Pool) -> Result {
        let Some(records) = self.records() else {
            return Ok(());
        };
        let before = pool.count();
        let joined = records.join_session(pool);
        if pool.count() != before {
            self.notify_started();
        }
        joined
    }

    /// Has [`Self::notify_started`] run soon, in a worker. Any context.
    pub(crate) fn call_again(port: Arc<Port>) {
        // If it is queued already, it has not begun.
        let _ = work::queue().enqueue::<Arc<Port>, AGAIN_WORK>(port);
    }

    /// Tells the driver of a stream to have a look: it has just started, or wanted to be asked again.
    pub(crate) fn notify_started(&self) {
        self.callbacks.set_pending(Direction::Input);
        self.dispatch(Direction::Input);
    }

    /// Has the driver's input callback run soon, with a token.
    ///
    /// # Errors
    ///
    /// `EAGAIN`: too many wait already.
    pub(crate) fn notice(port: Arc<Port>, token: u32) -> Result {
        port.notices.push(token)?;
        // If it is queued already, it has not begun, and will find the token.
        let _ = work::queue().enqueue::<Arc<Port>, NOTICE_WORK>(port);
        Ok(())
    }

    /// Runs the driver's input callback in this thread.
    ///
    /// # Errors
    ///
    /// The driver's own; `ENODEV`.
    pub(crate) fn notice_sync(&self, token: u32) -> Result {
        self.callbacks
            .call(|driver| driver.input_sync_callback(token))
            .unwrap_or(Err(ENODEV))
    }

    /// Runs the driver's input callback for each notice that waits.
    pub(crate) fn run_notices(&self) {
        let _ = self.callbacks.call(|driver| {
            // Looked at each time: who disables callbacks waits for one of them at most.
            while self.callbacks.are_enabled() {
                match self.notices.pop() {
                    Some(token) => driver.input_callback(token),
                    None => break,
                }
            }
        });
    }
}
