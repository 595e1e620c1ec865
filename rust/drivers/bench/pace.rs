// SPDX-License-Identifier: GPL-2.0

//! Entries at a steady rate, each with the time at which it was due.

use iostream::Wake;
use kernel::{
    prelude::*,
    time::{ClockSource, Monotonic},
};

use crate::node::{BenchNode, Done};

/// Who wakes the consumer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waker {
    /// The framework, if the consumer sleeps.
    Framework,
    /// The eventfd that the driver was given, at each entry, as drivers with a ring of their own do.
    Eventfd,
}

fn now() -> u64 {
    Monotonic::ktime_get() as u64
}

/// Makes `count` entries, one every `period_ns`. The thread keeps its processor meanwhile. An entry is
/// the time at which it was due, so that what is late here counts as well.
pub(crate) fn run(node: &BenchNode, count: u64, period_ns: u64, waker: Waker) -> Result<Done> {
    let mut producer = node.producer.lock();
    let producer = Option::as_mut(&mut producer).ok_or(ENXIO)?;
    let eventfd = node.eventfd.lock();
    let wake = match waker {
        Waker::Framework => Wake::Normal,
        Waker::Eventfd => Wake::Suppress,
    };
    let begun = now();
    let mut done = Done::default();
    while done.entries < count {
        let due = begun + done.entries * period_ns;
        while now() < due {
            core::hint::spin_loop();
        }
        match producer.enqueue_with(&due.to_ne_bytes(), wake) {
            Ok(()) => {}
            Err(iostream::Error::Full) => {
                producer.wait_room(8, None, true)?;
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        if waker == Waker::Eventfd {
            eventfd.as_ref().ok_or(ENXIO)?.signal();
        }
        done.entries += 1;
    }
    done.time_ns = now() - begun;
    Ok(done)
}
