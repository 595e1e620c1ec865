// SPDX-License-Identifier: GPL-2.0

//! The queues of one session.

pub(crate) mod client_ends;

use kernel::{prelude::*, sync::Arc};

use crate::{
    pool::{spec::StreamSpec, Pool},
    queue::{
        config::{Direction, QueueConfig},
        Queue, QueueRef,
    },
};

/// The queues of one session.
#[derive(Clone, Default)]
pub(crate) struct SessionQueues([Option<Arc<Queue>>; 2]);

impl SessionQueues {
    /// New queues; of a stream if there is a pool.
    ///
    /// # Errors
    ///
    /// As [`Queue::new`].
    pub(crate) fn new(
        output: Option<QueueConfig>,
        input: Option<QueueConfig>,
        pool: Option<&Arc<Pool>>,
    ) -> Result<Self> {
        let make = |direction, config: Option<QueueConfig>| match config {
            Some(config) => Queue::new(direction, config, pool.cloned()).map(Some),
            None => Ok(None),
        };
        Ok(Self([
            make(Direction::Output, output)?,
            make(Direction::Input, input)?,
        ]))
    }

    /// Lets go of references, in any context.
    pub(crate) fn release(self) {
        for queue in self.0.into_iter().flatten() {
            QueueRef::release(queue);
        }
    }

    /// Lets go of queues that were published, or might have been.
    pub(crate) fn retire(self) {
        for queue in self.0.into_iter().flatten() {
            Queue::retire(queue);
        }
    }

    /// The queue of a direction, if the session has one.
    pub(crate) fn get(&self, direction: Direction) -> Option<&Arc<Queue>> {
        match direction {
            Direction::Output => self.0[0].as_ref(),
            Direction::Input => self.0[1].as_ref(),
        }
    }

    /// All there are.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Queue>> {
        self.0.iter().flatten()
    }

    /// The pool of a stream's session.
    pub(crate) fn pool(&self) -> Option<&Pool> {
        self.get(Direction::Output).and_then(|queue| queue.pool())
    }

    /// Queues and pool of a session of a stream, with no buffers yet.
    ///
    /// # Errors
    ///
    /// `EDQUOT`; `ENOMEM`; `E2BIG`.
    pub(crate) fn new_stream(spec: &StreamSpec, max_buffers: u32) -> Result<Self> {
        let pool = Pool::new(spec.clone(), max_buffers)?;
        let config = spec.queue(max_buffers)?;
        Self::new(Some(config), Some(config), Some(&pool))
    }
}
