// SPDX-License-Identifier: GPL-2.0

//! The client's ends of a stream's queues, used by the kernel.
//!
//! The kernel plays the client's part in read(2) and write(2), and for a module that is a client.

use crate::{
    error::Error,
    pool::{
        descriptor::{Descriptor, Reject},
        Pool,
    },
    queue::Queue,
    ring::{self, uapi, Descriptors, Mapped},
};

/// Both ends of a session's client, for the duration of a call.
pub(crate) struct ClientEnds<'a> {
    pool: &'a Pool,
    consumer: ring::Consumer<Mapped, Descriptors>,
    producer: ring::Producer<Mapped, Descriptors>,
    /// Set once a buffer was sent that the driver waits for.
    wake: bool,
}

impl<'a> ClientEnds<'a> {
    /// Resumes both ends where their previous user stopped.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if the previous user was a process and left invalid positions.
    ///
    /// # Safety
    ///
    /// While the result lives, nothing else uses the client's ends of both queues. If the session
    /// has a file, the caller has claimed the ends for this call.
    #[inline(never)]
    pub(crate) unsafe fn resume(
        output: &'a Queue,
        input: &'a Queue,
        pool: &'a Pool,
    ) -> Result<Self, Error> {
        // SAFETY: The caller guarantees that nothing else uses these ends. The queues are borrowed
        // for `'a`, so their regions outlive the result.
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

    /// The next descriptor that the driver sent, and its position. It stays in the queue.
    /// Descriptors that a stop discarded are returned to the driver first.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`]; [`Error::Corrupt`]; [`Error::Full`].
    pub(crate) fn peek(&mut self) -> Result<(Descriptor, u64), Error> {
        loop {
            let pos = self.consumer.released_pos();
            let descriptor = Descriptor::from_bytes(self.consumer.peek_array()?);
            let spec = self.pool.spec();
            // The kernel wrote the descriptor. It is checked nevertheless: nothing here relies on
            // that.
            descriptor.check_ranges(spec.data_bytes, spec.control_bytes)?;
            if descriptor.buffer >= self.pool.count() {
                return Err(Reject::Id.into());
            }
            if !ring::is_before(pos, self.pool.info().discarded_pos()) {
                return Ok((descriptor, pos));
            }
            self.release();
            self.give_back(descriptor.buffer)?;
        }
    }

    /// Removes the descriptor that [`Self::peek`] found.
    pub(crate) fn release(&mut self) {
        // No wake-up: the driver never waits for room, since its queue has room for every buffer.
        self.consumer.release_and_publish();
    }

    /// Sends a buffer to the driver.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] or [`Error::Corrupt`], which only a process can cause that used the ends
    /// before.
    pub(crate) fn send(&mut self, descriptor: &Descriptor) -> Result<(), Error> {
        self.producer.push_and_publish(&descriptor.to_bytes())?;
        self.wake |= self.producer.must_wake();
        Ok(())
    }

    /// Returns a buffer to the driver with nothing in it.
    ///
    /// # Errors
    ///
    /// Those of [`Self::send`].
    pub(crate) fn give_back(&mut self, buffer: u32) -> Result<(), Error> {
        self.send(&Descriptor {
            buffer,
            flags: uapi::IOSTREAM_DESCRIPTOR_UNUSED,
            ..Default::default()
        })
    }

    /// Whether the driver waits for what was sent. If so, the caller notifies the port, without
    /// locks.
    pub(crate) fn must_notify(self) -> bool {
        self.wake
    }
}
