// SPDX-License-Identifier: GPL-2.0

//! What the driver of a stream is told, and when: buffers that arrive, and notices of its client.

use kernel::{prelude::*, sync::Arc, workqueue::WorkItem};

use super::{Port, AGAIN_WORK, NOTICE_WORK};
use crate::sync::race::race_point;
use crate::{
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

/// What the client's entries are to the driver.
#[derive(Clone, Copy)]
pub(super) enum Incoming {
    /// Entries, or buffers with something in them.
    Data,
    /// Buffers of a stream in output mode, which are free again.
    FreeBuffers,
}

impl Port {
    /// What the client's entries are to the driver now; `None` while the port has a stream that
    /// does not run, or is fenced, whose driver is told of nothing.
    pub(super) fn incoming(&self) -> Option<Incoming> {
        if self.records().is_none() {
            return Some(Incoming::Data);
        }
        if self.is_fenced() {
            return None;
        }
        let now = self.with_lane(Direction::Output, |lane| {
            lane.pool().map(|pool| (pool.state(), pool.mode()))
        });
        match now {
            Ok((State::Running, Mode::Output)) => Some(Incoming::FreeBuffers),
            Ok((State::Running, _)) => Some(Incoming::Data),
            _ => None,
        }
    }

    /// Adds buffers that the driver has added to an open session, charged to the calling task. Wakes
    /// a client that waits for buffers to fill, and calls a driver that had run out of them.
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
        race_point!("buffers-joined");
        if pool.count() != before {
            // In input mode they are with the client, which may wait for a buffer to fill.
            for direction in [Direction::Output, Direction::Input] {
                if let Some(lane) = self.open_lane(direction) {
                    lane.wake_user();
                }
            }
            self.notify_started();
        }
        joined
    }

    /// Schedules a call of [`Self::notify_started`] in a worker. Any context.
    pub(crate) fn call_again(port: Arc<Port>) {
        // If the work is queued already, it has not begun, and its call serves this request, too.
        let _ = work::calling().enqueue::<Arc<Port>, AGAIN_WORK>(port);
    }

    /// Tells the driver to look at its queue of incoming entries or buffers, because its stream has
    /// just started or it asked to be called again.
    pub(crate) fn notify_started(&self) {
        self.callbacks.set_pending(Direction::Input);
        self.dispatch(Direction::Input);
    }

    /// Schedules a call of the driver's input callback with a token, in a worker.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if too many tokens wait already.
    pub(crate) fn notice(port: Arc<Port>, token: u32) -> Result {
        port.notices.push(token)?;
        race_point!("notice-pushed");
        // If the work is queued already, it has not begun, and will find the token.
        let _ = work::calling().enqueue::<Arc<Port>, NOTICE_WORK>(port);
        Ok(())
    }

    /// Calls the driver's synchronous input callback in this thread.
    ///
    /// # Errors
    ///
    /// The driver's own; `ENODEV` if the driver is gone.
    pub(crate) fn notice_sync(&self, token: u32) -> Result {
        self.callbacks
            .call(|driver| driver.input_sync_callback(token))
            .unwrap_or(Err(ENODEV))
    }

    /// Calls the driver's input callback for each notice that waits.
    pub(crate) fn run_notices(&self) {
        let _ = self.callbacks.call(|driver| {
            race_point!("notices-begin");
            // Checked before each notice, so that disabling callbacks waits for one of them at
            // most.
            while self.callbacks.are_enabled() {
                match self.notices.pop() {
                    Some(token) => driver.input_callback(token),
                    None => break,
                }
            }
        });
    }
}
