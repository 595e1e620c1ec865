// SPDX-License-Identifier: GPL-2.0

//! The client's ends of a stream's queues, in the kernel's hands.

use crate::{
    error::Error,
    pool::{
        descriptor::{Descriptor, Reject},
        Pool,
    },
    queue::Queue,
    ring::{self, uapi, Descriptors, Mapped},
};

/// Both ends of a session's client, for the length of a call.
pub(crate) struct ClientEnds<'a> {
    pool: &'a Pool,
    consumer: ring::Consumer<Mapped, Descriptors>,
    producer: ring::Producer<Mapped, Descriptors>,
    /// Whether a buffer was sent for which the driver waits.
    wake: bool,
}

impl<'a> ClientEnds<'a> {
    /// The ends, as who had them before left them.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`]: a process had them, and left positions that cannot be right.
    ///
    /// # Safety
    ///
    /// The result is the only user of the client's ends of both queues. For a process that can open
    /// the session: both were claimed.
    pub(crate) unsafe fn resume(
        output: &'a Queue,
        input: &'a Queue,
        pool: &'a Pool,
    ) -> Result<Self, Error> {
        // SAFETY: The caller's promise; the regions outlive the result, as the queues do.
        let (consumer, producer) = unsafe {
            (
                ring::Consumer::resume_of(output.region().mapped(), *output.geometry())?,
                ring::Producer::resume_of(input.region().mapped(), *input.geometry())?,
            )
        };
        Ok(Self {
            pool,
            consumer,
            producer,
            wake: false,
        })
    }

    /// The next descriptor that the driver sent and its position; it stays. Those that a stop
    /// discarded go back to the driver.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`]; [`Error::Corrupt`].
    pub(crate) fn peek(&mut self) -> Result<(Descriptor, u64), Error> {
        loop {
            let pos = self.consumer.released_pos();
            let descriptor = Descriptor::from_bytes(self.consumer.peek_array()?);
            let spec = self.pool.spec();
            // The kernel wrote it; but nothing here rests on that.
            descriptor.check_ranges(spec.data_bytes, spec.control_bytes)?;
            if descriptor.buffer >= self.pool.count() {
                return Err(Reject::Id.into());
            }
            let ahead = self.pool.info().discarded_pos().wrapping_sub(pos);
            if ahead == 0 || ahead > u64::MAX / 2 {
                return Ok((descriptor, pos));
            }
            self.release();
            self.give_back(descriptor.buffer)?;
        }
    }

    /// Takes what [`Self::peek`] found.
    pub(crate) fn release(&mut self) {
        // The driver never waits for this: its queue has room for every buffer.
        self.consumer.release_and_publish();
    }

    /// Passes a buffer to the driver.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::Corrupt`]: a process had the ends before, and made a mess.
    pub(crate) fn send(&mut self, descriptor: &Descriptor) -> Result<(), Error> {
        self.producer.push_and_publish(&descriptor.to_bytes())?;
        self.wake |= self.producer.must_wake();
        Ok(())
    }

    /// Returns a buffer with nothing in it for the driver.
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    pub(crate) fn give_back(&mut self, buffer: u32) -> Result<(), Error> {
        self.send(&Descriptor {
            buffer,
            flags: uapi::IOSTREAM_DESCRIPTOR_UNUSED,
            ..Default::default()
        })
    }

    /// Whether the driver waits for what was sent: then its port is to be notified, without locks.
    pub(crate) fn must_notify(self) -> bool {
        self.wake
    }
}
