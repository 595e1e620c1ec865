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
/// A port has one, and its methods take `&mut self`, so a queue has a single producer. The driver
/// keeps it for as long as it likes, while sessions come and go.
///
/// # Contexts
///
/// [`enqueue_wait`](Self::enqueue_wait) and [`wait_room`](Self::wait_room) are for process
/// context. All other methods may be called in task, softirq and hard interrupt context, and never
/// sleep. None may be called in an NMI, nor under the lock of a run queue or a wait queue.
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
/// From the interrupt of a timer, under a lock that disables interrupts:
///
/// ```rust,ignore,from:rust/drivers/iostream_ticker.rs
/// fn run(this: ArcBorrow<'_, Self>, mut t: HrTimerCallbackContext<'_, Self>) -> HrTimerRestart {
///     let now = Instant::<Monotonic>::now().as_nanos().to_ne_bytes();
///     let _ = this.producer.lock().enqueue(&now); // Fails while no client is there.
///     t.forward_now(Delta::from_millis(100));
///     HrTimerRestart::Restart
/// }
/// ```
pub struct Producer {
    end: OutputEnd,
    /// The queue of the [`Reservation`] that lives, if one does. The reference is here and not in
    /// the `Reservation`, so that a leaked one keeps the queue only until the next reservation.
    reserved: Option<LaneRef>,
}

impl Producer {
    /// The producer of an end.
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

    /// Appends a copy of `bytes`, and wakes the process if it waits for an entry.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`]; [`Error::Full`] if there is no room: then nothing is written, and the
    /// driver's [`room_available`](crate::Driver::room_available) is called once there is;
    /// [`Error::Corrupt`].
    #[inline]
    pub fn enqueue(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.enqueue_with(bytes, Wake::Normal)
    }

    /// Appends a copy of `bytes`. `wake` says whether this may wake the process, or must.
    ///
    /// # Errors
    ///
    /// Those of [`Self::enqueue`].
    #[inline]
    pub fn enqueue_with(&mut self, bytes: &[u8], wake: Wake) -> Result<(), Error> {
        let done = self.with(|queue, producer| {
            push(queue, producer, bytes, WhenFull::Entry)?;
            queue.publish_produced(producer, 1, bytes.len() as u64, wake);
            Ok(())
        });
        if done == Err(Error::NotOpen) {
            self.end.port().count_unopened(1);
        }
        done
    }

    /// Runs `f`, which may enqueue many entries. When `f` returns they are published together, and
    /// the process is woken at most once.
    ///
    /// `f` must not sleep. What it returns is the result.
    ///
    /// # Errors
    ///
    /// Only those of all methods; then `f` did not run. Without a client nothing is counted as lost,
    /// since nobody knows how many entries there would have been: a driver that does calls
    /// [`report_lost`](Self::report_lost).
    #[inline]
    pub fn batch<R>(&mut self, f: impl FnOnce(&mut Batch<'_>) -> R) -> Result<R, Error> {
        self.batch_arming(WhenFull::Entry, f)
    }

    /// Runs a batch like [`Self::batch`]. `arm` says what an enqueue does that finds the queue
    /// full.
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
    /// A reservation that is dropped, or even leaked, has no effect.
    ///
    /// # Errors
    ///
    /// Those of [`Self::enqueue`].
    pub fn reserve(&mut self, len: usize) -> Result<Reservation<'_>, Error> {
        let reserved = self
            .end
            .with_counted(|queue, producer: &mut FramedProducer| {
                let len = entry_len(producer, len)?;
                let offset = reserve(&queue, producer, len, WhenFull::Entry)?;
                Ok((LaneRef::from(queue), queue.generation(), offset, len))
            });
        if matches!(reserved, Err(Error::NotOpen)) {
            self.end.port().count_unopened(1);
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

    /// Appends a copy of `bytes`, and sleeps before while the queue is full. Process context only.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`] by a fatal signal, or if the calling kernel thread is told to stop;
    /// [`Error::TimedOut`] after `timeout_ns` nanoseconds of sleep; those of [`Self::enqueue`]
    /// except [`Error::Full`].
    pub fn enqueue_wait(&mut self, bytes: &[u8], timeout_ns: Option<u64>) -> Result<(), Error> {
        might_sleep();
        let deadline = Deadline::after(timeout_ns);
        loop {
            let kicks = self.end.port().kicks.count();
            match self.enqueue(bytes) {
                Err(Error::Full) => self.wait_room_until(bytes.len(), deadline, false)?,
                // A reset ends with a kick.
                Err(Error::NotOpen) if self.end.port().may_be_back(kicks) => {
                    self.end.port().kicks.wait(kicks, deadline, false)?;
                }
                done => return done,
            }
        }
    }

    /// Sleeps until there is room for an entry of `len` bytes, and for a quarter of the queue, so
    /// that a process that keeps up is rarely asked for room. Process context only.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`] by a fatal signal, or if `interruptible` by any signal, or if the
    /// calling kernel thread is told to stop; [`Error::TimedOut`] after `timeout_ns` nanoseconds;
    /// [`Error::TooLarge`]; [`Error::Corrupt`]. A reset by the client does not end the wait.
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
                Ok(false) => {}
                Err(Error::NotOpen) if self.end.port().may_be_back(kicks) => {}
                Err(error) => return Err(error),
            }
            self.end.port().kicks.wait(kicks, deadline, interruptible)?;
        }
    }

    /// Asks the process to notify once there is room for an entry of `len` bytes, and for a
    /// quarter of the queue. Returns whether there is that much already.
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

    /// Declares `entries` entries lost: counts them, and marks the next entry, so that the process
    /// sees where they are missing. While no client has the node open, they are counted as
    /// `unopened` in sysfs.
    ///
    /// # Errors
    ///
    /// Only those of all methods.
    pub fn report_lost(&mut self, entries: u64) -> Result<(), Error> {
        let reported = self.with(|queue, producer| {
            producer.report_lost(entries);
            queue.count(Counter::Lost, entries);
            Ok(())
        });
        if reported == Err(Error::NotOpen) {
            self.end.port().count_unopened(entries);
        }
        reported
    }

    /// Wakes the process, even if the entries so far are below its watermark or were published
    /// without a wake-up.
    ///
    /// # Errors
    ///
    /// Only those of all methods.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.with(|queue, producer| {
            queue.publish_produced(producer, 0, 0, Wake::Force);
            Ok(())
        })
    }
}

/// Room for one entry in the queue, to be filled in place. See [`Producer::reserve`].
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
    /// The bytes of the entry. Their initial contents are unspecified.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        let Some(queue) = &self.producer.reserved else {
            return &mut [];
        };
        // SAFETY: The bytes are reserved, and the producer is borrowed exclusively, so nothing else
        // writes them. The process can only read them. The reference to the queue keeps the pages.
        unsafe { queue.region().data_mut(self.offset, self.len as usize) }
    }

    /// Publishes the entry, and wakes the process if it waits for an entry.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] if the session has ended or the queue was reset meanwhile; then nothing is
    /// published.
    pub fn commit(self) -> Result<(), Error> {
        let len = self.len as usize;
        self.commit_len(len)
    }

    /// Publishes an entry of the first `len` bytes only.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if `len` is more than was reserved; those of [`Self::commit`].
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

    /// Gives the room back, like a drop.
    pub fn discard(self) {}
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.producer.reserved = None;
    }
}
