// SPDX-License-Identifier: MIT OR Apache-2.0

//! io_uring's poll, single and multishot, and its requests to read and write.

use std::sync::Arc;
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::io::Errno;

use super::ground::{Ground, ENTRY};
use super::means::Wait;
use super::outcome::Outcome;
use crate::support::uring::{Completion, Request, Uring};

fn submit(ring: &Uring, ground: &Ground, multishot: bool) {
    let poll = Request::poll(ground.events(), multishot);
    ring.submit(ground.session().raw_fd(), poll);
}

/// Sleeps until there is a completion.
fn wait(ring: &Uring, timeout: Duration) -> (Outcome, bool) {
    loop {
        match ring.completion() {
            Some(Completion { result, more, .. }) if result >= 0 => {
                let events = PollFlags::from_bits_retain(result as u16);
                return (Outcome::Events(events), more);
            }
            Some(Completion { result, more, .. }) => {
                let errno = Errno::from_raw_os_error(-result);
                return (Outcome::Failed(errno), more);
            }
            None => {}
        }
        match ring.enter(0, 1, Some(timeout)) {
            Ok(_) => {}
            Err(Errno::TIME) => return (Outcome::TimedOut, true),
            Err(errno) => return (Outcome::Failed(errno), true),
        }
    }
}

pub fn single(ground: &Arc<Ground>) -> Wait {
    let (ground, ring) = (ground.clone(), Uring::new());
    Box::new(move || {
        submit(&ring, &ground, false);
        wait(&ring, ground.timeout()).0
    })
}

/// Submits once; every end must bring a completion. A poll that is over is submitted again, as
/// io_uring tells programs to do.
pub fn multishot(ground: &Arc<Ground>) -> Wait {
    let (ground, ring) = (ground.clone(), Uring::new());
    Box::new(wait_for_each(ground, ring, false))
}

/// Submits before the set-up, which completes at once: each call would fail. All that follows must
/// bring a completion, too.
pub fn multishot_early(ground: &Arc<Ground>) -> Wait {
    let (ground, ring) = (ground.clone(), Uring::new());
    submit(&ring, &ground, true);
    Box::new(wait_for_each(ground, ring, true))
}

fn wait_for_each(ground: Arc<Ground>, ring: Uring, mut armed: bool) -> impl FnMut() -> Outcome {
    let mut interrupted = false;
    move || {
        if !interrupted {
            armed = discard(&ring, armed);
        }
        if !armed {
            submit(&ring, &ground, true);
        }
        let (outcome, more) = wait(&ring, ground.timeout());
        interrupted = outcome == Outcome::Failed(Errno::INTR);
        armed = more;
        outcome
    }
}

/// Takes the completions that are not waited for: one end may complete twice, and so may what the
/// round before left, or the set-up. Returns whether the poll goes on, as it did if there are none.
fn discard(ring: &Uring, mut armed: bool) -> bool {
    loop {
        // The kernel keeps what found no place in the ring, and brings it with the next call.
        let _ = ring.enter(0, 0, None);
        let Some(Completion { more, .. }) = ring.completion() else {
            return armed;
        };
        armed = more;
    }
}

pub fn read(ground: &Arc<Ground>) -> Wait {
    move_by(ground, Request::read(vec![0; 128].leak()))
}

pub fn write(ground: &Arc<Ground>) -> Wait {
    move_by(ground, Request::write(&[9; ENTRY]))
}

/// Submits a request that must wait, on a file whose calls block.
fn move_by(ground: &Arc<Ground>, request: Request) -> Wait {
    ground.let_block();
    let (ground, ring) = (ground.clone(), Uring::new());
    let mut submitted = false;
    Box::new(move || {
        if !std::mem::replace(&mut submitted, true) {
            ring.submit(ground.session().raw_fd(), request);
        }
        match wait(&ring, ground.timeout()).0 {
            Outcome::Events(_) => Outcome::Done,
            other => other,
        }
    })
}
