// SPDX-License-Identifier: GPL-2.0

//! A buffer that is with a client, if the client is a kernel module.

use crate::{
    ends::buffer::checked_range,
    error::Error,
    pool::{descriptor::Descriptor, memory::BufferMemory, spec::Mode, Pool, PoolRef},
    ring::uapi,
};

/// A buffer of a stream that the client has received or taken.
///
/// It may be dropped in any context, and then stays with the client. In output mode the next
/// [`receive`](crate::Client::receive) returns it to the driver; in the other modes the next
/// [`take`](crate::Client::take) can take it again.
///
/// It may outlive the session. Then sending it fails.
///
/// # Invariants
///
/// While `held`, nothing else uses the memory of the buffer `descriptor.buffer` of `pool`:
///
/// - The buffer is with the client and in no queue, and only this value stands for it. So the
///   driver has no [`Buffer`](crate::Buffer) of it.
/// - The session is that of a [`Client`](crate::Client), so no process maps the buffer.
/// - The mode is fixed, so the buffer does not get another owner by a change of mode.
pub struct ClientBuffer {
    pool: PoolRef,
    descriptor: Descriptor,
    /// The time that the client has set for the driver, in nanoseconds; 0: none.
    timestamp_ns: u64,
    held: bool,
}

impl ClientBuffer {
    /// The buffer of a descriptor that came out of the output queue.
    pub(crate) fn new(pool: PoolRef, descriptor: Descriptor) -> Self {
        // INVARIANT: The driver sent the buffer, so it is with the client, and the stream has been
        // started, so the mode is fixed.
        Self {
            pool,
            descriptor,
            timestamp_ns: 0,
            held: true,
        }
    }

    /// A buffer that was spare. Its ranges are empty.
    pub(crate) fn empty(pool: PoolRef, buffer: u32) -> Self {
        let descriptor = Descriptor {
            buffer,
            ..Default::default()
        };
        Self::new(pool, descriptor)
    }

    /// Consumes the value after its buffer was sent, without making the buffer spare.
    pub(crate) fn into_sent(mut self) {
        self.held = false;
    }

    /// Whether this is a buffer of `pool`.
    pub(crate) fn is_of(&self, pool: &Pool) -> bool {
        core::ptr::eq(&*self.pool, pool)
    }

    /// The buffer and its ranges, as the client sends them as frame number `frame`.
    pub(crate) fn outgoing(&self, frame: u64) -> Descriptor {
        let received = &self.descriptor;
        Descriptor {
            buffer: received.buffer,
            data_offset: received.data_offset,
            data_len: received.data_len,
            control_offset: received.control_offset,
            control_len: received.control_len,
            frame,
            timestamp_ns: self.timestamp_ns,
            ..Default::default()
        }
    }

    fn memory(&self) -> &BufferMemory {
        match self.pool.memory(self.descriptor.buffer) {
            Some(memory) => memory,
            // The buffer has joined: otherwise neither the driver nor the pool could give it out.
            None => unreachable!(),
        }
    }

    /// The buffer's number, from 0.
    pub fn id(&self) -> u32 {
        self.descriptor.buffer
    }

    /// The number of the frame: 0, 1, 2 and so on in a session. Frames that the driver lost count,
    /// too. It is 0 for a buffer that the driver has not sent yet.
    pub fn frame(&self) -> u64 {
        self.descriptor.frame
    }

    /// When the driver sent the frame or, if it says so, when the frame came into being: in
    /// nanoseconds by the clock of the stream ([`Client::clock`](crate::Client::clock)).
    pub fn timestamp(&self) -> u64 {
        self.descriptor.timestamp_ns
    }

    /// How many frames the driver lost right before this one.
    pub fn lost(&self) -> u64 {
        self.descriptor.lost
    }

    /// Whether the data do not continue those before: always if frames were lost.
    pub fn is_discontinuous(&self) -> bool {
        self.descriptor.flags & uapi::IOSTREAM_DESCRIPTOR_DISCONTINUITY != 0
    }

    /// Sets the timestamp in nanoseconds that the driver gets with the buffer. Its meaning is
    /// between the two.
    pub fn set_timestamp(&mut self, ns: u64) {
        self.timestamp_ns = ns;
    }

    /// Whether a stop returned the buffer before the driver took it.
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

    /// Sets where the data are, for the driver.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the range is out of bounds.
    pub fn set_data_range(&mut self, offset: usize, len: usize) -> Result<(), Error> {
        let size = self.pool.spec().data_bytes as usize;
        let (offset, len) = checked_range(offset, len, size)?;
        self.descriptor.data_offset = offset;
        self.descriptor.data_len = len;
        Ok(())
    }

    /// Sets where the control data are, for the driver.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the range is out of bounds.
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
        // SAFETY: The area is that long and lives as long as `self`. Nothing else uses it, by the
        // type's invariants.
        unsafe { core::slice::from_raw_parts(self.memory().data().as_ptr(), len) }
    }

    /// All of the control area; empty if there is none.
    pub fn control(&self) -> &[u8] {
        let len = self.pool.spec().control_bytes as usize;
        // SAFETY: The area is that long (0 if there is none) and lives as long as `self`. Nothing
        // else uses it, by the type's invariants.
        unsafe { core::slice::from_raw_parts(self.memory().control().as_ptr(), len) }
    }

    /// All of the data area; `None` in output mode, in which the client only reads.
    pub fn data_mut(&mut self) -> Option<&mut [u8]> {
        if self.pool.mode() == Mode::Output {
            return None;
        }
        let len = self.pool.spec().data_bytes as usize;
        // SAFETY: The area is that long and lives as long as `self`, which is borrowed exclusively.
        // Nothing else uses it, by the type's invariants.
        Some(unsafe { core::slice::from_raw_parts_mut(self.memory().data().as_ptr(), len) })
    }

    /// All of the control area; `None` in output mode.
    pub fn control_mut(&mut self) -> Option<&mut [u8]> {
        if self.pool.mode() == Mode::Output {
            return None;
        }
        let len = self.pool.spec().control_bytes as usize;
        // SAFETY: The area is that long (0 if there is none) and lives as long as `self`, which is
        // borrowed exclusively. Nothing else uses it, by the type's invariants.
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
