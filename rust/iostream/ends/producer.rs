// SPDX-License-Identifier: GPL-2.0

//! The driver's end of an output queue.

use kernel::{prelude::*, task::might_sleep};

use super::{batch::Batch, end::OutputEnd};
use crate::{
    channel::lane::{Lane, LaneRef},
    error::Error,
    queue::{
        config::Wake,
        produce::{counted, entry_len, push, reserve, FramedProducer, WhenFull},
        Counter,
    },
    ring::occupied_bytes,
    sync::wait::Deadline,
};

/// The producing end of an output queue.
///
/// There is one for a port, and its methods take `&mut self`: that a queue has a single producer is
/// the compiler's business. It belongs to the driver for as long as the driver likes; sessions come
/// and go behind it.
///
/// # Contexts
///
/// All methods but [`enqueue_wait`](Self::enqueue_wait) may be called in task, softirq and hard
/// interrupt context, and never sleep; not in an NMI, nor under a run queue's or wait queue's lock.
///
/// # Errors
///
/// All return [`Error::NotOpen`] while nobody has the node open, [`Error::Stale`] for the moment in
/// which the client resets the queue, and [`Error::Gone`] after the registration was dropped.
pub struct Producer {
    end: OutputEnd,
    /// The queue of the reservation that lives, if one does: here and not in the reservation, so
    /// that one that is leaked keeps the queue no longer than until the next.
    reserved: Option<LaneRef>,
}

impl Producer {
    pub(crate) fn new(end: OutputEnd) -> Self {
        Self {
            end,
            reserved: None,
        }
    }

    /// Runs `f` with the ring of the open session.
    #[inline(always)]
    fn with<R>(
        &mut self,
        f: impl FnOnce(&Lane, &mut FramedProducer) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.end.with(f)
    }

    /// Appends a copy of `bytes`, and wakes the process if it waits for it.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`]; [`Error::Full`]: nothing is written, and the driver's
    /// [`room_available`](crate::Driver::room_available) is called once there is room;
    /// [`Error::Corrupt`].
    #[inline]
    pub fn enqueue(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.enqueue_with(bytes, Wake::Normal)
    }

    /// As [`Self::enqueue`], and says whether the process may, or must, be woken.
    ///
    /// # Errors
    ///
    /// As [`Self::enqueue`].
    #[inline]
    pub fn enqueue_with(&mut self, bytes: &[u8], wake: Wake) -> Result<(), Error> {
        let done = self.with(|queue, producer| {
            push(queue, producer, bytes, WhenFull::Entry)?;
            queue.publish_produced(producer, 1, bytes.len() as u64, wake);
            Ok(())
        });
        if done == Err(Error::NotOpen) {
            self.end.port().count_unopened();
        }
        done
    }

