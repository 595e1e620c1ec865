// SPDX-License-Identifier: GPL-2.0

//! The callback of a client that is a kernel module, which takes the place of a process's poll.

use kernel::{
    prelude::*,
    sync::{Arc, Mutex},
    workqueue::{impl_has_work, new_work, Work, WorkItem},
};

use crate::sync::{
    atomic::{Atomic, Full, Relaxed},
    classes::{LockClasses, LockOf},
    work,
};

/// A callback of a client.
type Callback = KBox<dyn Fn() + Send + Sync>;

/// The callback of a session's client, shared by the queues of the session.
#[pin_data]
pub(crate) struct Watch {
    /// Whether there is a callback, so that the usual session, which has none, takes no lock.
    set: Atomic<u32>,
    /// The lock is held while the callback runs.
    #[pin]
    callback: Mutex<Option<Callback>>,
    #[pin]
    work: Work<Watch>,
    /// Of the lock. Dropped last.
    _classes: Option<Arc<LockClasses>>,
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
    /// Creates a watch without a callback.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(classes: Option<&Arc<LockClasses>>) -> Result<Arc<Self>> {
        // SAFETY: The value keeps a reference to the classes.
        let key = unsafe { LockClasses::key(classes, LockOf::Watch) };
        Arc::pin_init(
            pin_init!(Self {
                set: Atomic::new(0),
                callback <- Mutex::new(None, c"iostream_watch", key),
                work <- new_work!("iostream_watch"),
                _classes: classes.cloned(),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Replaces or removes the callback. When this returns, the previous one is not running.
    pub(crate) fn set(&self, callback: Option<Callback>) {
        // No ordering: it only spares a worker. The lock below orders the callback itself.
        self.set.xchg(callback.is_some().into(), Full);
        let old = core::mem::replace(&mut *self.callback.lock(), callback);
        drop(old);
    }

    /// Removes the callback without dropping it, because its code is about to go. When this
    /// returns, it is not running.
    pub(crate) fn forget(&self) {
        // No ordering: as above.
        self.set.xchg(0, Full);
        let callback = self.callback.lock().take();
        core::mem::forget(callback);
    }

    /// Schedules a call of the callback in a worker, if there is a callback. Any context.
    #[inline(always)]
    pub(crate) fn call(watch: &Arc<Self>) {
        // ORDERING: the client sets the callback before the full barrier with which it arms, and the
        // caller has published before one of its own (litmus: watch).
        if watch.set.load(Relaxed) != 0 {
            // Queueing fails if the item is still queued. Its run has then not begun, and is
            // enough.
            let _ = work::calling().enqueue(watch.clone());
        }
    }
}
