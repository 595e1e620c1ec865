// SPDX-License-Identifier: MIT OR Apache-2.0

//! epoll(7): level-triggered, edge-triggered and one-shot.

use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFlags, Timespec};

use super::ground::Ground;
use super::means::Wait;
use super::outcome::Outcome;
use super::polls::{of_count, timespec};

pub fn level(ground: &Arc<Ground>) -> Wait {
    wait_with(ground, EventFlags::empty())
}

pub fn edge(ground: &Arc<Ground>) -> Wait {
    wait_with(ground, EventFlags::ET)
}

pub fn one_shot(ground: &Arc<Ground>) -> Wait {
    wait_with(ground, EventFlags::ONESHOT)
}

fn wait_with(ground: &Arc<Ground>, how: EventFlags) -> Wait {
    let session = ground.session();
    let timeout = timespec(ground.timeout());
    let set = epoll::create(CreateFlags::CLOEXEC).expect("epoll_create1");
    let flags = how | EventFlags::from_bits_retain(ground.events().bits().into());
    let data = EventData::new_u64(0);
    epoll::add(&set, &session, data, flags).expect("epoll_ctl");
    let wait = move |timeout: &Timespec| -> Outcome {
        let mut found: Vec<epoll::Event> = Vec::with_capacity(4);
        let count = epoll::wait(&set, spare_capacity(&mut found), Some(timeout));
        of_count(count, || {
            if how == EventFlags::ONESHOT {
                // It is armed anew for the next round. Others would be told of the same again.
                epoll::modify(&set, &session, data, flags).expect("epoll_ctl");
            }
            let flags = { found[0].flags };
            PollFlags::from_bits_retain(flags.bits() as u16)
        })
    };
    // What is reported before the set-up is not waited for.
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    if how == EventFlags::ET {
        wait(&now);
    }
    Box::new(move || wait(&timeout))
}
