// SPDX-License-Identifier: MIT OR Apache-2.0

//! Descriptors that tokio's reactor watches.

use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;
use tokio::io::Interest;

use crate::Error;

/// Has the reactor watch a descriptor.
///
/// # Panics
///
/// Outside a runtime of tokio's, or in one without a reactor.
pub(crate) fn watch(fd: OwnedFd, interest: Interest) -> Result<AsyncFd<OwnedFd>, Error> {
    // SAFETY: An `OwnedFd` gives the same open descriptor until it is dropped, and the `AsyncFd`
    // drops it after it has taken it out of the reactor.
    let watched = unsafe { AsyncFd::register_with_interest(fd, interest) };
    watched.map_err(|error| {
        let (_, error) = error.into_parts();
        Error::Os {
            call: "epoll_ctl",
            errno: error.raw_os_error().unwrap_or_default(),
        }
    })
}
