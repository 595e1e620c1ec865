// SPDX-License-Identifier: GPL-2.0

//! A buffer that the driver holds.

use core::{marker::PhantomData, ptr::NonNull};

use kernel::{prelude::*, sync::Arc};

use super::access::{Access, Output, Shared};
use crate::{
    bindings,
    error::Error,
    memory::dma::{DmaSegment, SyncFor},
    pool::{
        clock::Clock, descriptor::Descriptor, memory::BufferMemory, record::BufferRecord,
        spec::Mode, Pool, PoolRef,
    },
    port::PortRef,
};

/// Bytes that [`Buffer::transform`] keeps on the stack.
const CHUNK: usize = 512;

/// A buffer of a stream that the driver holds: it has taken or received it.
///
/// It may be dropped in any context in which a buffer may be sent. Dropping it frees the buffer; in
/// input mode, in which the client fills buffers, it goes back to the client at once, or, if the
/// stream is stopped, at the next start.
///
/// It may outlive the session and the registration: then its memory stays, and sending it fails.
///
/// # Examples
///
/// Data, and a control area that describes them:
///
/// ```rust,ignore,from:rust/drivers/iostream_pattern.rs
/// let now = buffer.clock().now_ns();
/// buffer.set_timestamp(now);
/// let frame = Frame::fill(sequence, now, buffer.data_mut());
/// buffer.control_mut()[..FRAME_BYTES].copy_from_slice(&frame.to_bytes());
/// // Both ranges are in bounds, because both areas have the size of a frame.
/// let _ = buffer.set_data_range(0, buffer.data_bytes());
/// let _ = buffer.set_control_range(0, FRAME_BYTES);
/// ```
///
/// # Invariants
///
/// The buffer `descriptor.buffer` of `pool` has joined. While `held`, its owner word says that the
/// driver holds it, and only this value uses its memory.
pub struct Buffer<A: Access> {
    pool: PoolRef,
    /// In input mode: the port, by which the buffer goes back when it is dropped.
    home: Option<PortRef>,
    descriptor: Descriptor,
    /// The time that the driver has set for the frame, in nanoseconds.
    timestamp_ns: Option<u64>,
    held: bool,
    _access: PhantomData<A>,
}

impl<A: Access> Buffer<A> {
    /// The buffer that [`Pool::take_free`] returned.
    pub(crate) fn taken(port: &PortRef, pool: &Arc<Pool>, id: u32) -> Self {
        let descriptor = Descriptor {
            buffer: id,
            ..Default::default()
        };
        Self::received(port, pool, descriptor)
    }

    /// The buffer whose descriptor [`Pool::accept`] accepted.
    pub(crate) fn received(port: &PortRef, pool: &Arc<Pool>, descriptor: Descriptor) -> Self {
        // INVARIANT: The pool marked the buffer as held, for the caller alone.
        Self {
            pool: pool.clone().into(),
            // The mode stays while the driver holds a buffer.
            home: (pool.mode() == Mode::Input).then(|| port.clone()),
            descriptor,
            timestamp_ns: None,
            held: true,
            _access: PhantomData,
        }
    }

    /// Consumes the value after its buffer was sent, without freeing the buffer.
    pub(crate) fn into_sent(mut self) {
        self.held = false;
    }

    /// Whether this is a buffer of `pool`.
    pub(crate) fn is_of(&self, pool: &Pool) -> bool {
        core::ptr::eq(&*self.pool, pool)
    }

    /// The buffer and its ranges, without what the client has said beside them.
    pub(crate) fn outgoing(&self) -> Descriptor {
        Descriptor {
            flags: 0,
            ..self.descriptor
        }
    }

    /// The time that [`Self::set_timestamp`] has set.
    pub(crate) fn timestamp_to_send(&self) -> Option<u64> {
        self.timestamp_ns
    }

    pub(crate) fn mode(&self) -> Mode {
        self.pool.mode()
    }

    pub(crate) fn memory(&self) -> &BufferMemory {
        match self.pool.memory(self.descriptor.buffer) {
            Some(memory) => memory,
            // It has joined, by the type's invariant.
            None => unreachable!(),
        }
    }

