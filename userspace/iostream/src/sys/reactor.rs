// SPDX-License-Identifier: MIT OR Apache-2.0

//! Descriptors that tokio's reactor watches.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use tokio::io::unix::AsyncFd;
use tokio::io::Interest;

use super::Owner;
use crate::Error;

/// A descriptor that is registered with the reactor.
///
/// A child shares the reactor's epoll with its parent. So dropping the value in a child closes the
/// child's descriptor and leaves the registration, which is the parent's.
#[derive(Debug)]
pub(crate) struct Watched {
    fd: ManuallyDrop<AsyncFd<OwnedFd>>,
    owner: Owner,
}

/// Registers a descriptor with the reactor.
///
/// # Panics
///
/// Panics outside a tokio runtime, or if the runtime's reactor is not enabled.
pub(crate) fn watch(fd: OwnedFd, interest: Interest) -> Result<Watched, Error> {
    let owner = Owner::this_process().map_err(|errno| Error::of_call("madvise", errno))?;
    // SAFETY: An `OwnedFd` returns the same open descriptor until it is dropped, and `AsyncFd`
    // deregisters the descriptor before it drops it.
    let watched = unsafe { AsyncFd::register_with_interest(fd, interest) };
    let fd = watched.map_err(|error| {
        let (_, error) = error.into_parts();
        Error::Os {
            call: "epoll_ctl",
            errno: error.raw_os_error().unwrap_or_default(),
        }
    })?;
    Ok(Watched {
        fd: ManuallyDrop::new(fd),
        owner,
    })
}

impl Deref for Watched {
    type Target = AsyncFd<OwnedFd>;

    fn deref(&self) -> &AsyncFd<OwnedFd> {
        &self.fd
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.owner.is_this_process() {
            // SAFETY: The value is being dropped, so the field is not used again.
            unsafe { ManuallyDrop::drop(&mut self.fd) };
        } else {
            // SAFETY: The `OwnedFd` in the field owns this descriptor, and is never dropped.
            drop(unsafe { OwnedFd::from_raw_fd(self.fd.as_raw_fd()) });
        }
    }
}
