// SPDX-License-Identifier: GPL-2.0

//! One queue of a session, with the pool of its stream if it has one.

use core::ops::Deref;

use kernel::{
    prelude::*,
    sync::{rcu, Arc},
    workqueue::{impl_has_work, new_work, Work, WorkItem},
};

use crate::{
    error::Error,
    pool::Pool,
    queue::{
        config::{Direction, QueueConfig},
        watch::Watch,
        Queue,
    },
    sync::{
        deferred::{Deferred, Last},
        wait::WaitQueue,
        work,
    },
};

/// A queue as a port publishes it: counted, and retired by its work item.
#[pin_data]
pub(crate) struct Lane {
    #[pin]
    queue: Queue,
    /// Of a stream's queue: the session's buffers.
    pool: Option<Arc<Pool>>,
    #[pin]
    work: Work<Lane>,
}

impl_has_work! {
    impl HasWork<Self> for Lane { self.work }
}

impl WorkItem for Lane {
    type Pointer = Arc<Lane>;

    fn run(lane: Arc<Lane>) {
        // ORDERING: producers may still be in a section in which they found the lane published
        // (litmus: retire).
        rcu::synchronize_rcu();
        drop(lane);
    }
}

impl Last for Lane {}

/// A reference to a lane that may be dropped in any context.
pub(crate) type LaneRef = Deferred<Lane>;

impl Deref for Lane {
    type Target = Queue;

    #[inline(always)]
    fn deref(&self) -> &Queue {
        &self.queue
    }
}

impl Lane {
    /// A lane with an empty queue, charged to the calling task's cgroup.
    ///
    /// # Errors
    ///
    /// `EINVAL`: an overwriting input queue; `EDQUOT`; `ENOMEM`.
    pub(crate) fn new(
        direction: Direction,
        config: QueueConfig,
        user: &Arc<WaitQueue>,
        stream: Option<(&Arc<Pool>, &Arc<Watch>)>,
    ) -> Result<Arc<Self>> {
        let (pool, watch) = stream.unzip();
        let queue = Queue::new(direction, config, user.clone(), watch.cloned())?;
        let pool = pool.cloned();
        Arc::pin_init(
            pin_init!(Self {
                queue <- queue,
                pool,
                work <- new_work!("iostream_lane"),
            }),
            GFP_KERNEL,
        )
    }

    /// The buffers of the session, if this is a stream's queue.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: it is not.
    #[inline(always)]
    pub(crate) fn pool(&self) -> Result<&Arc<Pool>, Error> {
        self.pool.as_ref().ok_or(Error::Invalid)
    }

    /// Drops a reference to a lane that was published: it is freed after a grace period, in process
    /// context.
    pub(crate) fn retire(lane: Arc<Self>) {
        // The work item of a lane is queued once at a time: here, or by the last reference.
        if let Err(lane) = work::queue().enqueue(lane) {
            LaneRef::release(lane);
        }
    }
}
