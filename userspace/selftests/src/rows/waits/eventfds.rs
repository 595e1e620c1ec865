// SPDX-License-Identifier: MIT OR Apache-2.0

//! Eventfds: armed by the kernel, or in the process's own page.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use iostream_raw::wait_for;
use rustix::event::{eventfd, poll, EventfdFlags, PollFd, PollFlags};

use super::ground::Ground;
use super::means::Wait;
use super::outcome::Outcome;
use super::polls::timespec;
use super::situation::Want;

fn new_eventfd() -> OwnedFd {
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).expect("eventfd")
}

/// Takes the signals that are there.
fn drain(event: &OwnedFd) {
    let _ = rustix::io::read(event, &mut [0; 8]);
}

fn wait_signalled(event: &OwnedFd, ground: &Ground) -> Outcome {
    let timeout = timespec(ground.timeout());
    let mut fds = [PollFd::new(event, PollFlags::IN)];
    match poll(&mut fds, Some(&timeout)) {
        Ok(0) => Outcome::TimedOut,
        Ok(_) => Outcome::Done,
        Err(errno) => Outcome::Failed(errno),
    }
}

/// The kernel arms when the eventfd is set.
pub fn kernel(ground: &Arc<Ground>) -> Wait {
    let (ground, event) = (ground.clone(), new_eventfd());
    let session = ground.session();
    session
        .eventfd(ground.direction(), event.as_raw_fd())
        .expect("IOSTREAM_IOC_EVENTFD");
    assert_eq!(wait_for(&event, PollFlags::IN, 0), PollFlags::empty());
    Box::new(move || wait_signalled(&event, &ground))
}

/// The process arms in its own page, as `iostream.h` says.
pub fn page(ground: &Arc<Ground>) -> Wait {
    let (ground, event) = (ground.clone(), new_eventfd());
    ground
        .session()
        .eventfd(ground.direction(), event.as_raw_fd())
        .expect("IOSTREAM_IOC_EVENTFD");
    // The kernel has armed when the eventfd was set: a first piece uses that up.
    match ground.situation.want {
        Want::Entry => ground.produce(),
        _ => ground.make_room(),
    }
    ground.settle();
    Box::new(move || {
        drain(&event);
        assert!(!ground.arm(), "it is there already");
        wait_signalled(&event, &ground)
    })
}
