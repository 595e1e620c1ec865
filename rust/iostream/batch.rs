// SPDX-License-Identifier: GPL-2.0

//! Many entries at once.

use kernel::prelude::*;

use crate::{
    error::Error,
    producer::{entry_len, reserve, Arm},
    queue::{Counter, Queue, Sleeper, Tally},
    ring::{self, Head, Mapped},
};

/// Many entries, one publication. See [`Producer::batch`](crate::Producer::batch).
pub struct Batch<'a> {
    queue: &'a Queue,
    producer: &'a mut ring::Producer<Mapped>,
    arm: Arm,
    run: Run,
}

/// What is not published, or not counted yet. It is passed by value, so that it can stay in
/// registers.
#[derive(Clone, Copy)]
struct Run {
    head: Head,
    /// Also of entries that are not published yet.
    tally: Tally,
}

impl<'a> Batch<'a> {
    #[inline(always)]
    pub(crate) fn new(
        queue: &'a Queue,
        producer: &'a mut ring::Producer<Mapped>,
        arm: Arm,
    ) -> Self {
        let run = Run::new(producer);
        Self {
            queue,
            producer,
            arm,
            run,
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
        // SAFETY: As in `enqueue`; the process can only read there.
        fill(unsafe { self.queue.region().data_mut(offset, len) });
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
        // SAFETY: The head is this producer's: a batch borrows it, and takes a new head after each
        // other use.
        let placed = unsafe { self.producer.place(&mut self.run.head, entry_bytes) };
        let offset = match placed {
            Some(offset) => offset,
            None => {
                let (run, offset) =
                    self.run
                        .make_room(self.queue, self.producer, self.arm, entry_bytes);
                self.run = run;
                offset?
            }
        };
        let tally = &mut self.run.tally;
        tally.entries = tally.entries.wrapping_add(1);
        tally.bytes = tally.bytes.wrapping_add(len as u64);
        Ok(offset)
    }

    /// Declares `entries` entries lost, as [`Producer::report_lost`](crate::Producer::report_lost).
    pub fn report_lost(&mut self, entries: u64) {
        self.run = self.run.settle(self.producer);
        self.producer.report_lost(entries);
        self.run.head = self.producer.head();
        self.queue.count(Counter::Lost, entries);
    }

    /// Publishes what is in the batch so far, and wakes the process if it waits for it.
    ///
    /// The counters follow at the end of the batch, or when somebody is woken.
    #[inline(always)]
    pub fn publish(&mut self) {
        if self.run.head.pos() != self.producer.published_pos() {
            self.run = self.run.publish(self.queue, self.producer);
        }
    }

    /// Publishes and counts the rest.
    #[inline(always)]
    pub(crate) fn end(mut self) {
        self.publish();
        self.run.count(self.queue, self.producer);
    }
}

impl Run {
    #[inline(always)]
    fn new(producer: &ring::Producer<Mapped>) -> Self {
        Self {
            head: producer.head(),
            tally: Tally::default(),
        }
    }

    /// Has the producer follow.
    #[inline(always)]
    fn settle(self, producer: &mut ring::Producer<Mapped>) -> Self {
        // SAFETY: The head is this producer's, which a batch borrows, and each use of the producer
        // inside the batch follows a call of this and takes a new head.
        unsafe { producer.set_head(self.head) };
        self
    }

    #[inline(always)]
    fn publish(mut self, queue: &Queue, producer: &mut ring::Producer<Mapped>) -> Self {
        self.settle(producer);
        queue.show_produced(producer);
        match queue.find_sleeper(producer) {
            Sleeper::None => {
                self.tally.suppressed = self.tally.suppressed.wrapping_add(1);
                self
            }
            found => self.wake(queue, producer, found),
        }
    }

    #[cold]
    fn wake(self, queue: &Queue, producer: &mut ring::Producer<Mapped>, sleeper: Sleeper) -> Self {
        // Who is woken may look at the counters.
        let run = self.count(queue, producer);
        queue.wake_sleeper(producer, sleeper, false);
        run
    }

    /// Counts all that was published.
    #[inline(always)]
    fn count(self, queue: &Queue, producer: &mut ring::Producer<Mapped>) -> Self {
        queue.count_produced(producer, self.tally);
        Self::new(producer)
    }

    /// After an entry found no known room: publishes the others, since the consumer may sleep until
    /// it sees them, and looks for room.
    #[cold]
    fn make_room(
        self,
        queue: &Queue,
        producer: &mut ring::Producer<Mapped>,
        arm: Arm,
        len: u32,
    ) -> (Self, Result<usize, Error>) {
        self.settle(producer);
        let reserved = match producer.reserve(len) {
            Ok(offset) => (self, Ok(offset)),
            Err(ring::Error::Full) if self.head.pos() != producer.published_pos() => {
                let run = self.publish(queue, producer).count(queue, producer);
                (run, reserve(queue, producer, len, arm))
            }
            Err(_) => (self, reserve(queue, producer, len, arm)),
        };
        let (run, offset) = reserved;
        let offset = offset.and_then(|offset| {
            producer.commit(len)?;
            Ok(offset)
        });
        let run = Self {
            head: producer.head(),
            ..run
        };
        (run, offset)
    }
}
