// SPDX-License-Identifier: GPL-2.0

//! A lane: one queue of a session and, for a stream, the session's pool.

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
        race::race_point,
        wait::WaitQueue,
        work,
    },
};

/// A queue as a port publishes it: counted by references, and freed by its work item after a grace
/// period.
#[pin_data]
pub(crate) struct Lane {
    #[pin]
    queue: Queue,
    /// The session's buffers, if it is a stream's.
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
        race_point!("lane-retired");
        // ORDERING: one of the driver's ends may still be in a section in which it found the lane
        // published (litmus: retire).
        rcu::synchronize_rcu();
        // Usually the drop does this. But a driver may leak its end, and with it a reference.
        lane.stop_timer();
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
    /// Creates a lane with an empty queue, charged to the calling task's cgroup.
    ///
    /// # Errors
    ///
    /// `EINVAL` for an overwriting input queue; `EDQUOT`; `ENOMEM`.
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

    /// The pool of the session.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if this is not a stream's queue.
    #[inline(always)]
    pub(crate) fn pool(&self) -> Result<&Arc<Pool>, Error> {
        self.pool.as_ref().ok_or(Error::Invalid)
    }

    /// Drops a reference to a lane that was published. The lane is freed after a grace period, in
    /// process context.
    pub(crate) fn retire(lane: Arc<Self>) {
        // If the work item is queued already, it waits for a grace period that begins after this,
        // and this reference can be dropped at once.
        if let Err(lane) = work::queue().enqueue(lane) {
            LaneRef::release(lane);
        }
    }
}
