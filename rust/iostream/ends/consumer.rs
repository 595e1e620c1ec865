// SPDX-License-Identifier: GPL-2.0

//! The driver's end of an input queue.

use kernel::{prelude::*, task::might_sleep};

use super::end::{peek, InputEnd};
use crate::{
    channel::lane::{Lane, LaneRef},
    error::Error,
    port::Port,
    ring::{self, Entry, Mapped, Memory},
    sync::wait::Deadline,
};

/// The consuming end of an input queue.
///
/// There is one for a port, and its methods take `&mut self`. What a process wrote can only be
/// copied out: there is no slice over memory that a process can change.
///
/// Whoever finds the queue empty is armed by that: the driver's
/// [`data_available`](crate::Driver::data_available) is called at the next entry, or when the
/// [watermark](Self::set_watermark) is reached. A driver that
/// stops earlier, say because it has no room of its own, goes on by itself later.
///
/// # Contexts
///
/// As for [`Producer`](crate::Producer); [`wait`](Self::wait) sleeps.
///
/// # Errors
///
/// All return [`Error::NotOpen`] while nobody has the node open, [`Error::Stale`] for the moment in
/// which the client resets the queue, and [`Error::Gone`] after the registration was dropped.
pub struct Consumer {
    end: InputEnd,
    /// The queue of the entry that is looked at, if one is: as `Producer::reserved`.
    peeked: Option<LaneRef>,
}

impl Consumer {
    pub(crate) fn new(end: InputEnd) -> Self {
        Self { end, peeked: None }
    }

    /// Runs `f` with the ring of the open session.
    #[inline(always)]
    fn with<R>(
        &mut self,
        f: impl FnOnce(&Port, &Lane, &mut ring::Consumer<Mapped>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.end.with(f)
    }

    /// Copies the next entry to the front of `buffer`, removes it, and returns its length.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`]; [`Error::TooSmall`], and the entry stays; [`Error::Corrupt`].
    pub fn dequeue(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        self.with(|port, queue, consumer| {
            peek(port, queue, consumer)?;
            let len = consumer.pop(buffer)?.len();
            queue.publish_consumed(consumer, 1, len as u64);
            Ok(len)
        })
    }

    /// Looks at the next entry without copying or removing it.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`]; [`Error::Corrupt`].
    pub fn peek(&mut self) -> Result<Peeked<'_>, Error> {
        let (queue, generation, entry) = self.with(|port, queue, consumer| {
            let entry = peek(port, queue, consumer)?;
            // SAFETY: This is inside the section in which the lane was found.
            let kept = unsafe { LaneRef::from_ref(queue) };
            Ok((kept, queue.generation(), entry))
        })?;
        self.peeked = Some(queue);
        Ok(Peeked {
            consumer: self,
            generation,
            entry,
        })
    }

