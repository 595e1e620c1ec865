// SPDX-License-Identifier: MIT OR Apache-2.0

//! Descriptors that tokio's reactor watches.

use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;
use tokio::io::Interest;

use crate::Error;

/// Registers a descriptor with the reactor.
///
/// # Panics
///
/// Panics if it is called outside a tokio runtime whose reactor is enabled.
pub(crate) fn watch(fd: OwnedFd, interest: Interest) -> Result<AsyncFd<OwnedFd>, Error> {
    // SAFETY: An `OwnedFd` returns the same open descriptor until it is dropped, and `AsyncFd`
    // deregisters the descriptor before it drops it.
    let watched = unsafe { AsyncFd::register_with_interest(fd, interest) };
    watched.map_err(|error| {
        let (_, error) = error.into_parts();
        Error::Os {
            call: "epoll_ctl",
            errno: error.raw_os_error().unwrap_or_default(),
        }
    })
}
