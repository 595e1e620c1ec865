// SPDX-License-Identifier: GPL-2.0

//! Telling a client that is a module of the kernel: where a process has poll, it has a callback.

use kernel::{
    prelude::*,
    sync::{
        atomic::{Atomic, Full, Relaxed},
        new_mutex, Arc, Mutex,
    },
    workqueue::WorkItem,
};

use super::Pool;
use crate::sync::work;

/// Which of a pool's work items calls the client.
pub(crate) const WATCH_WORK: u64 = 1;

/// The client's callback.
type Callback = KBox<dyn Fn() + Send + Sync>;

/// Who is to be told, if anybody.
#[pin_data]
pub(crate) struct Watch {
    /// Whether there is a callback: most sessions are a process's, and have none.
    set: Atomic<u32>,
    /// Held while it runs.
    #[pin]
    callback: Mutex<Option<Callback>>,
}

impl Watch {
    /// Nobody.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            set: Atomic::new(0),
            callback <- new_mutex!(None, "iostream_watch"),
        })
    }

    /// Sets or removes the callback. When this returns the one before it does not run.
    pub(crate) fn set(&self, callback: Option<Callback>) {
        self.set.xchg(callback.is_some().into(), Full);
        let old = core::mem::replace(&mut *self.callback.lock(), callback);
        drop(old);
    }
}

impl WorkItem<WATCH_WORK> for Pool {
    type Pointer = Arc<Pool>;

    fn run(pool: Arc<Pool>) {
        if let Some(callback) = &*pool.watch.callback.lock() {
            callback();
        }
    }
}

impl Pool {
    /// Calls the client's callback soon, in a worker, if it has one. Any context.
    #[inline(always)]
    pub(crate) fn call_watcher(pool: &Arc<Self>) {
        // ORDERING: the client sets it before it arms with a full barrier, and whoever tells it took that
        // arming after a full barrier of its own (litmus: wake-poll).
        if pool.watch.set.load(Relaxed) != 0 {
            // If it is queued already, it has not begun.
            let _ = work::queue().enqueue::<Arc<Pool>, WATCH_WORK>(pool.clone());
        }
    }
}