    /// Runs `f`, which may enqueue many entries; they are published, and the process woken, once,
    /// when it returns.
    ///
    /// `f` must not sleep.
    ///
    /// # Errors
    ///
    /// [`Error::NotOpen`], [`Error::Gone`]; else what `f` returns is in the result.
    #[inline]
    pub fn batch<R>(&mut self, f: impl FnOnce(&mut Batch<'_>) -> R) -> Result<R, Error> {
        self.batch_arming(WhenFull::Entry, f)
    }

    /// As [`Self::batch`], and says what an enqueue does that finds the queue full.
    #[inline]
    pub(crate) fn batch_arming<R>(
        &mut self,
        arm: WhenFull,
        f: impl FnOnce(&mut Batch<'_>) -> R,
    ) -> Result<R, Error> {
        self.with(|queue, producer| {
            let mut batch = Batch::new(queue, producer, arm);
            let result = f(&mut batch);
            batch.end();
            Ok(result)
        })
    }

    /// Reserves room for an entry of `len` bytes, to be filled in place.
    ///
    /// A reservation that is dropped, or even leaked, changes nothing.
    ///
    /// # Errors
    ///
    /// As [`Self::enqueue`].
    pub fn reserve(&mut self, len: usize) -> Result<Reservation<'_>, Error> {
        let reserved = self.with(|queue, producer| {
            let len = entry_len(producer, len)?;
            let offset = reserve(queue, producer, len, WhenFull::Entry)?;
            // SAFETY: This is inside the section in which the lane was found.
            let kept = unsafe { LaneRef::from_ref(queue) };
            Ok((kept, queue.generation(), offset, len))
        });
        if matches!(reserved, Err(Error::NotOpen)) {
            self.end.port().count_unopened();
        }
        let (queue, generation, offset, len) = reserved?;
        self.reserved = Some(queue);
        Ok(Reservation {
            producer: self,
            generation,
            offset,
            len,
        })
    }

    /// As [`Self::enqueue`], but sleeps while the queue is full, until a fatal signal or for at
    /// most `timeout_ns` nanoseconds. Process context only.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`]; [`Error::TimedOut`]; as [`Self::enqueue`], but for `Full`.
    pub fn enqueue_wait(&mut self, bytes: &[u8], timeout_ns: Option<u64>) -> Result<(), Error> {
        might_sleep();
        let deadline = Deadline::after(timeout_ns);
        loop {
            let kicks = self.end.port().kicks.count();
            match self.enqueue(bytes) {
                Err(Error::Full) => self.wait_room_until(bytes.len(), deadline, false)?,
                // A reset ends with a kick.
                Err(Error::Stale) => self.end.port().kicks.wait(kicks, deadline, false)?,
                done => return done,
            }
        }
    }

    /// Sleeps until an entry of `len` bytes fits, or more: a quarter of the queue, so that a
    /// consumer that keeps up is asked for room rarely. Process context only.
    ///
    /// # Errors
    ///
    /// As [`Self::enqueue_wait`].
    pub fn wait_room(
        &mut self,
        len: usize,
        timeout_ns: Option<u64>,
        interruptible: bool,
    ) -> Result<(), Error> {
        might_sleep();
        self.wait_room_until(len, Deadline::after(timeout_ns), interruptible)
    }

    fn wait_room_until(
        &mut self,
        len: usize,
        deadline: Deadline,
        interruptible: bool,
    ) -> Result<(), Error> {
        loop {
            let kicks = self.end.port().kicks.count();
            match self.arm_room(len) {
                Ok(true) => return Ok(()),
                Ok(false) | Err(Error::Stale) => {}
                Err(error) => return Err(error),
            }
            self.end.port().kicks.wait(kicks, deadline, interruptible)?;
        }
    }

    /// Asks the process to notify once an entry of `len` bytes fits, or more: a quarter of the
    /// queue. Returns whether there is that much already.
    pub(crate) fn arm_room(&mut self, len: usize) -> Result<bool, Error> {
        self.with(|queue, producer| {
            let len = entry_len(producer, len)?;
            let need = occupied_bytes(len).max(queue.geometry().data_bytes() / 4);
            counted(queue, producer, |producer| producer.arm_room(need))
        })
    }

    /// Whether `count` entries of `len` bytes fit now.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`].
    pub fn can_enqueue(&mut self, len: usize, count: u64) -> Result<bool, Error> {
        self.with(|queue, producer| match u32::try_from(len) {
            Ok(len) => counted(queue, producer, |producer| producer.can_push(len, count)),
            Err(_) => Ok(count == 0),
        })
    }

    /// Declares `entries` entries lost: they are counted, and the next entry says so in band.
    ///
    /// # Errors
    ///
    /// [`Error::NotOpen`], [`Error::Gone`].
    pub fn report_lost(&mut self, entries: u64) -> Result<(), Error> {
        self.with(|queue, producer| {
            producer.report_lost(entries);
            queue.count(Counter::Lost, entries);
            Ok(())
        })
    }

    /// Wakes the process, whatever it waits for: what was suppressed is seen now.
    ///
    /// # Errors
    ///
    /// [`Error::NotOpen`], [`Error::Gone`].
    pub fn flush(&mut self) -> Result<(), Error> {
        self.with(|queue, producer| {
            queue.publish_produced(producer, 0, 0, Wake::Force);
            Ok(())
        })
    }
}

/// Room for one entry in the queue itself. See [`Producer::reserve`].
///
/// # Invariants
///
/// `producer.reserved` is the queue that has the room, until drop.
pub struct Reservation<'a> {
    producer: &'a mut Producer,
    generation: u64,
    offset: usize,
    len: u32,
}

impl Reservation<'_> {
    /// The bytes of the entry to be. What they hold before they are written is not specified.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        let Some(queue) = &self.producer.reserved else {
            return &mut [];
        };
        // SAFETY: Reserved, and the producer is borrowed for as long; the process can only read
        // there; the reference to the queue keeps the pages.
        unsafe { queue.region().data_mut(self.offset, self.len as usize) }
    }

    /// Publishes the entry, and wakes the process if it waits for it.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`]: the session ended or reset the queue meanwhile; nothing was published.
    pub fn commit(self) -> Result<(), Error> {
        let len = self.len as usize;
        self.commit_len(len)
    }

    /// As [`Self::commit`], with only the first `len` bytes.
    ///
    /// # Errors
    ///
    /// As [`Self::commit`]; [`Error::Invalid`]: `len` is more than was reserved.
    pub fn commit_len(self, len: usize) -> Result<(), Error> {
        let len = match u32::try_from(len) {
            Ok(len) if len <= self.len => len,
            _ => return Err(Error::Invalid),
        };
        let own = self.producer.reserved.as_deref().map(core::ptr::from_ref);
        let generation = self.generation;
        self.producer.with(|queue, producer| {
            if own != Some(core::ptr::from_ref(queue)) || queue.generation() != generation {
                return Err(Error::Stale);
            }
            producer.commit(len)?;
            queue.publish_produced(producer, 1, u64::from(len), Wake::Normal);
            Ok(())
        })
    }

    /// Gives the room back. The same as dropping.
    pub fn discard(self) {}
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.producer.reserved = None;
    }
}
