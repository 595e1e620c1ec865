// SPDX-License-Identifier: GPL-2.0

//! Appending entries for a driver: calls of the ring, and what follows if it is full or corrupt.

use super::Queue;
use crate::{
    error::Error,
    ring::{self, occupied_bytes, Mapped},
};

/// The kernel's end of an output queue of entries.
pub(crate) type FramedProducer = ring::Producer<Mapped>;

/// How much room an enqueue that finds the queue full asks to be notified of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// None: the caller tries again by itself.
    Poll,
    /// Room for its entry.
    Entry,
    /// A quarter of the queue, so that a busy consumer notifies rarely. With less room the queue
    /// still counts as full.
    Quarter,
}

/// The length of an entry as the ring takes it.
#[inline(always)]
pub(crate) fn entry_len(producer: &ring::Producer<Mapped>, len: usize) -> Result<u32, Error> {
    u32::try_from(len).map_err(|_| Error::TooLarge {
        max: producer.geometry().max_entry_bytes(),
    })
}

/// Copies an entry into the ring. Asks for room if the ring is full, and counts a corrupt peer.
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

/// Reserves room in the ring. Asks for room if the ring is full, and counts a corrupt peer.
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

/// Handles a full ring: asks for room and looks again. Returns `Ok` if there is room after all;
/// otherwise wakes a sleeping consumer.
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

/// Calls the ring through `f`, and counts a corrupt peer.
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
