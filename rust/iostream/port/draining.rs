// SPDX-License-Identifier: GPL-2.0

//! What a client has published reaches the driver: at fsync(2), and before the session ends.

use kernel::prelude::*;

use super::Port;
use crate::sync::race::race_point;
use crate::{
    bindings,
    channel::Channel,
    pool::{spec::Mode, state::Stop, Pool},
    queue::{config::Direction, Queue},
    sync::{gate::Patience, wait::Deadline},
};

impl Port {
    /// Waits until the driver has taken everything that was published in `queue`, an input queue.
    ///
    /// # Errors
    ///
    /// `EINTR`: a signal came, of any kind if `interruptible`, otherwise a fatal one; `ETIMEDOUT`;
    /// `ENODEV` if the driver is gone; `EBADMSG` if the process's position is invalid.
    pub(crate) fn wait_taken(
        &self,
        queue: &Queue,
        interruptible: bool,
        timeout_ns: Option<u64>,
    ) -> Result {
        if queue.input_bytes()? == 0 {
            return Ok(());
        }
        // It may be less than the watermark.
        self.notify_flushed(queue);
        race_point!("drain-notified");
        let is_over = || queue.is_gone() || !matches!(queue.input_bytes(), Ok(1..));
        // A wake-up consumes the arming, so each look arms first.
        let deadline = Deadline::after(timeout_ns);
        queue.notify.user.wait(interruptible, deadline, || {
            queue.notify.arm();
            is_over()
        })?;
        match queue.input_bytes()? {
            0 => Ok(()),
            _ => Err(ENODEV),
        }
    }

    /// Lets the driver take what the client has published, for at most the time that the driver
    /// has set. Called when the client has closed the port, which is still published.
    pub(super) fn drain_at_close(&self, queues: &Channel) {
        let Some(input) = queues.get(Direction::Input) else {
            return;
        };
        let limit_ns = self.config.drain_at_close_ns;
        // SAFETY: The function has no preconditions.
        let waits = limit_ns != 0 && !unsafe { bindings::iostream_exits_by_signal() };
        match queues.pool() {
            None if waits => {
                let _ = self.wait_taken(input, false, Some(limit_ns));
            }
            None => {
                if let Ok(1..) = input.input_bytes() {
                    self.notify_flushed(input);
                }
            }
            Some(pool) if waits && is_written(pool) => {
                // Its errors mean that there is nothing to wait for, or that the time is over.
                let _ = self.stop(Stop::Drain, Some(limit_ns), Patience::UntilKilled);
            }
            Some(_) => {}
        }
    }
}

/// Whether the stream has data that were written by write(2).
fn is_written(pool: &Pool) -> bool {
    pool.mode() != Mode::Output && pool.was_written()
}
