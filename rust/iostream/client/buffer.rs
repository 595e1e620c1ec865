// SPDX-License-Identifier: GPL-2.0

//! A buffer in the hands of a client that is a module of the kernel.

use crate::{
    ends::buffer::checked_range,
    error::Error,
    pool::{descriptor::Descriptor, memory::BufferMemory, spec::Mode, Pool, PoolRef},
    ring::uapi,
};

/// One of a stream's buffers, which the client has received or taken. Dropping it, in any context,
/// leaves it to the client: in output mode it goes back to the driver with the next
/// [`receive`](crate::ends::stream::Client::receive), else it is there for the next [`take`](crate::ends::stream::Client::take).
///
/// It may outlive the session; sending it fails then.
///
/// # Invariants
///
/// While `held` the buffer `descriptor.buffer` of `pool` is the client's, in no queue, and this value's
/// alone; the session is that of a [`Client`](crate::ends::stream::Client), so that no process maps it; and the mode is
/// fixed, so that nobody gives it out anew. So nobody else uses its memory: the driver has a
/// [`Buffer`](crate::ends::stream::Buffer) of what it took or received, which the client does not have.
pub struct ClientBuffer {
    pool: PoolRef,
    descriptor: Descriptor,
    held: bool,
}

impl ClientBuffer {
    /// One that came out of the output queue.
    pub(crate) fn new(pool: PoolRef, descriptor: Descriptor) -> Self {
        // INVARIANT: The driver gave it away, and the stream was started for that.
        Self {
            pool,
            descriptor,
            held: true,
        }
    }

    /// One that the client has had before; its ranges are empty.
    pub(crate) fn empty(pool: PoolRef, buffer: u32) -> Self {
        let descriptor = Descriptor {
            buffer,
            ..Default::default()
        };
        Self::new(pool, descriptor)
    }

    /// It is the driver's from here on.
    pub(crate) fn gone(mut self) {
        self.held = false;
    }

    pub(crate) fn is_of(&self, pool: &Pool) -> bool {
        core::ptr::eq(&*self.pool, pool)
    }

    pub(crate) fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn memory(&self) -> &BufferMemory {
        match self.pool.memory(self.descriptor.buffer) {
            Some(memory) => memory,
            // It has joined, or nobody could have given it.
            None => unreachable!(),
        }
    }

    /// The buffer's number, from 0.
    pub fn id(&self) -> u32 {
        self.descriptor.buffer
    }

    /// The number that the driver's end gave the buffer when it was sent: 0, 1, 2 ... in a session.
    pub fn sequence(&self) -> u64 {
        self.descriptor.sequence
    }

    /// Whether the driver returned it unprocessed, because of a stop.
    pub fn is_discarded(&self) -> bool {
        self.descriptor.flags & uapi::IOSTREAM_DESCRIPTOR_DISCARDED != 0
    }

    /// Where the data are in the data area: offset and length in bytes.
    pub fn data_range(&self) -> (usize, usize) {
        let descriptor = &self.descriptor;
        (
            descriptor.data_offset as usize,
            descriptor.data_len as usize,
        )
    }

    /// Where the control data are in the control area: offset and length in bytes.
    pub fn control_range(&self) -> (usize, usize) {
        let descriptor = &self.descriptor;
        (
            descriptor.control_offset as usize,
            descriptor.control_len as usize,
        )
    }

    /// Says where the data are.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: out of bounds.
    pub fn set_data_range(&mut self, offset: usize, len: usize) -> Result<(), Error> {
        let size = self.pool.spec().data_bytes as usize;
        let (offset, len) = checked_range(offset, len, size)?;
        self.descriptor.data_offset = offset;
        self.descriptor.data_len = len;
        Ok(())
    }

    /// Says where the control data are.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: out of bounds.
    pub fn set_control_range(&mut self, offset: usize, len: usize) -> Result<(), Error> {
        let size = self.pool.spec().control_bytes as usize;
        let (offset, len) = checked_range(offset, len, size)?;
        self.descriptor.control_offset = offset;
        self.descriptor.control_len = len;
        Ok(())
    }

    /// All of the data area.
    pub fn data(&self) -> &[u8] {
        let len = self.pool.spec().data_bytes as usize;
        // SAFETY: The area is that long and lives as long as `self`, and nobody else uses it, by the
        // type's invariants.
        unsafe { core::slice::from_raw_parts(self.memory().data().as_ptr(), len) }
    }

    /// All of the control area; empty if there is none.
    pub fn control(&self) -> &[u8] {
        let len = self.pool.spec().control_bytes as usize;
        // SAFETY: As in `data`.
        unsafe { core::slice::from_raw_parts(self.memory().control().as_ptr(), len) }
    }

    /// All of the data area; `None` in output mode, in which the client only reads.
    pub fn data_mut(&mut self) -> Option<&mut [u8]> {
        if self.pool.mode() == Mode::Output {
            return None;
        }
        let len = self.pool.spec().data_bytes as usize;
        // SAFETY: As in `data`, and borrowed exclusively.
        Some(unsafe { core::slice::from_raw_parts_mut(self.memory().data().as_ptr(), len) })
    }

    /// All of the control area; `None` in output mode.
    pub fn control_mut(&mut self) -> Option<&mut [u8]> {
        if self.pool.mode() == Mode::Output {
            return None;
        }
        let len = self.pool.spec().control_bytes as usize;
        // SAFETY: As in `data_mut`.
        Some(unsafe { core::slice::from_raw_parts_mut(self.memory().control().as_ptr(), len) })
    }
}

impl Drop for ClientBuffer {
    fn drop(&mut self) {
        if self.held {
            self.pool.spare.put(self.descriptor.buffer);
        }
    }
}
