// SPDX-License-Identifier: MIT OR Apache-2.0

//! Waiting for entries: looking for a while, then asking to be woken, and sleeping.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use iostream_ring::Layout;

use super::Consumer;
use crate::notify::Deadline;
use crate::{Direction, Error, Result};

impl<L: Layout> Consumer<L> {
    /// As [`Self::wait`], but `other`, asked before each sleep, can end it, and so can a
    /// descriptor that becomes readable; then `other` is asked again.
    pub(crate) fn wait_or(
        &mut self,
        timeout: Option<Duration>,
        also: Option<BorrowedFd<'_>>,
        mut other: impl FnMut() -> Option<Result<()>>,
    ) -> Result<()> {
        self.flush()?;
        if self.end.is_known_ready() {
            return self.check_generation();
        }
        if self.spin > 0 && self.first_look()? {
            return Ok(());
        }
        for _ in 1..self.spin {
            std::hint::spin_loop();
            if self.is_due()? {
                return Ok(());
            }
        }
        if self.is_due()? {
            return Ok(());
        }
        let deadline = Deadline::after(timeout);
        loop {
            if self.arm()? {
                return Ok(());
            }
            match other() {
                Some(Err(error)) => return self.ready_or(error),
                Some(Ok(())) => return Ok(()),
                None => {}
            }
            if self.end.info().gone() {
                return self.ready_or(Error::Gone);
            }
            let left = deadline.left()?;
            let ready = self.device.poll(Direction::Output, also, left)?;
            if self.is_due()? {
                return Ok(());
            }
            match ready {
                Some(ready) if ready.hang_up => return self.ready_or(Error::Gone),
                Some(ready) if ready.error => return self.ready_or(Error::Corrupt),
                // Woken for something that is over, or the time is; the deadline knows.
                _ => {}
            }
        }
    }

    /// Asks to be woken, by the eventfd, when the next entry comes, or the watermark is reached; looks
    /// once more.
    ///
    /// Returns whether it is so already. Only those need it who sleep on the eventfd alone: poll
    /// and epoll arm by themselves.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`], [`Error::Corrupt`].
    pub fn arm(&mut self) -> Result<bool> {
        self.flush()?;
        self.check_generation()?;
        self.end.arm()
    }

    /// [`Self::is_due`], after a pause.
    fn first_look(&mut self) -> Result<bool> {
        self.pace.pause();
        let due = self.is_due();
        self.pace.learn(self.end.ring().known_bytes());
        due
    }

    /// As [`Self::is_ready`], by the watermark if there is one.
    fn is_due(&mut self) -> Result<bool> {
        self.check_generation()?;
        self.end.is_ready()
    }

    /// Success if an entry waits after all.
    fn ready_or(&mut self, error: Error) -> Result<()> {
        if self.is_ready()? {
            return Ok(());
        }
        Err(error)
    }
}
