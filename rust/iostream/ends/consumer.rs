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

type FramedConsumer = ring::Consumer<Mapped>;

/// The consuming end of an input queue.
///
/// A port has one, and its methods take `&mut self`, so a queue has a single consumer. What a
/// process wrote can only be copied out: there is no slice over memory that a process can change.
///
/// A method that finds the queue empty arms it: the driver's
/// [`data_available`](crate::Driver::data_available) is called at the next entry, or when the
/// [watermark](Self::set_watermark) is reached. A driver that stops before it finds the queue
/// empty, for example because it has no room of its own, is not called, and has to continue by
/// itself, or to ask for a call ([`call_again`](Self::call_again)).
///
/// # Contexts
///
/// [`wait`](Self::wait) and [`set_watermark`](Self::set_watermark) are for process context. All
/// other methods may be called in task, softirq and hard interrupt context, and never sleep. None
/// may be called in an NMI, nor under the lock of a run queue or a wait queue.
///
/// # Errors
///
/// All methods return [`Error::NotOpen`] while no client has the node open, and [`Error::Gone`]
/// after the registration was dropped. A reset of the queue by the client is to its driver as if the
/// client had closed the node and opened it: what is under way for a moment finds the node not open,
/// and what was taken from the queue before, as a reservation, is stale. Waits outlive a reset. The
/// driver's `closed` and `opened` are not called, since the client stays the same.
///
/// # Examples
///
/// ```rust,ignore,from:rust/drivers/iostream_instrument.rs
/// fn data_available(&self) {
///     let mut ends = self.ends.lock();
///     for _ in 0..BATCH {
///         // No command: this is called at the next one. No room: `room_available` is called.
///         if ends.answer_next().is_err() {
///             return;
///         }
///     }
///     // This is a client's thread, which may not be kept by all that the client sends meanwhile.
///     ends.commands.call_again();
/// }
/// ```
pub struct Consumer {
    end: InputEnd,
    /// The queue of the [`Peeked`] that lives, if one does. The reference is here and not in the
    /// `Peeked`, so that a leaked one keeps the queue only until the next peek.
    peeked: Option<LaneRef>,
}

impl Consumer {
    /// The consumer of an end.
    pub(crate) fn new(end: InputEnd) -> Self {
        Self { end, peeked: None }
    }

    /// Runs `f` with the ring of the open session.
    #[inline(always)]
    fn with<R>(
        &mut self,
        f: impl FnOnce(&Port, &Lane, &mut FramedConsumer) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.end.with(f)
    }

