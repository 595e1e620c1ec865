// SPDX-License-Identifier: MIT OR Apache-2.0

//! Waiting in an async program, on tokio's reactor; no thread of its own.
//!
//! Who waits looks first, and awaits the descriptor only if there is nothing: epoll, edge-triggered,
//! arms the kernel's side by itself, so that nothing is missed in between.

mod queue;
mod stream;

use std::os::fd::{AsFd, OwnedFd};
use std::task::{Context, Poll};

use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::io::Interest;

use crate::sys::watch;
use crate::{Error, Result};

pub use queue::{AsyncConsumer, AsyncProducer};
pub use stream::AsyncReceiver;

/// A session's descriptor, known to the reactor.
///
/// It is a duplicate: the reactor takes each descriptor once, and the two ends of a session share
/// theirs.
#[derive(Debug)]
struct Reactor {
    fd: AsyncFd<OwnedFd>,
}

impl Reactor {
    fn new(fd: impl AsFd, interest: Interest) -> Result<Self> {
        let fd = fd.as_fd().try_clone_to_owned();
        let fd = fd.map_err(|error| failed("fcntl", &error))?;
        Ok(Self {
            fd: watch(fd, interest)?,
        })
    }

    fn poll_readable<'a>(
        &'a self,
        context: &mut Context<'_>,
    ) -> Poll<Result<AsyncFdReadyGuard<'a, OwnedFd>>> {
        let ready = self.fd.poll_read_ready(context);
        ready.map_err(|error| failed("epoll", &error))
    }

    fn poll_writable<'a>(
        &'a self,
        context: &mut Context<'_>,
    ) -> Poll<Result<AsyncFdReadyGuard<'a, OwnedFd>>> {
        let ready = self.fd.poll_write_ready(context);
        ready.map_err(|error| failed("epoll", &error))
    }
}

fn failed(call: &'static str, error: &std::io::Error) -> Error {
    // The reactor has an error of its own, without a number, when its runtime shuts down.
    Error::Os {
        call,
        errno: error.raw_os_error().unwrap_or_default(),
    }
}
