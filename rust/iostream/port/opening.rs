// SPDX-License-Identifier: GPL-2.0

//! How a session opens a port, and how it ends.

use core::ptr;

use kernel::{prelude::*, sync::Arc};

use super::{publish, Occupancy, Port};
use crate::{
    channel::Channel,
    driver::Opener,
    memory::account::Account,
    queue::config::Direction,
    sync::{
        atomic::{Relaxed, Release},
        gate::Patience,
        race::race_point,
        wait::WaitQueue,
    },
};

impl Port {
    /// Opens the port for one session: asks the driver whether it accepts `opener`, if there is one,
    /// creates the queues, publishes them, and tells the driver. The queues count in `account`. The
    /// process waits at `user`; `None` if nobody can wait yet. The result is `None` if another
    /// session has the port open. While the driver is asked about another opener this waits, if
    /// `patience` says so.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the registration is gone; the driver's own; `EDQUOT`; `ENOMEM`; `EINTR`; `EAGAIN`:
    /// it would have to wait; for a stream with a device those of mapping the buffers.
    pub(crate) fn open(
        &self,
        opener: Option<&Opener<'_>>,
        user: Option<&Arc<WaitQueue>>,
        account: &Account,
        patience: Patience,
    ) -> Result<Option<Channel>> {
        // One opener at a time: an opener that is refused does not keep the node busy for others.
        let _one = self.opening.enter(patience)?;
        {
            let state = self.state.lock();
            if state.gone {
                return Err(ENODEV);
            }
            if self.is_open() {
                return Ok(None);
            }
        }
        if let Some(opener) = opener {
            // Before anything is allocated.
            self.callbacks
                .call(|driver| driver.open(opener))
                .unwrap_or(Err(ENODEV))?;
        }
        race_point!("open-agreed");
        {
            let state = self.state.lock();
            if state.gone {
                return Err(ENODEV);
            }
            self.set_open(&state, true);
        }
        let opened = self.open_claimed(user, account);
        if opened.is_err() {
            self.set_open(&self.state.lock(), false);
            if opener.is_some() {
                // It was told of a client that does not come.
                let _ = self.callbacks.call(|driver| driver.closed());
            }
        } else {
            race_point!("open-published");
            self.kicks.kick();
            let _ = self.callbacks.call(|driver| driver.opened());
        }
        opened.map(Some)
    }

    /// Whether a session has the port open, or is about to. Without the lock this may change at any
    /// time.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Relaxed) != 0
    }

    /// Whether it is worth trying to open the port: it is free, or the driver is gone.
    pub(crate) fn may_be_opened(&self) -> bool {
        !self.is_open() || self.is_gone()
    }

    fn set_open(&self, _state: &Occupancy, open: bool) {
        self.open.store(u32::from(open), Relaxed);
    }

    fn open_claimed(&self, user: Option<&Arc<WaitQueue>>, account: &Account) -> Result<Channel> {
        let queues = match &self.records {
            Some(records) => records.new_session(account)?,
            None => {
                let user = match user {
                    Some(user) => user.clone(),
                    None => WaitQueue::new_shared()?,
                };
                Channel::new(self.config.output, self.config.input, &user, account)?
            }
        };
        let mut state = self.state.lock();
        if state.gone {
            // The queues were not published, so dropping them frees them.
            return Err(ENODEV);
        }
        if let Some(queue) = queues.get(Direction::Input) {
            self.restart_input_watermark(queue);
        }
        if let Some(pool) = queues.pool() {
            pool.begin();
        }
        for direction in [Direction::Output, Direction::Input] {
            publish(&self.published[direction as usize], queues.get(direction));
        }
        state.queues = queues.clone();
        Ok(queues)
    }

    /// Ends the session: lets the driver take what the client has published, stops the stream, takes
    /// the queues back, and tells the driver.
    pub(crate) fn close(&self, queues: Channel) {
        self.drain_at_close(&queues);
        if let Some(pool) = queues.pool() {
            // Whoever drains this session from outside waits no longer.
            pool.set_closing();
            for lane in queues.iter() {
                lane.wake_user();
            }
            self.stop_for_good(pool);
        }
        let outside = {
            let mut state = self.state.lock();
            for slot in &self.published {
                // ORDERING: the grace period in which the lanes are retired pairs with the section in
                // `with_lane` (litmus: retire).
                slot.store(ptr::null_mut(), Release);
            }
            core::mem::take(&mut state.queues)
        };
        race_point!("close-unpublished");
        self.stop_input_timer();
        // The driver's threads that wait for the client learn that it is gone.
        self.kicks.kick();
        if self.records.is_some() {
            // A notice of this client must not reach the driver during the next session.
            self.notices.clear();
            self.callbacks.synchronize();
        }
        let _ = self.callbacks.call(|driver| driver.closed());
        drop(outside);
        if let Some(pool) = queues.pool() {
            pool.end();
        }
        queues.retire();
        race_point!("close-end");
        self.set_open(&self.state.lock(), false);
    }
}