    /// Copies the next entry to the front of `buffer`, removes it, and returns its length.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`]; [`Error::TooSmall`] if the entry is longer than `buffer`, and then it
    /// stays; [`Error::Corrupt`].
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
        let peeked = self
            .end
            .with_counted(|port, queue, consumer: &mut FramedConsumer| {
                let entry = peek(port, &queue, consumer)?;
                Ok((LaneRef::from(queue), queue.generation(), entry))
            });
        let (queue, generation, entry) = peeked?;
        self.peeked = Some(queue);
        Ok(Peeked {
            consumer: self,
            generation,
            entry,
        })
    }

    /// Takes up to `max` entries, and calls `f` for each. The room is published to the process
    /// once, at the end.
    ///
    /// Returns how many entries it took. There may be more, so call it until it returns 0. If the
    /// queue is empty it returns 0, and the driver is called at the next entry.
    ///
    /// `f` must not sleep. It returns whether to take the entry; `false` leaves the entry and ends.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`], after the entries before the corrupt one were taken.
    #[inline]
    pub fn drain(&mut self, max: u64, f: impl FnMut(&View<'_>) -> bool) -> Result<u64, Error> {
        self.drain_arming(true, max, f)
    }

    /// Drains like [`Self::drain`]. Without `arm` the caller polls: an empty queue requests no
    /// call of the driver.
    #[inline]
    pub(crate) fn drain_arming(
        &mut self,
        arm: bool,
        max: u64,
        mut f: impl FnMut(&View<'_>) -> bool,
    ) -> Result<u64, Error> {
        self.with(|port, queue, consumer| {
            if arm {
                // Arms only if there is nothing at all, so the barrier is paid at most once a
                // batch.
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
                // If entries came before the corrupt one, the next call finds it again and reports
                // it.
                Some(error) if drained.entries == 0 => {
                    Err(queue.report(error, consumer.corrupt_events()))
                }
                _ => Ok(drained.entries),
            }
        })
    }

    /// Arms for the next entry although entries are left in the queue. Returns whether one came
    /// meanwhile.
    pub(crate) fn arm_next(&mut self) -> Result<bool, Error> {
        self.with(|_, queue, consumer| {
            consumer
                .arm_next()
                .map_err(|error| queue.report(error, consumer.corrupt_events()))
        })
    }

    /// Schedules a call of the driver's [`data_available`](crate::Driver::data_available) in a
    /// worker, whether or not there is something in the queue. The client may have closed by then, and
    /// the ends say [`Error::NotOpen`].
    ///
    /// A callback uses this when it returns before it has found the queue empty. It should do so now
    /// and then: otherwise a client that keeps up would keep it busy without end.
    pub fn call_again(&self) {
        Port::call_again(self.end.port().to_arc());
    }

    /// How many bytes wait, overhead included.
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

    /// Sets how much must wait before the driver is called, and before [`wait`](Self::wait)
    /// returns.
    ///
    /// Both happen when one of these holds:
    ///
    /// - `bytes` wait in the queue, overhead included. 0 means when an entry waits; this is the
    ///   default.
    /// - `latency_ns` nanoseconds have passed since an entry came that the driver was not told of.
    ///   0 means no timer.
    /// - The process has found the queue full, or flushes it.
    ///
    /// The watermark also applies to later sessions. Methods that do not wait take what is there,
    /// even below the watermark. Process context only.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if `bytes` is more than the queue can hold, if there is a latency
    /// without a watermark, or if `IOSTREAM_IOC_WATERMARK` would refuse the latency.
    pub fn set_watermark(&mut self, bytes: u64, latency_ns: u64) -> Result<(), Error> {
        might_sleep();
        Port::set_input_watermark(self.end.port().as_borrow(), bytes, latency_ns)
    }

    /// Sleeps until an entry waits, or with a watermark until that is reached. Process context
    /// only.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] after `timeout_ns` nanoseconds; [`Error::Interrupted`] by a fatal
    /// signal, or if `interruptible` by any signal, or if the calling kernel thread is told to
    /// stop; [`Error::Corrupt`]. A reset by the client does not end the wait.
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
                Err(Error::Empty) => {}
                Err(Error::NotOpen) if self.end.port().may_be_back(kicks) => {}
                Err(error) => return Err(error),
            }
            let port = self.end.port();
            port.kicks.wait(kicks, deadline, interruptible)?;
        }
    }
}

/// An entry inside [`Consumer::drain`]. Its bytes can only be copied, since the process can write
/// them.
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
    /// [`Error::Invalid`] if the entry has fewer bytes.
    #[inline(always)]
    pub fn copy_to(&self, offset: usize, buffer: &mut [u8]) -> Result<(), Error> {
        copy(self.memory, self.entry, offset, buffer)
    }
}

/// The next entry of a queue, without removing it. See [`Consumer::peek`]. Dropping this leaves the
/// entry in the queue.
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
    /// [`Error::Invalid`] if the entry has fewer bytes.
    pub fn copy_to(&self, offset: usize, buffer: &mut [u8]) -> Result<(), Error> {
        let queue = self.consumer.peeked.as_ref().ok_or(Error::Stale)?;
        // SAFETY: The reference to the queue keeps its pages. The result only reads data.
        let memory = unsafe { queue.region().mapped() };
        copy(&memory, self.entry, offset, buffer)
    }

    /// Removes the entry without copying it.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] if the session has ended or the queue was reset meanwhile.
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

/// Copies bytes of an entry from `offset` on into all of `buffer`.
#[inline(always)]
fn copy(memory: &Mapped, entry: Entry, offset: usize, buffer: &mut [u8]) -> Result<(), Error> {
    match offset.checked_add(buffer.len()) {
        Some(end) if end <= entry.len() => {
            // SAFETY: The ring checked that the entry lies in the data, and the lines above that
            // this part lies in the entry.
            unsafe { memory.read(entry.offset() + offset, buffer.as_mut_ptr(), buffer.len()) };
            Ok(())
        }
        _ => Err(Error::Invalid),
    }
}
