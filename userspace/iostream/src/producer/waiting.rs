// SPDX-License-Identifier: MIT OR Apache-2.0

//! Waiting for room: looking for a while, then asking to be woken, and sleeping.

use std::time::Duration;

use super::Producer;
use crate::notify::Deadline;
use crate::{Direction, Error, Result, Waker};

/// How long a wait insists on a good deal of room before it accepts any room that suffices.
const PATIENCE: Duration = Duration::from_millis(1);

impl Producer {
    /// Waits for room if necessary, and copies `bytes` into the queue as one entry.
    ///
    /// For up to a millisecond it waits until a quarter of the queue is free, and only then for the
    /// entry's own length. Otherwise the two sides would wake each other for every entry.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if the time is over first; [`Error::TooLarge`] if the entry can never
    /// fit; [`Error::Cancelled`] or [`Error::Interrupted`] as [`Self::set_waker`] and
    /// [`Self::set_interruptible`] say; or one of the [common errors](Self#errors). In each case
    /// nothing is written.
    pub fn enqueue_wait(&mut self, bytes: &[u8], timeout: Option<Duration>) -> Result<()> {
        self.queue.handle.check_waker()?;
        match self.enqueue(bytes) {
            Err(Error::Full) => {}
            done => return done,
        }
        let need = iostream_ring::occupied_bytes(self.entry_len(bytes.len())?);
        let deadline = Deadline::after(timeout);
        loop {
            self.wait_room_until(need, self.capacity_bytes() / 4, deadline)?;
            match self.enqueue(bytes) {
                Err(Error::Full) => {}
                done => return done,
            }
        }
    }

    /// Waits until `bytes` bytes are free, including the overhead of entries.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] if the time is over first; [`Error::TooLarge`] if the queue has fewer
    /// bytes in all; [`Error::Cancelled`] or [`Error::Interrupted`] as [`Self::set_waker`] and
    /// [`Self::set_interruptible`] say; or one of the [common errors](Self#errors).
    pub fn wait_room(&mut self, bytes: u64, timeout: Option<Duration>) -> Result<()> {
        self.wait_room_until(bytes, bytes, Deadline::after(timeout))
    }

    /// Sets, replaces or removes what ends this producer's waits from elsewhere.
    ///
    /// Once it is woken, methods that may wait fail with [`Error::Cancelled`]: see [`Waker`].
    pub fn set_waker(&mut self, waker: Option<Waker>) {
        self.queue.handle.waker = waker;
    }

    /// Sets whether a signal ends a wait, with [`Error::Interrupted`]. At first it does not.
    ///
    /// A signal that comes just before the wait sleeps does not end it. Where that matters, let the
    /// signal's handler wake a [`Waker`] instead.
    pub fn set_interruptible(&mut self, interruptible: bool) {
        self.queue.handle.interruptible = interruptible;
    }

    /// Asks to be woken, through poll or the eventfd, once `bytes` bytes are free. Returns whether
    /// they are free already.
    ///
    /// This is for programs that sleep elsewhere than in this crate. Those that sleep on the
    /// eventfd alone must call it. In an event loop it sets how much room makes the descriptor
    /// writable.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] if the queue has fewer bytes in all, or one of the
    /// [common errors](Self#errors).
    pub fn arm_room(&mut self, bytes: u64) -> Result<bool> {
        self.check()?;
        self.flush()?;
        self.poll_room = bytes;
        self.queue.handle.look(|end| end.arm_room(bytes))
    }

    /// Waits for `rather` bytes of room for as long as [`PATIENCE`] says, then for `need` bytes.
    fn wait_room_until(&mut self, need: u64, rather: u64, deadline: Deadline) -> Result<()> {
        self.check()?;
        self.queue.handle.check_waker()?;
        self.flush()?;
        for _ in 0..self.queue.handle.spin {
            if self.queue.handle.look(|end| end.room())? >= need {
                return Ok(());
            }
            std::hint::spin_loop();
        }
        let result = self.sleep_for_room(need, rather.max(need), deadline);
        self.queue.handle.end.set_poll_room(self.poll_room);
        result
    }

    fn sleep_for_room(&mut self, need: u64, rather: u64, deadline: Deadline) -> Result<()> {
        let (mut target, mut over) = (rather, false);
        loop {
            self.check()?;
            if self.queue.handle.look(|end| end.arm_room(target))?
                || self.queue.handle.look(|end| end.room())? >= need
            {
                return Ok(());
            }
            if over {
                return Err(Error::TimedOut);
            }
            if self.queue.handle.end.must_wake_full() {
                self.queue.handle.device.notify_flushed(Direction::Input)?;
                // The driver may have taken entries within that call.
                if self.queue.handle.look(|end| end.room())? >= need {
                    return Ok(());
                }
            }
            let mut time = deadline.left();
            if target > need {
                time = Some(time.map_or(PATIENCE, |time| time.min(PATIENCE)));
            }
            let ready = self.queue.handle.sleep(None, time)?;
            self.check()?;
            if self.queue.handle.look(|end| end.room())? >= need {
                return Ok(());
            }
            match ready {
                Some(ready) if ready.hang_up => return Err(Error::Gone),
                Some(ready) if ready.error => return Err(self.queue.handle.judge(Error::Corrupt)),
                Some(_) => {}
                None => target = need,
            }
            over = deadline.is_over();
        }
    }
}
