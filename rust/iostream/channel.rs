// SPDX-License-Identifier: GPL-2.0

//! The channel of one session: its queues and, for a stream, its pool.

pub(crate) mod client_ends;
pub(crate) mod exchange;
pub(crate) mod lane;
mod waiting;

use kernel::{prelude::*, sync::Arc};

use crate::{
    memory::account::Account,
    pool::{spec::StreamSpec, Pool},
    queue::{
        config::{Direction, QueueConfig},
        watch::Watch,
    },
    sync::wait::WaitQueue,
};
use lane::{Lane, LaneRef};

/// The lanes of one session: output and input. In a stream both refer to the session's pool.
#[derive(Clone, Default)]
pub(crate) struct Channel([Option<Arc<Lane>>; 2]);

impl Channel {
    /// Creates queues of entries, counted in `account`.
    ///
    /// # Errors
    ///
    /// `EINVAL` for an overwriting input queue; `EDQUOT`; `ENOMEM`.
    pub(crate) fn new(
        output: Option<QueueConfig>,
        input: Option<QueueConfig>,
        user: &Arc<WaitQueue>,
        account: &Account,
    ) -> Result<Self> {
        Self::with(output, input, user, None, account)
    }

    /// Creates the queues and the pool of a stream's session, with no buffers yet.
    ///
    /// # Errors
    ///
    /// `EDQUOT`; `ENOMEM`; `E2BIG` if a queue is larger than the module's `max_queue_bytes`.
    pub(crate) fn new_stream(
        spec: &StreamSpec,
        max_buffers: u32,
        account: &Account,
    ) -> Result<Self> {
        let user = WaitQueue::new_shared()?;
        let pool = Pool::new(spec.clone(), max_buffers, account)?;
        let config = spec.queue(max_buffers)?;
        Self::with(
            Some(config),
            Some(config),
            &user,
            Some((&pool, &Watch::new(spec.classes.as_ref())?)),
            account,
        )
    }

    fn with(
        output: Option<QueueConfig>,
        input: Option<QueueConfig>,
        user: &Arc<WaitQueue>,
        stream: Option<(&Arc<Pool>, &Arc<Watch>)>,
        account: &Account,
    ) -> Result<Self> {
        let make = |direction, config: Option<QueueConfig>| match config {
            Some(config) => Lane::new(direction, config, user, stream, account).map(Some),
            None => Ok(None),
        };
        Ok(Self([
            make(Direction::Output, output)?,
            make(Direction::Input, input)?,
        ]))
    }

    /// Drops the references. Any context.
    pub(crate) fn release(self) {
        for lane in self.0.into_iter().flatten() {
            LaneRef::release(lane);
        }
    }

    /// Drops the references to queues that may have been published. Each queue is freed after a
    /// grace period.
    pub(crate) fn retire(self) {
        for lane in self.0.into_iter().flatten() {
            Lane::retire(lane);
        }
    }

    /// The queue of a direction, if the session has one.
    pub(crate) fn get(&self, direction: Direction) -> Option<&Arc<Lane>> {
        match direction {
            Direction::Output => self.0[0].as_ref(),
            Direction::Input => self.0[1].as_ref(),
        }
    }

    /// The lanes that the session has.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Lane>> {
        self.0.iter().flatten()
    }

    /// Where the process waits, for any of the queues. A channel has at least one.
    pub(crate) fn user(&self) -> Option<&Arc<WaitQueue>> {
        self.iter().next().map(|lane| &lane.notify.user)
    }

    /// The pool of a stream's session.
    pub(crate) fn pool(&self) -> Option<&Pool> {
        let lane = self.get(Direction::Output)?;
        lane.pool().ok().map(|pool| &**pool)
    }
}
