// SPDX-License-Identifier: MIT OR Apache-2.0

//! The buffers of an input stream that this process has and does not use.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who sleeps until a buffer is free.
pub(crate) enum Sleeper {
    /// A thread, in poll on this eventfd.
    Thread(Arc<OwnedFd>),
    /// A task.
    #[cfg(feature = "tokio")]
    Task(std::task::Waker),
}

impl Sleeper {
    fn wake(self) {
        match self {
            // An eventfd that is full wakes as well as one that is not.
            Self::Thread(eventfd) => drop(rustix::io::write(&*eventfd, &1_u64.to_ne_bytes())),
            #[cfg(feature = "tokio")]
            Self::Task(waker) => waker.wake(),
        }
    }
}

/// A list of ids, and who waits for one.
#[derive(Default)]
pub(crate) struct FreeList {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    ids: Vec<u32>,
    sleeper: Option<Sleeper>,
}

impl FreeList {
    pub(crate) fn put(&self, id: u32) {
        let mut inner = self.lock();
        inner.ids.push(id);
        let sleeper = inner.sleeper.take();
        drop(inner);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    pub(crate) fn take(&self) -> Option<u32> {
        self.lock().ids.pop()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().ids.is_empty()
    }

    /// Has the next `put` wake this one, unless there is a buffer already: then returns true.
    pub(crate) fn arm(&self, sleeper: Sleeper) -> bool {
        let mut inner = self.lock();
        inner.sleeper = Some(sleeper);
        !inner.ids.is_empty()
    }

    /// Nobody waits any more.
    pub(crate) fn disarm(&self) {
        self.lock().sleeper = None;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing of the user's runs under the lock.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
