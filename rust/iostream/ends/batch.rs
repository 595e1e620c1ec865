// SPDX-License-Identifier: GPL-2.0

//! Many entries at once.

use kernel::prelude::*;

use crate::{
    error::Error,
    queue::{
        produce::{entry_len, reserve, WhenFull},
        Counter, Queue, Sleeper, Tally,
    },
    ring::{self, Head, Mapped},
};

/// Many entries, one publication. See [`Producer::batch`](crate::Producer::batch).
///
/// `memory`, `head` and `tally` are never passed by reference but to what is inlined, so that they can
/// stay in registers.
///
/// # Invariants
///
/// `memory` is that of `producer`. `head` came from `producer`, and nothing was done with that since but
/// by way of it.
pub struct Batch<'a> {
    queue: &'a Queue,
    producer: &'a mut ring::Producer<Mapped>,
    arm: WhenFull,
    memory: Mapped,
    head: Head,
    /// Also of entries that are not published yet.
    tally: Tally,
}

impl<'a> Batch<'a> {
    #[inline(always)]
    pub(crate) fn new(
        queue: &'a Queue,
        producer: &'a mut ring::Producer<Mapped>,
        arm: WhenFull,
    ) -> Self {
        // INVARIANT: It is borrowed from now on.
        let head = producer.head();
        // SAFETY: The batch is all that uses the producer, for as long as it is borrowed.
        let memory = unsafe { producer.memory().alias() };
        Self {
            queue,
            producer,
            arm,
            memory,
            head,
            tally: Tally::default(),
        }
    }

    /// Appends a copy of `bytes`, to be published with the rest of the batch.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`]; [`Error::Full`]: what is in the batch was published and the process
    /// woken, so that it can make room; [`Error::Corrupt`].
    #[inline(always)]
    pub fn enqueue(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let offset = self.place(bytes.len())?;
        // SAFETY: `place` made room for as many bytes, which nobody sees yet; this is the producer.
        unsafe { self.producer.write(offset, bytes) };
        Ok(())
    }

    /// Appends an entry of `len` bytes that `fill` writes in place.
    ///
    /// # Errors
    ///
    /// As [`Self::enqueue`].
    #[inline(always)]
    pub fn enqueue_in_place(
        &mut self,
        len: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<(), Error> {
        let offset = self.place(len)?;
        // SAFETY: As in `enqueue`; the process can only read there, and the bytes were zeroed when
        // the queue was made.
        fill(unsafe {
            let start = self.memory.data_at(offset);
            core::slice::from_raw_parts_mut(start.as_ptr(), len)
        });
        Ok(())
    }

    /// Makes room for an entry, with its header, and tells where its bytes go.
    #[inline(always)]
    fn place(&mut self, len: usize) -> Result<usize, Error> {
        let Ok(entry_bytes) = u32::try_from(len) else {
            return Err(entry_len(self.producer, len)
                .err()
                .unwrap_or(Error::Invalid));
        };
        // SAFETY: By the type's invariant.
        let placed = unsafe { self.head.place(&self.memory, entry_bytes) };
        let offset = match placed {
            Some(offset) => offset,
            None => {
                self.settle();
                let placed =
                    make_room(self.queue, self.producer, self.arm, self.tally, entry_bytes);
                if self.producer.published_pos() == self.head.pos() {
                    self.tally = Tally::default();
                }
                // INVARIANT: A new one.
                self.head = self.producer.head();
                placed?
            }
        };
        self.tally.entries = self.tally.entries.wrapping_add(1);
        self.tally.bytes = self.tally.bytes.wrapping_add(len as u64);
        Ok(offset)
    }

    /// Declares `entries` entries lost, as [`Producer::report_lost`](crate::Producer::report_lost).
    pub fn report_lost(&mut self, entries: u64) {
        self.settle();
        self.producer.report_lost(entries);
        // INVARIANT: A new one.
        self.head = self.producer.head();
        self.queue.count(Counter::Lost, entries);
    }

    /// Publishes what is in the batch so far, and wakes the process if it waits for it.
    ///
    /// The counters follow at the end of the batch, or when somebody is woken.
    #[inline(always)]
    pub fn publish(&mut self) {
        if self.head.pos() == self.producer.published_pos() {
            return;
        }
        // SAFETY: By the type's invariant.
        unsafe { self.queue.show_head(self.producer, self.head) };
        match self.queue.find_sleeper(self.producer) {
            Sleeper::None => self.tally.suppressed = self.tally.suppressed.wrapping_add(1),
            found => {
                count_and_wake(self.queue, self.producer, self.tally, found);
                self.tally = Tally::default();
            }
        }
    }

    /// Publishes and counts the rest.
    #[inline(always)]
    pub(crate) fn end(mut self) {
        self.publish();
        self.queue.count_produced(self.producer, self.tally);
    }

    /// Has the producer follow.
    #[inline(always)]
    fn settle(&mut self) {
        // SAFETY: By the type's invariant.
        unsafe { self.producer.set_head(self.head) };
    }
}

/// Who is woken may look at the counters: they come first.
#[cold]
fn count_and_wake(
    queue: &Queue,
    producer: &mut ring::Producer<Mapped>,
    tally: Tally,
    sleeper: Sleeper,
) {
    queue.count_produced(producer, tally);
    queue.wake_sleeper(producer, sleeper, false);
}

/// After an entry found no known room: looks for some; if there is none, publishes the entries before
/// it, since the consumer may sleep until it sees them. Commits the entry, and tells where its bytes
/// go. If all that was committed before is published when it returns, it was counted.
#[cold]
fn make_room(
    queue: &Queue,
    producer: &mut ring::Producer<Mapped>,
    arm: WhenFull,
    tally: Tally,
    len: u32,
) -> Result<usize, Error> {
    let committed = producer.committed_pos();
    let mut reserved = producer.reserve(len).map_err(Error::from);
    let full = reserved == Err(Error::Full);
    if full && producer.published_pos() != committed {
        queue.show_produced(producer);
        queue.count_produced(producer, tally);
        match queue.find_sleeper(producer) {
            Sleeper::None => queue.count(Counter::WakeupsSuppressed, 1),
            found => queue.wake_sleeper(producer, found, false),
        }
    } else if producer.published_pos() == committed {
        queue.count_produced(producer, tally);
    }
    if reserved.is_err() {
        reserved = reserve(queue, producer, len, arm);
    }
    let offset = reserved?;
    producer.commit(len)?;
    Ok(offset)
}