    /// The buffer's number, from 0.
    pub fn id(&self) -> u32 {
        self.descriptor.buffer
    }

    /// The record of the buffer, which the driver keeps from one session to the next.
    pub fn record(&self) -> Option<&BufferRecord> {
        self.pool.record(self.descriptor.buffer)
    }

    /// Size of the data area in bytes.
    pub fn data_bytes(&self) -> usize {
        self.pool.spec().data_bytes as usize
    }

    /// Size of the control area in bytes.
    pub fn control_bytes(&self) -> usize {
        self.pool.spec().control_bytes as usize
    }

    /// Where the data are in the data area, as the client said or the driver set: offset and
    /// length in bytes.
    pub fn data_range(&self) -> (usize, usize) {
        let descriptor = &self.descriptor;
        (
            descriptor.data_offset as usize,
            descriptor.data_len as usize,
        )
    }

    /// Where the control data are in the control area, as the client said or the driver set:
    /// offset and length in bytes.
    pub fn control_range(&self) -> (usize, usize) {
        let descriptor = &self.descriptor;
        (
            descriptor.control_offset as usize,
            descriptor.control_len as usize,
        )
    }

    /// Sets where the data are, for the client.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the range is out of bounds.
    pub fn set_data_range(&mut self, offset: usize, len: usize) -> Result<(), Error> {
        let (offset, len) = checked_range(offset, len, self.data_bytes())?;
        self.descriptor.data_offset = offset;
        self.descriptor.data_len = len;
        Ok(())
    }

    /// Sets where the control data are, for the client.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the range is out of bounds.
    pub fn set_control_range(&mut self, offset: usize, len: usize) -> Result<(), Error> {
        let (offset, len) = checked_range(offset, len, self.control_bytes())?;
        self.descriptor.control_offset = offset;
        self.descriptor.control_len = len;
        Ok(())
    }

    /// The data area as the device of the stream ([`dma`](crate::StreamConfig::dma)) sees it, in
    /// order and without gaps. Empty without a device, and after the registration was dropped.
    pub fn dma_segments(&self) -> &[DmaSegment] {
        self.memory().dma_segments()
    }

    /// Makes the data ready for the processor, after the device has written them. In a stream with
    /// a device, call this before the driver itself reads or writes the data. The methods that
    /// copy do so by themselves.
    pub fn sync_for_cpu(&self) {
        self.memory().sync(SyncFor::Processor);
    }

    /// Makes the data ready for the device, after the driver itself has read or written them.
    pub fn sync_for_device(&self) {
        self.memory().sync(SyncFor::Device);
    }

    /// The number that the client gave the frame when it sent the buffer; 0 if it gave none. The
    /// framework neither makes nor checks it.
    pub fn frame(&self) -> u64 {
        self.descriptor.frame
    }

    /// The timestamp in nanoseconds that the client gave the frame when it sent the buffer; 0 if it
    /// gave none. The framework neither makes nor checks it.
    pub fn timestamp(&self) -> u64 {
        self.descriptor.timestamp_ns
    }

    /// Sets the timestamp with which the buffer will be sent: `ns` nanoseconds by the stream's
    /// clock. Without this it is the time of the call of [`send`](crate::Stream::send). A driver
    /// that takes the time in its interrupt handler knows it better.
    pub fn set_timestamp(&mut self, ns: u64) {
        self.timestamp_ns = Some(ns);
    }

    /// The clock of the stream's timestamps.
    pub fn clock(&self) -> Clock {
        self.pool.spec().clock
    }
}

impl Buffer<Output> {
    /// All of the data area.
    pub fn data(&self) -> &[u8] {
        // SAFETY: The area is that long, and lives as long as `self`. Only this value writes it:
        // the driver holds the buffer, and the process cannot write the buffers of an `Output`
        // stream.
        unsafe { core::slice::from_raw_parts(self.memory().data().as_ptr(), self.data_bytes()) }
    }

    /// All of the data area.
    pub fn data_mut(&mut self) -> &mut [u8] {
        let len = self.data_bytes();
        // SAFETY: The area is that long, and lives as long as `self`, which is borrowed
        // exclusively. The process can only read it.
        unsafe { core::slice::from_raw_parts_mut(self.memory().data().as_ptr(), len) }
    }

