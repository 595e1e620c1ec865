// SPDX-License-Identifier: GPL-2.0

//! Appending entries as a driver does: with what a full or corrupt ring calls for.

use super::Queue;
use crate::{
    error::Error,
    ring::{self, occupied_bytes, Mapped},
};

/// The kernel's end of an output queue of entries.
pub(crate) type FramedProducer = ring::Producer<Mapped>;

/// For how much room an enqueue asks that finds the queue full.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// For none: the caller tries again by itself.
    Poll,
    /// For its entry.
    Entry,
    /// For a quarter of the queue, so that a busy consumer notifies rarely. Less is no room.
    Quarter,
}

#[inline(always)]
pub(crate) fn entry_len(producer: &ring::Producer<Mapped>, len: usize) -> Result<u32, Error> {
    u32::try_from(len).map_err(|_| Error::TooLarge {
        max: producer.geometry().max_entry_bytes(),
    })
}

/// Copies an entry into the ring; deals with a full or corrupt one.
#[inline(always)]
pub(crate) fn push(
    queue: &Queue,
    producer: &mut ring::Producer<Mapped>,
    bytes: &[u8],
    arm: WhenFull,
) -> Result<(), Error> {
    match producer.push(bytes) {
        Ok(()) => Ok(()),
        Err(ring::Error::Full) => {
            let len = entry_len(producer, bytes.len())?;
            arm_or_full(queue, producer, len, arm)?;
            Ok(producer.push(bytes)?)
        }
        Err(error) => Err(queue.report(error, producer.corrupt_events())),
    }
}

/// Reserves room in the ring; deals with a full or corrupt one.
pub(crate) fn reserve(
    queue: &Queue,
    producer: &mut ring::Producer<Mapped>,
    len: u32,
    arm: WhenFull,
) -> Result<usize, Error> {
    match producer.reserve(len) {
        Ok(offset) => Ok(offset),
        Err(ring::Error::Full) => {
            arm_or_full(queue, producer, len, arm)?;
            Ok(producer.reserve(len)?)
        }
        Err(error) => Err(queue.report(error, producer.corrupt_events())),
    }
}

/// Asks for the room, looks once more, and if there is still none wakes a sleeping consumer.
#[cold]
pub(crate) fn arm_or_full(
    queue: &Queue,
    producer: &mut ring::Producer<Mapped>,
    len: u32,
    arm: WhenFull,
) -> Result<(), Error> {
    let need = occupied_bytes(len);
    let room = match arm {
        WhenFull::Poll => Ok(false),
        WhenFull::Entry => producer.arm_room(need),
        WhenFull::Quarter => producer.arm_room(need.max(queue.geometry().data_bytes() / 4)),
    };
    match room {
        Ok(true) => Ok(()),
        Ok(false) => {
            queue.found_full(producer);
            Err(Error::Full)
        }
        Err(error) => Err(queue.report(error, producer.corrupt_events())),
    }
}

pub(crate) fn counted<R>(
    queue: &Queue,
    producer: &mut ring::Producer<Mapped>,
    f: impl FnOnce(&mut ring::Producer<Mapped>) -> Result<R, ring::Error>,
) -> Result<R, Error> {
    match f(producer) {
        Ok(result) => Ok(result),
        Err(error) => Err(queue.report(error, producer.corrupt_events())),
    }
}
