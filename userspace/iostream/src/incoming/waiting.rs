// SPDX-License-Identifier: MIT OR Apache-2.0

//! Waiting for entries: looking for a while, then asking to be woken, and sleeping.

use std::os::fd::BorrowedFd;

use iostream_ring::Layout;

use super::Incoming;
use crate::notify::Deadline;
use crate::{Error, Result};

impl<L: Layout> Incoming<L> {
    /// Waits for an entry, or until `other` ends the wait.
    ///
    /// `other` is asked before each sleep, and when the time is over. The sleep also ends when
    /// `bell` becomes readable, and then `other` is asked again. `deadline` is asked once the wait
    /// is to sleep: a wait that finds an entry reads no clock.
    pub(crate) fn wait_or(
        &mut self,
        deadline: impl FnOnce() -> Deadline,
        bell: Option<BorrowedFd<'_>>,
        mut other: impl FnMut() -> Option<Result<()>>,
    ) -> Result<()> {
        self.handle.check_generation()?;
        self.handle.check_waker()?;
        self.flush()?;
        if self.handle.end.is_known_ready() {
            return Ok(());
        }
        if self.handle.spin > 0 && self.first_look()? {
            return Ok(());
        }
        for _ in 1..self.handle.spin {
            std::hint::spin_loop();
            if self.is_due()? {
                return Ok(());
            }
        }
        if self.is_due()? {
            return Ok(());
        }
        let deadline = deadline();
        let mut over = false;
        loop {
            if self.arm()? {
                return Ok(());
            }
            let other = other();
            if other == Some(Ok(())) {
                return Ok(());
            }
            // A driver that goes also stops its stream.
            if self.handle.info().gone() {
                return self.ready_or(Error::Gone);
            }
            if let Some(Err(error)) = other {
                return self.ready_or(error);
            }
            if over {
                return Err(Error::TimedOut);
            }
            let ready = self.handle.sleep(bell, deadline.left())?;
            if self.is_due()? {
                return Ok(());
            }
            match ready {
                Some(ready) if ready.hang_up => return self.ready_or(Error::Gone),
                Some(ready) if ready.error => {
                    return self.ready_or(self.handle.judge(Error::Corrupt))
                }
                // The reason for waking has passed, or the time is over.
                _ => over = deadline.is_over(),
            }
        }
    }

    /// Looks without waiting, as [`Self::wait_or`] does before it sleeps.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] if a wait would sleep; [`Error::Gone`], [`Error::Stale`] or
    /// [`Error::Corrupt`] as for a wait.
    #[cfg(feature = "tokio")]
    pub(crate) fn look(&mut self) -> Result<()> {
        self.flush()?;
        if self.is_due()? {
            return Ok(());
        }
        if self.handle.info().gone() {
            return self.ready_or(Error::Gone);
        }
        Err(Error::Empty)
    }

    /// Asks to be woken when the queue is ready. Returns whether it is ready already.
    pub(crate) fn arm(&mut self) -> Result<bool> {
        self.flush()?;
        self.handle.check_generation()?;
        self.handle.look(|end| end.arm())
    }

    /// [`Self::is_due`], after a pause.
    fn first_look(&mut self) -> Result<bool> {
        self.pace.pause();
        let due = self.is_due();
        self.pace.learn(self.handle.end.ring().known_bytes());
        due
    }

    /// Whether an entry waits; with a watermark, whether the queue counts as ready.
    fn is_due(&mut self) -> Result<bool> {
        self.handle.check_generation()?;
        self.handle.look(|end| end.is_ready())
    }

    /// Succeeds if an entry waits after all.
    fn ready_or(&mut self, error: Error) -> Result<()> {
        if self.available_bytes()? != 0 {
            return Ok(());
        }
        Err(error)
    }
}
