// SPDX-License-Identifier: GPL-2.0

//! The channel of one session: its queues, and the pool of a stream.

pub(crate) mod client_ends;
pub(crate) mod exchange;
pub(crate) mod lane;

use kernel::{prelude::*, sync::Arc};

use crate::{
    pool::{spec::StreamSpec, Pool},
    queue::{
        config::{Direction, QueueConfig},
        watch::Watch,
    },
    sync::wait::WaitQueue,
};
use lane::Lane;
use lane::LaneRef;

/// The queues of one session, and its pool.
#[derive(Clone, Default)]
pub(crate) struct Channel([Option<Arc<Lane>>; 2]);

impl Channel {
    /// New queues of entries.
    ///
    /// # Errors
    ///
    /// `EINVAL`: an overwriting input queue; `EDQUOT`; `ENOMEM`.
    pub(crate) fn new(
        output: Option<QueueConfig>,
        input: Option<QueueConfig>,
        user: &Arc<WaitQueue>,
    ) -> Result<Self> {
        Self::with(output, input, user, None)
    }

    /// Queues and pool of a session of a stream, with no buffers yet.
    ///
    /// # Errors
    ///
    /// `EDQUOT`; `ENOMEM`; `E2BIG`.
    pub(crate) fn new_stream(spec: &StreamSpec, max_buffers: u32) -> Result<Self> {
        let user = WaitQueue::new_shared()?;
        let pool = Pool::new(spec.clone(), max_buffers)?;
        let config = spec.queue(max_buffers)?;
        Self::with(
            Some(config),
            Some(config),
            &user,
            Some((&pool, &Watch::new()?)),
        )
    }

    fn with(
        output: Option<QueueConfig>,
        input: Option<QueueConfig>,
        user: &Arc<WaitQueue>,
        stream: Option<(&Arc<Pool>, &Arc<Watch>)>,
    ) -> Result<Self> {
        let make = |direction, config: Option<QueueConfig>| match config {
            Some(config) => Lane::new(direction, config, user, stream).map(Some),
            None => Ok(None),
        };
        Ok(Self([
            make(Direction::Output, output)?,
            make(Direction::Input, input)?,
        ]))
    }

    /// Lets go of references, in any context.
    pub(crate) fn release(self) {
        for lane in self.0.into_iter().flatten() {
            LaneRef::release(lane);
        }
    }

    /// Lets go of queues that were published, or might have been.
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

    /// All there are.
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
