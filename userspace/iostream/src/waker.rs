// SPDX-License-Identifier: MIT OR Apache-2.0

//! Ending a wait from another thread.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use rustix::event::{eventfd, EventfdFlags};

use crate::{Error, Result};

/// Ends waits, from another thread or from a signal handler.
///
/// A waker is attached to one or more ends or streams with their method `set_waker`. Once it is
/// woken, each method of theirs that may wait fails with [`Error::Cancelled`]: the wait in progress,
/// and later ones immediately, even if data or room are there. That goes on until [`Self::clear`].
/// Methods that never wait are not affected, so nothing is lost: what was queued can still be
/// taken. Neither are futures, which are cancelled by dropping them.
///
/// Clones wake the same waits. In a child process a waker still belongs to the parent: waking it
/// there ends the parent's waits.
///
/// # Examples
///
/// ```no_run
/// use iostream::{Error, Session, Waker};
///
/// # fn main() -> std::io::Result<()> {
/// let mut consumer = Session::open("ticker")?.consumer()?;
/// let waker = Waker::new()?;
/// consumer.set_waker(Some(waker.clone()));
/// let thread = std::thread::spawn(move || loop {
///     match consumer.dequeue_wait(None) {
///         Ok(entry) => println!("{} bytes", entry.len()),
///         Err(Error::Cancelled) => return Ok(()),
///         Err(error) => return Err(error),
///     }
/// });
/// waker.wake();
/// Ok(thread.join().unwrap()?)
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Waker {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Readable from [`Waker::wake`] until [`Waker::clear`]. What sleeps polls it.
    eventfd: OwnedFd,
    /// The same, for a look without a system call. It may lag behind.
    woken: AtomicBool,
}

impl Waker {
    /// Makes a waker that is not woken.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] if the process has too many descriptors.
    pub fn new() -> Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let eventfd = eventfd(0, flags).map_err(|errno| Error::of_call("eventfd", errno))?;
        let woken = AtomicBool::new(false);
        Ok(Self {
            shared: Arc::new(Shared { eventfd, woken }),
        })
    }

    /// Ends the waits in progress and all later ones, until [`Self::clear`].
    ///
    /// It makes one system call, takes no lock and allocates nothing, so a signal handler may call
    /// it.
    pub fn wake(&self) {
        self.note_woken();
        // Fails only if the eventfd is full, and then it is readable.
        let _ = rustix::io::write(&self.shared.eventfd, &1_u64.to_ne_bytes());
    }

    /// Lets ends wait again.
    ///
    /// Call it between waits. A [`Self::wake`] that comes meanwhile may count as before or after
    /// this call. So look for what it was about afterwards.
    pub fn clear(&self) {
        // ORDERING: pairs with `note_woken`: what was done before the `wake` that this undoes is
        // visible afterwards (litmus: publish).
        self.shared.woken.swap(false, Ordering::AcqRel);
        // Fails if nobody has written since.
        let _ = rustix::io::read(&self.shared.eventfd, &mut [0; 8]);
    }

    /// Whether [`Self::wake`] was called since the last [`Self::clear`]. Makes no system call.
    #[inline]
    pub fn is_woken(&self) -> bool {
        // ORDERING: pairs with `note_woken`: what was done before is visible (litmus: publish).
        self.shared.woken.load(Ordering::Acquire)
    }

    /// Lets later looks find what is known: the eventfd is readable, or is about to be.
    pub(crate) fn note_woken(&self) {
        // ORDERING: pairs with `is_woken` and `clear` (litmus: publish).
        self.shared.woken.store(true, Ordering::Release);
    }
}

impl AsFd for Waker {
    /// A descriptor that poll reports as readable while the waker is woken. It must not be read.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.eventfd.as_fd()
    }
}

impl AsRawFd for Waker {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
