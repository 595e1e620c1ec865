// SPDX-License-Identifier: MIT OR Apache-2.0

//! Both ends against each other, over memory of this process.

mod adapters;
mod consuming;
mod overwriting;
mod producing;
mod state;
mod stream_buffers;
mod stream_hostile;
mod stream_lifetime;
mod stream_waiting;

use crate::sys::loopback::Loopback;
use crate::{Consumer, Producer};

/// A queue of one page.
fn small() -> (Loopback, Producer, Consumer) {
    let loopback = Loopback::new(rustix::param::page_size() as u64, false);
    let (producer, consumer) = loopback.pair();
    (loopback, producer, consumer)
}

/// Takes all that waits.
fn drain(consumer: &mut Consumer) -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    while let Some(entry) = consumer.next().unwrap() {
        entries.push(entry.to_vec());
    }
    entries
}
