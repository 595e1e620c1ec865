// SPDX-License-Identifier: MIT OR Apache-2.0

//! Both ends against each other, over memory of this process.
//!
//! `loopback` and `stream_loopback` answer the system calls of a device in the kernel's place.

mod adapters;
mod consuming;
mod deadlines;
mod forking;
mod forking_streams;
mod loopback;
mod memfd;
mod overwriting;
mod producing;
mod state;
mod stream_buffers;
mod stream_hostile;
mod stream_lifetime;
pub(crate) mod stream_loopback;
mod stream_waiting;
mod typed;
mod waking;

use crate::{Consumer, Producer};

use loopback::Loopback;

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
