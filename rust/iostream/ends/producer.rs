// SPDX-License-Identifier: GPL-2.0

//! The driver's end of an output queue.

use kernel::{prelude::*, task::might_sleep};

use super::batch::Batch;
use crate::{
    error::Error,
    port::PortRef,
    queue::{
        config::{Direction, Wake},
        Counter, Kind, Queue, QueueRef,
    },
    ring::{self, occupied_bytes, Mapped},
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
    port: PortRef,
    /// The queue of the reservation that lives, if one does: here and not in the reservation, so
    /// that one that is leaked keeps the queue no longer than until the next.
    reserved: Option<QueueRef>,
}

impl Producer {
    pub(crate) fn new(port: PortRef) -> Self {
        Self {
            port,
            reserved: None,
        }
    }

    /// The port whose queue this is.
    pub(crate) fn port(&self) -> &PortRef {
        &self.port
    }

    /// Runs `f` with the ring, which it has to itself.
    #[inline(always)]
    fn with<R>(
        &mut self,
        f: impl FnOnce(&Queue, &mut ring::Producer<Mapped>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.with_kind(f)
    }

    /// Runs `f` with the ring, which it has to itself, if it is of this kind.
    #[inline(always)]
    pub(crate) fn with_kind<K: Kind, R>(
        &mut self,
        f: impl FnOnce(&Queue, &mut ring::Producer<Mapped, K>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.port.with_queue(Direction::Output, |queue| {
            // SAFETY: `self` is the port's only producer and borrowed exclusively; this is inside
            // the section in which the queue was found published.
            match unsafe { queue.producer() } {
                Some(producer) => f(queue, producer),
                None => Err(Error::Invalid),
            }
        })
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
            push(queue, producer, bytes, Arm::Entry)?;
            queue.publish_produced(producer, 1, bytes.len() as u64, wake);
            Ok(())
        });
        if done == Err(Error::NotOpen) {
            self.port.count_unopened();
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
        self.batch_arming(Arm::Entry, f)
    }

    /// As [`Self::batch`], and says what an enqueue does that finds the queue full.
    #[inline]
    pub(crate) fn batch_arming<R>(
        &mut self,
        arm: Arm,
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
            let offset = reserve(queue, producer, len, Arm::Entry)?;
            // SAFETY: This is inside `with_queue`.
            let kept = unsafe { QueueRef::from_ref(queue) };
            Ok((kept, queue.generation(), offset, len))
        });
        if matches!(reserved, Err(Error::NotOpen)) {
            self.port.count_unopened();
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
        loop {
            match self.enqueue(bytes) {
                Err(Error::Full) => self.wait_room(bytes.len(), timeout_ns, false)?,
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
        let kicks = self.port.kicks.count();
        if self.arm_room(len)? {
            return Ok(());
        }
        self.port.kicks.wait(kicks, timeout_ns, interruptible)
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

/// For how much room an enqueue asks that finds the queue full.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arm {
    /// None: the caller tries again by itself.
    No,
    /// For its entry.
    Entry,
    /// For a quarter of the queue, so that a busy consumer notifies rarely. Less is no room.
    Quarter,
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

#[inline(always)]
pub(crate) fn entry_len(producer: &ring::Producer<Mapped>, len: usize) -> Result<u32, Error> {
    u32::try_from(len).map_err(|_| Error::TooLarge {
        max: producer.geometry().max_entry_bytes(),
    })
}

/// Copies an entry into the ring; deals with a full or corrupt one.
#[inline(always)]
fn push(
    queue: &Queue,
    producer: &mut ring::Producer<Mapped>,
    bytes: &[u8],
    arm: Arm,
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
    arm: Arm,
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
fn arm_or_full(
    queue: &Queue,
    producer: &mut ring::Producer<Mapped>,
    len: u32,
    arm: Arm,
) -> Result<(), Error> {
    let need = occupied_bytes(len);
    let room = match arm {
        Arm::No => Ok(false),
        Arm::Entry => producer.arm_room(need),
        Arm::Quarter => producer.arm_room(need.max(queue.geometry().data_bytes() / 4)),
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

fn counted<R>(
    queue: &Queue,
    producer: &mut ring::Producer<Mapped>,
    f: impl FnOnce(&mut ring::Producer<Mapped>) -> Result<R, ring::Error>,
) -> Result<R, Error> {
    match f(producer) {
        Ok(result) => Ok(result),
        Err(error) => Err(queue.report(error, producer.corrupt_events())),
    }
}
