// SPDX-License-Identifier: MIT OR Apache-2.0

//! Means that report once, and that have done so before the set-up: each call would fail then, and
//! they say so at once. What is asked for again must hear all that follows.

use std::sync::Arc;

use rustix::event::PollFlags;

use super::ground::Ground;
use super::means::Wait;
use super::outcome::Outcome;
use super::{aio as native_aio, epolls, polls, uring};

fn told_at_once(mut wait: Wait) -> Wait {
    match wait() {
        Outcome::Events(events) => {
            let told = PollFlags::ERR | PollFlags::IN | PollFlags::OUT;
            assert!(events.intersects(told), "{events:?} before the set-up");
        }
        other => panic!("{other:?} before the set-up"),
    }
    wait
}

pub fn poll(ground: &Arc<Ground>) -> Wait {
    told_at_once(polls::poll(ground))
}

pub fn select(ground: &Arc<Ground>) -> Wait {
    told_at_once(polls::select(ground))
}

pub fn one_shot(ground: &Arc<Ground>) -> Wait {
    told_at_once(epolls::one_shot(ground))
}

pub fn single(ground: &Arc<Ground>) -> Wait {
    told_at_once(uring::single(ground))
}

pub fn aio(ground: &Arc<Ground>) -> Wait {
    told_at_once(native_aio::poll(ground))
}
