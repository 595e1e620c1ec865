// SPDX-License-Identifier: GPL-2.0

//! A lane: one queue of a session and, for a stream, the session's pool.

use core::ops::Deref;

use kernel::{
    bindings as c, container_of,
    prelude::*,
    sync::{
        atomic::{Atomic, Full, Relaxed},
        Arc,
    },
    types::Opaque,
    workqueue::{impl_has_work, new_work, Work, WorkItem},
};

use crate::{
    bindings,
    error::Error,
    memory::account::Account,
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
    },
};

/// A queue as a port publishes it: counted by references, and freed by its work item, after a grace
/// period if it was published.
#[pin_data]
pub(crate) struct Lane {
    #[pin]
    queue: Queue,
    /// The session's buffers, if it is a stream's.
    pool: Option<Arc<Pool>>,
    /// Passed to RCU when the lane is retired.
    #[pin]
    rcu: Opaque<c::callback_head>,
    #[pin]
    work: Work<Lane>,
    /// Dropped after everything that gives something back to the account.
    retired: Retired,
}

// SAFETY: Only `rcu` keeps the type from being `Send`. RCU uses it in any thread.
unsafe impl Send for Lane {}
// SAFETY: Only `rcu` keeps the type from being `Sync`. It is used once, as `retired` makes sure.
unsafe impl Sync for Lane {}

impl_has_work! {
    impl HasWork<Self> for Lane { self.work }
}

impl WorkItem for Lane {
    type Pointer = Arc<Lane>;

    fn run(lane: Arc<Lane>) {
        race_point!("lane-retired");
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
    /// Creates a lane with an empty queue, charged to the calling task's cgroup and counted in
    /// `account`.
    ///
    /// # Errors
    ///
    /// `EINVAL` for an overwriting input queue; `EDQUOT`; `ENOMEM`.
    pub(crate) fn new(
        direction: Direction,
        config: QueueConfig,
        user: &Arc<WaitQueue>,
        stream: Option<(&Arc<Pool>, &Arc<Watch>)>,
        account: &Account,
    ) -> Result<Arc<Self>> {
        let (pool, watch) = stream.unzip();
        let queue = Queue::new(direction, config, user.clone(), watch.cloned(), account)?;
        let pool = pool.cloned();
        Arc::pin_init(
            pin_init!(Self {
                queue <- queue,
                pool,
                rcu <- Opaque::zeroed(),
                work <- new_work!("iostream_lane"),
                retired: Retired::new(account),
            }),
            GFP_KERNEL_ACCOUNT,
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

    /// Drops a reference to a lane whose pointer was taken back. The lane is freed after a grace
    /// period, in process context. No thread waits for the grace period.
    pub(crate) fn retire(lane: Arc<Self>) {
        if !lane.retired.set() {
            // The first call's reference outlives the grace period.
            LaneRef::release(lane);
            return;
        }
        let lane = Arc::into_raw(lane);
        // ORDERING: one of the driver's ends may still be in a section in which it found the lane
        // published (litmus: retire).
        // SAFETY: The reference keeps the lane until `retired` takes it over. `rcu` is used for the
        // first and only time.
        unsafe { bindings::iostream_call_rcu((*lane).rcu.get(), Some(retired)) };
    }
}

/// Whether a lane was retired, and so whether `rcu` is in use. The account knows until this is
/// dropped.
struct Retired {
    is: Atomic<u32>,
    account: Account,
}

impl Retired {
    fn new(account: &Account) -> Self {
        Self {
            is: Atomic::new(0),
            account: account.clone(),
        }
    }

    /// Returns whether this is the first call.
    fn set(&self) -> bool {
        // No ordering: of two calls one passes the lane to RCU, whichever it is.
        let first = self.is.xchg(1, Full) == 0;
        if first {
            self.account.begin_return();
        }
        first
    }
}

impl Drop for Retired {
    fn drop(&mut self) {
        if self.is.load(Relaxed) != 0 {
            self.account.end_return();
        }
    }
}

/// Drops the reference of a lane that was retired, after a grace period. Softirq context.
///
/// # Safety
///
/// `head` is `rcu` of a lane, and [`Lane::retire`] has left a reference to this function.
unsafe extern "C" fn retired(head: *mut c::callback_head) {
    // SAFETY: `head` is this field of a lane, whose reference is taken over, by this function's
    // contract.
    let lane = unsafe { Arc::from_raw(container_of!(Opaque::cast_from(head), Lane, rcu)) };
    LaneRef::release(lane);
}