    /// All of the control area.
    pub fn control_mut(&mut self) -> &mut [u8] {
        let len = self.control_bytes();
        // SAFETY: The area is that long (0 if there is none), and lives as long as `self`, which is
        // borrowed exclusively. The process can only read it.
        unsafe { core::slice::from_raw_parts_mut(self.memory().control().as_ptr(), len) }
    }
}

impl Buffer<Shared> {
    /// Copies from `offset` of the data area into all of `to`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the bytes are out of bounds.
    pub fn read(&self, offset: usize, to: &mut [u8]) -> Result<(), Error> {
        checked_range(offset, to.len(), self.data_bytes())?;
        self.sync_for_cpu();
        self.copy_out(self.memory().data(), offset, to);
        Ok(())
    }

    /// Copies from `offset` of the control area into all of `to`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the bytes are out of bounds.
    pub fn read_control(&self, offset: usize, to: &mut [u8]) -> Result<(), Error> {
        checked_range(offset, to.len(), self.control_bytes())?;
        self.copy_out(self.memory().control(), offset, to);
        Ok(())
    }

    /// Copies all of `from` to `offset` of the data area.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the bytes are out of bounds.
    pub fn write(&mut self, offset: usize, from: &[u8]) -> Result<(), Error> {
        checked_range(offset, from.len(), self.data_bytes())?;
        self.sync_for_cpu();
        self.copy_in(self.memory().data(), offset, from);
        self.sync_for_device();
        Ok(())
    }

    /// Copies all of `from` to `offset` of the control area.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the bytes are out of bounds.
    pub fn write_control(&mut self, offset: usize, from: &[u8]) -> Result<(), Error> {
        checked_range(offset, from.len(), self.control_bytes())?;
        self.copy_in(self.memory().control(), offset, from);
        Ok(())
    }

    /// Changes the data piece by piece: copies each piece out, calls `f` with it, and copies it
    /// back.
    pub fn transform(&mut self, mut f: impl FnMut(&mut [u8])) {
        let (offset, len) = self.data_range();
        let data = self.memory().data();
        self.sync_for_cpu();
        let mut chunk = [0; CHUNK];
        let mut done = 0;
        while done < len {
            let piece = &mut chunk[..CHUNK.min(len - done)];
            self.copy_out(data, offset + done, piece);
            f(piece);
            self.copy_in(data, offset + done, piece);
            done += piece.len();
        }
        self.sync_for_device();
    }

    /// Copies from `area` at `offset`. The caller has checked the bounds.
    fn copy_out(&self, area: NonNull<u8>, offset: usize, to: &mut [u8]) {
        // SAFETY: The caller has checked the bounds, and the area lives as long as `self`. The
        // process may write it meanwhile: the copy is done in C, and then has any bytes.
        unsafe {
            let from = area.as_ptr().add(offset);
            bindings::iostream_copy(to.as_mut_ptr().cast(), from.cast(), to.len());
        }
    }

    /// Copies into `area` at `offset`. The caller has checked the bounds.
    fn copy_in(&self, area: NonNull<u8>, offset: usize, from: &[u8]) {
        // SAFETY: The caller has checked the bounds, and the area lives as long as `self`. The
        // process may read or write it meanwhile: the copy is done in C.
        unsafe {
            let to = area.as_ptr().add(offset);
            bindings::iostream_copy(to.cast(), from.as_ptr().cast(), from.len());
        }
    }
}

impl<A: Access> Drop for Buffer<A> {
    fn drop(&mut self) {
        if self.held {
            self.pool.put_back(self.descriptor.buffer);
            if let Some(port) = &self.home {
                // If it cannot be sent, it stays free until the next start or `receive`.
                let _ = port.return_free();
            }
        }
    }
}

/// A range for a descriptor, if it lies in an area of `size` bytes.
///
/// # Errors
///
/// [`Error::Invalid`] if it does not.
pub(crate) fn checked_range(offset: usize, len: usize, size: usize) -> Result<(u32, u32), Error> {
    match offset.checked_add(len) {
        Some(end) if end <= size => Ok((offset as u32, len as u32)),
        _ => Err(Error::Invalid),
    }
}
