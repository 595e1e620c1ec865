// SPDX-License-Identifier: MIT OR Apache-2.0

//! Waiting in an async program, with tokio's reactor and without a thread.
//!
//! A future looks first, and awaits the descriptor only if it finds nothing. No wake-up is missed
//! in between: the reactor polls the descriptor, and poll arms the kernel's side by itself.
//!
//! A future that finds something each time would never let another task run. So each use counts
//! against tokio's budget of the task, as those of tokio's own types do.

mod queue;
mod stream;

use std::os::fd::{AsFd, OwnedFd};
use std::task::{ready, Context, Poll};

use tokio::io::unix::AsyncFdReadyGuard;
use tokio::io::Interest;
use tokio::runtime::Handle;
use tokio::task::coop::poll_proceed;

use crate::sys::{watch, Watched};
use crate::{Error, Result};

pub use queue::{AsyncConsumer, AsyncProducer};
pub use stream::AsyncReceiver;

/// A session's descriptor, registered with the reactor.
///
/// It is a duplicate: the reactor takes each descriptor once, and the two ends of a session share
/// theirs.
#[derive(Debug)]
struct Reactor {
    fd: Watched,
}

impl Reactor {
    fn new(fd: impl AsFd, interest: Interest) -> Result<Self> {
        // `watch` panics there.
        let _runtime = Handle::try_current().map_err(|_| Error::NoRuntime)?;
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

/// Runs `poll` if the task has budget left, and takes some of it if `poll` is ready. Otherwise the
/// task is woken again after others.
fn in_turn<T>(
    context: &mut Context<'_>,
    poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    let turn = ready!(poll_proceed(context));
    let polled = poll(context);
    if polled.is_ready() {
        turn.made_progress();
    }
    polled
}

fn failed(call: &'static str, error: &std::io::Error) -> Error {
    // When its runtime shuts down, the reactor reports an error without a number.
    Error::Os {
        call,
        errno: error.raw_os_error().unwrap_or_default(),
    }
}
