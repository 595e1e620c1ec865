// SPDX-License-Identifier: GPL-2.0

//! How read(2) of a queue copies an entry.
//!
//! An entry that does not fit is copied in parts, one with each call, as a terminal does with a
//! line. Empty entries are passed over, because a result of 0 means the end of a file. With
//! `IOSTREAM_READ_WHOLE` an entry that does not fit is an error, and an empty one is a result of 0.

use kernel::{
    alloc::{
        flags::{GFP_KERNEL_ACCOUNT, __GFP_NOWARN},
        Flags,
    },
    iov::IovIterDest,
    prelude::*,
    sync::atomic::Relaxed,
};

use crate::{
    error::Error,
    node::part::Part,
    queue::Queue,
    ring::{self, uapi, Mapped},
    sync::race::race_point,
};

/// Flags for a copy whose length the process chooses: its cgroup is charged, and a failure is not
/// worth a warning.
pub(super) fn copy_flags() -> Flags {
    GFP_KERNEL_ACCOUNT | __GFP_NOWARN
}

/// The process's end of an output queue, for the duration of a call.
pub(super) struct Reader<'a> {
    queue: &'a Queue,
    part: &'a mut Part,
    /// `IOSTREAM_READ_*`.
    flags: u32,
    /// The driver waits for room that was made.
    wake: bool,
}

impl<'a> Reader<'a> {
    /// Begins a call that reads as `flags` say.
    ///
    /// # Safety
    ///
    /// While the result lives, the caller holds the queue's claim, which keeps the process from
    /// mapping its page, and the gate that `part` is from, which excludes other calls.
    pub(super) unsafe fn new(queue: &'a Queue, part: &'a mut Part, flags: u32) -> Self {
        Self {
            queue,
            part,
            flags,
            wake: false,
        }
    }

    /// Whether the driver waits for room that was made. If so, the caller notifies it, without
    /// locks.
    pub(super) fn must_notify(self) -> bool {
        self.wake
    }

    /// Copies what is left of the next entry, or as much of it as fits into `iov`, and returns the
    /// number of bytes.
    ///
    /// # Errors
    ///
    /// `ENODATA`: there is no entry; `ENOBUFS`: the entry is to be read whole, and does not fit;
    /// `EPIPE`: something was lost before this entry, which is reported once; `EFAULT`; `EBADMSG`;
    /// `ENOMEM`. The entry stays.
    pub(super) fn read(&mut self, iov: &mut IovIterDest<'_>) -> Result<usize> {
        if self.queue.config().is_overwriting() {
            self.read_taken(iov)
        } else {
            self.read_in_place(iov)
        }
    }

    /// How many bytes are left of the next entry; 0 if there is none, or if first the loss before an
    /// empty one is to be reported.
    ///
    /// # Errors
    ///
    /// `EBADMSG`; `ENOMEM`.
    pub(super) fn left(&mut self) -> Result<usize> {
        let left = if self.queue.config().is_overwriting() {
            let taken = self.take_out();
            if self.owes_loss() {
                self.queue.call_began.store(1, Relaxed);
            }
            taken.map(|()| self.part.taken_len())
        } else {
            let mut consumer = self.consumer()?;
            self.look(&mut consumer)
                .map(|entry| entry.len() - self.part.done_at(consumer.released_pos()))
        };
        match left {
            Err(error) if error == ENODATA => Ok(0),
            left => left,
        }
    }

