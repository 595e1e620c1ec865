// SPDX-License-Identifier: GPL-2.0

//! A client that is a module of the kernel: where a process has poll, it has a callback.

use kernel::{
    prelude::*,
    sync::{new_mutex, Arc, Mutex},
    workqueue::{impl_has_work, new_work, Work, WorkItem},
};

use crate::sync::{
    atomic::{Atomic, Full, Relaxed},
    work,
};

/// The client's callback.
type Callback = KBox<dyn Fn() + Send + Sync>;

/// The callback of a session's client, shared by the queues of the session.
#[pin_data]
pub(crate) struct Watch {
    /// Whether there is a callback: most sessions are a process's, and have none.
    set: Atomic<u32>,
    /// Held while it runs.
    #[pin]
    callback: Mutex<Option<Callback>>,
    #[pin]
    work: Work<Watch>,
}

impl_has_work! {
    impl HasWork<Self> for Watch { self.work }
}

impl WorkItem for Watch {
    type Pointer = Arc<Watch>;

    fn run(watch: Arc<Watch>) {
        if let Some(callback) = &*watch.callback.lock() {
            callback();
        }
    }
}

impl Watch {
    /// No callback.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                set: Atomic::new(0),
                callback <- new_mutex!(None, "iostream_watch"),
                work <- new_work!("iostream_watch"),
            }),
            GFP_KERNEL,
        )
    }

    /// Sets or removes the callback. When this returns the previous one does not run.
    pub(crate) fn set(&self, callback: Option<Callback>) {
        self.set.xchg(callback.is_some().into(), Full);
        let old = core::mem::replace(&mut *self.callback.lock(), callback);
        drop(old);
    }

    /// Calls the callback soon, in a worker, if there is one. Any context.
    #[inline(always)]
    pub(crate) fn call(watch: &Arc<Self>) {
        // ORDERING: the client sets it before it arms with a full barrier; the caller took that arming
        // after a full barrier of its own (litmus: wake-poll).
        if watch.set.load(Relaxed) != 0 {
            // An item that is queued already has not begun.
            let _ = work::queue().enqueue(watch.clone());
        }
    }
}