    /// Takes up to `max` entries, one call of `f` for each; the process learns of the room once, at
    /// the end. Returns how many it took; 0 if the queue is empty, and then the driver is told
    /// of the next entry. There may be more than it took: call it until it returns 0.
    ///
    /// `f` must not sleep. It returns whether to take the entry; `false` leaves it and ends.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`], after the entries before it were taken.
    #[inline]
    pub fn drain(&mut self, max: u64, f: impl FnMut(&View<'_>) -> bool) -> Result<u64, Error> {
        self.drain_arming(true, max, f)
    }

    /// As [`Self::drain`]; unless `arm`, who finds the queue empty tries again by itself.
    #[inline]
    pub(crate) fn drain_arming(
        &mut self,
        arm: bool,
        max: u64,
        mut f: impl FnMut(&View<'_>) -> bool,
    ) -> Result<u64, Error> {
        self.with(|port, queue, consumer| {
            if arm {
                // Only who finds nothing at all is armed: the barrier is paid once a batch.
                match peek(port, queue, consumer) {
                    Ok(_) => {}
                    Err(Error::Empty) => return Ok(0),
                    Err(error) => return Err(error),
                }
            }
            let drained = consumer.drain(max, |memory, entry| f(&View { memory, entry }));
            if drained.entries > 0 {
                queue.publish_consumed(consumer, drained.entries, drained.bytes);
            }
            match drained.error {
                // Found again, and then reported, once what came before it is done with.
                Some(error) if drained.entries == 0 => {
                    Err(queue.report(error, consumer.corrupt_events()))
                }
                _ => Ok(drained.entries),
            }
        })
    }

    /// Asks to be told of the next entry, with entries left in the queue. Returns whether one came
    /// meanwhile.
    pub(crate) fn arm_next(&mut self) -> Result<bool, Error> {
        self.with(|_, queue, consumer| {
            consumer
                .arm_next()
                .map_err(|error| queue.report(error, consumer.corrupt_events()))
        })
    }

    /// Bytes that wait, overhead included.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`].
    pub fn available_bytes(&mut self) -> Result<u64, Error> {
        self.with(|_, queue, consumer| {
            let available = consumer
                .available()
                .map_err(|error| queue.report(error, consumer.corrupt_events()))?;
            queue.raise_high_water(consumer.known_bytes());
            Ok(available)
        })
    }

    /// Has the driver told, and [`wait`](Self::wait) return, when `bytes` wait, overhead included; or
    /// `latency_ns` nanoseconds (0: no timer) after an entry came that nobody was told of; or when the
    /// process has found the queue full, or flushes it. With 0 bytes: when an entry waits, as at first.
    ///
    /// It stays for the sessions to come. What looks without waiting takes what is there. Process
    /// context only.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: more than the queue has; a latency without a watermark, or one that
    /// `IOSTREAM_IOC_WATERMARK` would refuse.
    pub fn set_watermark(&mut self, bytes: u64, latency_ns: u64) -> Result<(), Error> {
        might_sleep();
        self.end.port().set_input_watermark(bytes, latency_ns)
    }

    /// Sleeps until an entry waits (with a watermark: until that is reached), a fatal signal (any, if `interruptible`), or for at most
    /// `timeout_ns` nanoseconds. Process context only.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`]; [`Error::TimedOut`]; [`Error::Corrupt`].
    pub fn wait(&mut self, timeout_ns: Option<u64>, interruptible: bool) -> Result<(), Error> {
        might_sleep();
        let deadline = Deadline::after(timeout_ns);
        loop {
            let kicks = self.end.port().kicks.count();
            let found = self.with(|port, queue, consumer| {
                if !port.is_due(queue) {
                    return Err(Error::Empty);
                }
                peek(port, queue, consumer)
            });
            match found {
                Ok(_) => return Ok(()),
                // A reset ends with a kick.
                Err(Error::Empty | Error::Stale) => {}
                Err(error) => return Err(error),
            }
            let port = self.end.port();
            port.kicks.wait(kicks, deadline, interruptible)?;
        }
    }
}

/// An entry of a process's, inside [`Consumer::drain`]: it can only be copied from.
pub struct View<'a> {
    memory: &'a Mapped,
    entry: Entry,
}

impl View<'_> {
    /// Bytes of the entry.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.entry.len()
    }

    /// Whether the entry has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies bytes of the entry from `offset` on into all of `buffer`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the entry has fewer.
    #[inline(always)]
    pub fn copy_to(&self, offset: usize, buffer: &mut [u8]) -> Result<(), Error> {
        copy(self.memory, self.entry, offset, buffer)
    }
}

/// The next entry, looked at. See [`Consumer::peek`]. Dropping it leaves the entry where it is.
///
/// # Invariants
///
/// `consumer.peeked` is the queue that has the entry, until drop.
pub struct Peeked<'a> {
    consumer: &'a mut Consumer,
    generation: u64,
    entry: Entry,
}

impl Peeked<'_> {
    /// Bytes of the entry.
    pub fn len(&self) -> usize {
        self.entry.len()
    }

    /// Whether the entry has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies bytes of the entry from `offset` on into all of `buffer`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the entry has fewer.
    pub fn copy_to(&self, offset: usize, buffer: &mut [u8]) -> Result<(), Error> {
        let queue = self.consumer.peeked.as_ref().ok_or(Error::Stale)?;
        // SAFETY: The reference to the queue keeps the pages; this only reads the data.
        let memory = unsafe { queue.region().mapped() };
        copy(&memory, self.entry, offset, buffer)
    }

    /// Removes the entry without copying it.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`]: the session ended or reset the queue meanwhile.
    pub fn release(self) -> Result<(), Error> {
        let own = self.consumer.peeked.as_deref().map(core::ptr::from_ref);
        let (generation, bytes) = (self.generation, self.entry.len() as u64);
        self.consumer.with(|_, queue, consumer| {
            if own != Some(core::ptr::from_ref(queue)) || queue.generation() != generation {
                return Err(Error::Stale);
            }
            consumer.release();
            queue.publish_consumed(consumer, 1, bytes);
            Ok(())
        })
    }
}

impl Drop for Peeked<'_> {
    fn drop(&mut self) {
        self.consumer.peeked = None;
    }
}

#[inline(always)]
fn copy(memory: &Mapped, entry: Entry, offset: usize, buffer: &mut [u8]) -> Result<(), Error> {
    match offset.checked_add(buffer.len()) {
        Some(end) if end <= entry.len() => {
            // SAFETY: The entry was checked to lie in the data, and this part in the entry.
            unsafe { memory.read(entry.offset() + offset, buffer.as_mut_ptr(), buffer.len()) };
            Ok(())
        }
        _ => Err(Error::Invalid),
    }
}
