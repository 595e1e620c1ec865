// SPDX-License-Identifier: GPL-2.0

//! A batch: many entries that are published together.

use kernel::prelude::*;

use crate::{
    error::Error,
    queue::{
        produce::{entry_len, reserve, WhenFull},
        Counter, Queue, Sleeper, Tally,
    },
    ring::{self, Head, Mapped},
};

/// Entries that are published together. See [`Producer::batch`](crate::Producer::batch).
///
/// `memory`, `head` and `tally` are only passed by reference to functions that are inlined, so
/// they can stay in registers.
///
/// # Invariants
///
/// `memory` is that of `producer`. `head` came from `producer`, which has only been used through
/// `head` since then.
pub struct Batch<'a> {
    queue: &'a Queue,
    producer: &'a mut ring::Producer<Mapped>,
    arm: WhenFull,
    memory: Mapped,
    head: Head,
    /// What is to be counted, including entries that are not published yet.
    tally: Tally,
}

impl<'a> Batch<'a> {
    /// Begins a batch.
    #[inline(always)]
    pub(crate) fn new(
        queue: &'a Queue,
        producer: &'a mut ring::Producer<Mapped>,
        arm: WhenFull,
    ) -> Self {
        // INVARIANT: The batch borrows the producer exclusively, so nothing else uses it.
        let head = producer.head();
        // SAFETY: The batch borrows the producer exclusively for as long as it uses the alias.
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
    /// [`Error::TooLarge`]; [`Error::Full`] if there is no room: then the entries so far are
    /// published and the process is woken, so that it can make room; [`Error::Corrupt`].
    #[inline(always)]
    pub fn enqueue(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let offset = self.place(bytes.len())?;
        // SAFETY: `place` made room for this many bytes at `offset`. They are not published yet.
        unsafe { self.producer.write(offset, bytes) };
        Ok(())
    }

    /// Appends an entry of `len` bytes that `fill` writes in place.
    ///
    /// # Errors
    ///
    /// Those of [`Self::enqueue`].
    #[inline(always)]
    pub fn enqueue_in_place(
        &mut self,
        len: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<(), Error> {
        let offset = self.place(len)?;
        // SAFETY: `place` made room for `len` bytes at `offset`, which are not published yet. The
        // process can only read there, and the pages were zeroed when the queue was created.
        fill(unsafe {
            let start = self.memory.data_at(offset);
            core::slice::from_raw_parts_mut(start.as_ptr(), len)
        });
        Ok(())
    }

    /// Makes room for an entry and writes its header. Returns the offset of its bytes.
    #[inline(always)]
    fn place(&mut self, len: usize) -> Result<usize, Error> {
        let Ok(entry_bytes) = u32::try_from(len) else {
            return Err(entry_len(self.producer, len)
                .err()
                .unwrap_or(Error::Invalid));
        };
        // SAFETY: `memory` and `head` belong to the producer, by the type's invariant.
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
                // INVARIANT: The head is taken anew after the producer was used.
                self.head = self.producer.head();
                placed?
            }
        };
        self.tally.entries = self.tally.entries.wrapping_add(1);
        self.tally.bytes = self.tally.bytes.wrapping_add(len as u64);
        Ok(offset)
    }

    /// Declares `entries` entries lost. See
    /// [`Producer::report_lost`](crate::Producer::report_lost).
    pub fn report_lost(&mut self, entries: u64) {
        self.settle();
        self.producer.report_lost(entries);
        // INVARIANT: The head is taken anew after the producer was used.
        self.head = self.producer.head();
        self.queue.count(Counter::Lost, entries);
    }

    /// Publishes the entries so far, and wakes the process if it waits for them.
    ///
    /// The counters are updated at the end of the batch, or when the process is woken.
    #[inline(always)]
    pub fn publish(&mut self) {
        if self.head.pos() == self.producer.published_pos() {
            return;
        }
        // SAFETY: `head` belongs to the producer, by the type's invariant.
        unsafe { self.queue.show_head(self.producer, self.head) };
        match self.queue.find_sleeper(self.producer) {
            Sleeper::None => self.tally.suppressed = self.tally.suppressed.wrapping_add(1),
            found => {
                count_and_wake(self.queue, self.producer, self.tally, found);
                self.tally = Tally::default();
            }
        }
    }

    /// Ends the batch: publishes and counts the rest.
    #[inline(always)]
    pub(crate) fn end(mut self) {
        self.publish();
        self.queue.count_produced(self.producer, self.tally);
    }

    /// Moves the producer to the position of `head`, so that it can be used directly.
    #[inline(always)]
    fn settle(&mut self) {
        // SAFETY: `head` belongs to the producer, by the type's invariant.
        unsafe { self.producer.set_head(self.head) };
    }
}

/// Counts before waking, because the woken process may read the counters.
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

/// Makes room for an entry that did not fit into the known room, and commits it. Returns the
/// offset of its bytes.
///
/// If the queue is full, this first publishes the entries before this one, since the consumer may
/// sleep until it sees them. If everything that was committed before is published when this
/// returns, it has been counted.
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