    fn is_set(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    fn read_in_place(&mut self, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let mut consumer = self.consumer()?;
        let entry = self.peek(&mut consumer)?;
        let pos = consumer.released_pos();
        let done = self.part.done_at(pos);
        let rest = entry.len() - done;
        let len = self.what_fits(rest, iov)?;
        // SAFETY: This is an output queue, so the process cannot write the data. The producer does
        // not write them before the release. `peek` checked offset and length.
        let bytes = unsafe { self.queue.region().data(entry.offset() + done, len) };
        if iov.copy_to_iter(bytes) != len {
            return Err(EFAULT);
        }
        if self.is_finished(pos, done + len, entry.len()) {
            self.release(&mut consumer);
        }
        Ok(len)
    }

    /// Reads from an overwriting queue.
    fn read_taken(&mut self, iov: &mut IovIterDest<'_>) -> Result<usize> {
        let taken = self.take_out();
        // Even if only an empty entry came, which is passed over.
        let owed = self.owes_loss();
        self.part.untold = false;
        if taken.is_err() {
            self.queue.call_began.store(0, Relaxed);
        }
        if owed {
            return Err(EPIPE);
        }
        taken?;
        let done = self.part.done_at(0);
        let len = self.what_fits(self.part.taken_len(), iov)?;
        let taken = self.part.taken.as_deref().unwrap_or_default();
        let whole = taken.len();
        if iov.copy_to_iter(&taken[done..done + len]) != len {
            return Err(EFAULT);
        }
        self.is_finished(0, done + len, whole);
        Ok(len)
    }

    /// How many of `rest` bytes are copied.
    fn what_fits(&self, rest: usize, iov: &IovIterDest<'_>) -> Result<usize> {
        if rest > iov.len() && self.is_set(uapi::IOSTREAM_READ_WHOLE) {
            return Err(ENOBUFS);
        }
        Ok(rest.min(iov.len()))
    }

    /// Notes that `done` of the `whole` bytes of the entry at `pos` have been copied. Returns
    /// whether these are all.
    fn is_finished(&mut self, pos: u64, done: usize, whole: usize) -> bool {
        if done < whole {
            self.part.stop_at(pos, done);
        } else {
            self.part.finish();
        }
        self.queue.call_began.store((done < whole).into(), Relaxed);
        done >= whole
    }

    /// The consumer of a queue that does not overwrite.
    fn consumer(&self) -> Result<ring::Consumer<Mapped>> {
        let region = self.queue.region();
        // SAFETY: By the contract of `new` this is the only consumer. The region outlives the call.
        let resumed = unsafe { ring::Consumer::resume(region.mapped(), *self.queue.geometry()) };
        let mut consumer = resumed.map_err(Error::from)?;
        // The previous call has already notified the driver of what it published.
        let _ = consumer.crossed_armed();
        Ok(consumer)
    }

    /// Finds the entry that is to be read next.
    ///
    /// # Errors
    ///
    /// `ENODATA`; `EPIPE`: something was lost before it, which is reported now; `EBADMSG`.
    fn peek(&mut self, consumer: &mut ring::Consumer<Mapped>) -> Result<ring::Entry> {
        loop {
            let entry = self.look(consumer)?;
            let passes = self.passes(&entry);
            let tells = self.tells(&entry) && self.part.must_tell(consumer.released_pos());
            if passes {
                self.release(consumer);
            }
            if tells {
                return Err(EPIPE);
            }
            if !passes {
                return Ok(entry);
            }
        }
    }

    /// Finds the entry that is to be read next, or before which something was lost that is to be
    /// reported. It stays in the queue.
    ///
    /// # Errors
    ///
    /// `ENODATA`; `EBADMSG`.
    fn look(&mut self, consumer: &mut ring::Consumer<Mapped>) -> Result<ring::Entry> {
        for _ in 0..self.most_empty() {
            let entry = consumer.peek().map_err(Error::from)?;
            if !self.passes(&entry) || self.tells(&entry) {
                return Ok(entry);
            }
            self.release(consumer);
            race_point!("passed-over");
        }
        Err(ENODATA)
    }

    /// After how many empty entries a look finds nothing: a lap. The driver may send them faster than
    /// they are passed over; the caller then looks once more, where a signal can end it.
    fn most_empty(&self) -> u64 {
        self.queue.geometry().data_bytes() / ring::occupied_bytes(0)
    }

    /// Whether the entry is passed over.
    fn passes(&self, entry: &ring::Entry) -> bool {
        entry.len() == 0 && !self.is_set(uapi::IOSTREAM_READ_WHOLE)
    }

    /// Whether something was lost before the entry, and read(2) tells of it.
    fn tells(&self, entry: &ring::Entry) -> bool {
        entry.lost_before() != 0 && self.is_set(uapi::IOSTREAM_READ_LOSS)
    }

    /// Whether something was lost before what was taken out of an overwriting queue, and read(2)
    /// tells of it.
    fn owes_loss(&self) -> bool {
        self.part.untold && self.is_set(uapi::IOSTREAM_READ_LOSS)
    }

    fn release(&mut self, consumer: &mut ring::Consumer<Mapped>) {
        consumer.release();
        consumer.publish();
        self.wake |= consumer.must_wake();
    }

    /// Takes the next entry out of an overwriting queue, unless one was taken out that is not
    /// finished.
    ///
    /// # Errors
    ///
    /// `ENODATA`; `EBADMSG`; `ENOMEM`.
    fn take_out(&mut self) -> Result {
        if self.part.taken.is_some() {
            return Ok(());
        }
        let region = self.queue.region();
        let mut bytes = KVVec::new();
        for _ in 0..self.most_empty() {
            // SAFETY: By the contract of `new` this is the only consumer. The region outlives the
            // call.
            let mut reader =
                unsafe { ring::OverwriteReader::new(region.mapped(), *self.queue.geometry()) };
            match reader.read(&mut bytes) {
                Ok(read) => {
                    self.part.untold |= read.lost_before != 0 || read.gap.bytes != 0;
                    if read.len == 0 && !self.is_set(uapi::IOSTREAM_READ_WHOLE) {
                        continue;
                    }
                    bytes.truncate(read.len);
                    self.part.taken = Some(core::mem::take(&mut bytes));
                    self.queue.call_began.store(1, Relaxed);
                    return Ok(());
                }
                Err(ring::Error::TooSmall { needed }) => {
                    bytes = KVVec::from_elem(0, needed as usize, copy_flags())?;
                }
                Err(error) => return Err(Error::from(error).into()),
            }
        }
        Err(ENODATA)
    }
}
