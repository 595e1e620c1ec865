// SPDX-License-Identifier: MIT OR Apache-2.0

//! The buffers of a `WriteStream` that are with this process and unused.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use crate::lock::lock;

/// A thread or task that sleeps until a buffer is unused.
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
            // The write fails only if the eventfd is full, and then the thread is awake.
            Self::Thread(eventfd) => drop(rustix::io::write(&*eventfd, &1_u64.to_ne_bytes())),
            #[cfg(feature = "tokio")]
            Self::Task(waker) => waker.wake(),
        }
    }
}

/// The ids of the unused buffers, and the sleeper that waits for one.
#[derive(Default)]
pub(crate) struct UnusedBuffers {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    ids: Vec<u32>,
    sleeper: Option<Sleeper>,
}

impl UnusedBuffers {
    pub(crate) fn put(&self, id: u32) {
        let mut inner = lock(&self.inner);
        inner.ids.push(id);
        let sleeper = inner.sleeper.take();
        drop(inner);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    pub(crate) fn take(&self) -> Option<u32> {
        lock(&self.inner).ids.pop()
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.inner).ids.is_empty()
    }

    /// Lets the next `put` wake the sleeper. Returns whether there is a buffer already.
    pub(crate) fn arm(&self, sleeper: Sleeper) -> bool {
        let mut inner = lock(&self.inner);
        inner.sleeper = Some(sleeper);
        !inner.ids.is_empty()
    }

    /// Forgets the sleeper, which no longer waits.
    pub(crate) fn disarm(&self) {
        lock(&self.inner).sleeper = None;
    }
}
