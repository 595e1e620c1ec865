// SPDX-License-Identifier: MIT OR Apache-2.0

//! poll(2) and select(2).

use std::sync::Arc;
use std::time::Duration;

use rustix::event::{self, PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use super::ground::Ground;
use super::means::Wait;
use super::outcome::Outcome;

/// A time-out as the system calls take it.
pub fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: time.as_secs() as i64,
        tv_nsec: time.subsec_nanos().into(),
    }
}

/// The outcome of a call that returns how many descriptors have events.
pub fn of_count(count: Result<usize, Errno>, events: impl FnOnce() -> PollFlags) -> Outcome {
    match count {
        Ok(0) => Outcome::TimedOut,
        Ok(_) => Outcome::Events(events()),
        Err(errno) => Outcome::Failed(errno),
    }
}

pub fn poll(ground: &Arc<Ground>) -> Wait {
    let (session, events) = (ground.session(), ground.events());
    let timeout = timespec(ground.timeout());
    Box::new(move || {
        let mut fds = [PollFd::new(&session, events)];
        let count = event::poll(&mut fds, Some(&timeout));
        of_count(count, || fds[0].revents())
    })
}

pub fn select(ground: &Arc<Ground>) -> Wait {
    let (session, events) = (ground.session(), ground.events());
    let timeout = timespec(ground.timeout());
    Box::new(move || {
        let fd = session.raw_fd();
        let mut set = vec![Default::default(); event::fd_set_num_elements(1, fd + 1)];
        event::fd_set_insert(&mut set, fd);
        let set = Some(&mut set[..]);
        let (read, write, except) = match events {
            PollFlags::IN => (set, None, None),
            PollFlags::OUT => (None, set, None),
            _ => (None, None, set),
        };
        // SAFETY: The descriptor is open.
        let count = unsafe { event::select(fd + 1, read, write, except, Some(&timeout)) };
        of_count(count.map(|count| count as usize), || events)
    })
}
