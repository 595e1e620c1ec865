// SPDX-License-Identifier: GPL-2.0

//! A buffer in the driver's hands.

use core::{marker::PhantomData, ptr::NonNull};

use kernel::prelude::*;

use super::access::{Access, Output, Shared};
use crate::{
    bindings,
    error::Error,
    memory::dma::{DmaSegment, SyncFor},
    pool::{
        descriptor::Descriptor, memory::BufferMemory, record::BufferRecord, spec::Mode, Pool,
        PoolRef,
    },
};

/// Bytes that [`Buffer::transform`] has on the stack at a time.
const CHUNK: usize = 512;

/// One of a stream's buffers, which the driver has taken or received. Dropping it leaves it free;
/// in input mode it goes back to the client with the next [`receive`](crate::ends::stream::Stream::receive).
///
/// It may outlive the session and the registration: its memory stays, and sending it fails.
///
/// # Invariants
///
/// The buffer `descriptor.buffer` of `pool` has joined, and is this value's alone while `held`.
pub struct Buffer<A: Access> {
    pool: PoolRef,
    descriptor: Descriptor,
    held: bool,
    _access: PhantomData<A>,
}

impl<A: Access> Buffer<A> {
    /// One that [`Pool::take_free`] gave.
    pub(crate) fn taken(pool: PoolRef, id: u32) -> Self {
        let descriptor = Descriptor {
            buffer: id,
            ..Default::default()
        };
        Self::received(pool, descriptor)
    }

    /// One that [`Pool::accept`] gave.
    pub(crate) fn received(pool: PoolRef, descriptor: Descriptor) -> Self {
        // INVARIANT: The pool made it the caller's.
        Self {
            pool,
            descriptor,
            held: true,
            _access: PhantomData,
        }
    }

    /// It is the client's from here on.
    pub(crate) fn gone(mut self) {
        self.held = false;
    }

    pub(crate) fn is_of(&self, pool: &Pool) -> bool {
        core::ptr::eq(&*self.pool, pool)
    }

    pub(crate) fn descriptor(&self) -> &Descriptor {
        &self.descriptor
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

    /// What the driver keeps of the buffer from one session to the next.
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

    /// Where the data are in the data area, as the client said, or as they were set: offset and
    /// length in bytes.
    pub fn data_range(&self) -> (usize, usize) {
        let descriptor = &self.descriptor;
        (
            descriptor.data_offset as usize,
            descriptor.data_len as usize,
        )
    }

    /// As [`Self::data_range`], in the control area.
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
        let (offset, len) = checked_range(offset, len, self.data_bytes())?;
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
        let (offset, len) = checked_range(offset, len, self.control_bytes())?;
        self.descriptor.control_offset = offset;
        self.descriptor.control_len = len;
        Ok(())
    }

    /// Where the data area is for the device that the stream was made for
    /// ([`dma`](crate::StreamConfig::dma)), in order and without gaps. Nowhere without a device, and
    /// once the registration was dropped.
    pub fn dma_segments(&self) -> &[DmaSegment] {
        self.memory().dma_segments()
    }

    /// Makes the data ready to be looked at, after the device has written them. To be called before
    /// the driver itself reads or writes the data of a stream made for a device; the methods that
    /// copy do it by themselves.
    pub fn sync_for_cpu(&self) {
        self.memory().sync(SyncFor::Processor);
    }

    /// Makes the data ready for the device, after the driver itself was at them.
    pub fn sync_for_device(&self) {
        self.memory().sync(SyncFor::Device);
    }

    /// The number that the client gave the buffer when it sent it.
    pub fn sequence(&self) -> u64 {
        self.descriptor.sequence
    }
}

impl Buffer<Output> {
    /// All of the data area.
    pub fn data(&self) -> &[u8] {
        // SAFETY: The area is that long, and lives as long as `self`; while the buffer is held only
        // this value writes it: the process cannot in a stream that is `Output`.
        unsafe { core::slice::from_raw_parts(self.memory().data().as_ptr(), self.data_bytes()) }
    }

    /// All of the data area.
    pub fn data_mut(&mut self) -> &mut [u8] {
        let len = self.data_bytes();
        // SAFETY: As in `data`, and borrowed exclusively; the process at most reads there.
        unsafe { core::slice::from_raw_parts_mut(self.memory().data().as_ptr(), len) }
    }

    /// All of the control area.
    pub fn control_mut(&mut self) -> &mut [u8] {
        let len = self.control_bytes();
        // SAFETY: As in `data_mut`; empty if there is none.
        unsafe { core::slice::from_raw_parts_mut(self.memory().control().as_ptr(), len) }
    }
}

impl Buffer<Shared> {
    /// Copies from `offset` of the data area into all of `to`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: out of bounds.
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
    /// [`Error::Invalid`]: out of bounds.
    pub fn read_control(&self, offset: usize, to: &mut [u8]) -> Result<(), Error> {
        checked_range(offset, to.len(), self.control_bytes())?;
        self.copy_out(self.memory().control(), offset, to);
        Ok(())
    }

    /// Copies all of `from` to `offset` of the data area.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: out of bounds.
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
    /// [`Error::Invalid`]: out of bounds.
    pub fn write_control(&mut self, offset: usize, from: &[u8]) -> Result<(), Error> {
        checked_range(offset, from.len(), self.control_bytes())?;
        self.copy_in(self.memory().control(), offset, from);
        Ok(())
    }

    /// Copies the data out piece by piece, has `f` change each, and copies it back.
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

    /// The bounds are checked.
    fn copy_out(&self, area: NonNull<u8>, offset: usize, to: &mut [u8]) {
        // SAFETY: The caller checked the bounds, and the area lives as long as `self`. The process
        // may write it meanwhile; C's copy takes some bytes.
        unsafe {
            let from = area.as_ptr().add(offset);
            bindings::iostream_copy(to.as_mut_ptr().cast(), from.cast(), to.len());
        }
    }

    /// The bounds are checked.
    fn copy_in(&self, area: NonNull<u8>, offset: usize, from: &[u8]) {
        // SAFETY: As in `copy_out`.
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
        }
    }
}

pub(crate) fn checked_range(offset: usize, len: usize, size: usize) -> Result<(u32, u32), Error> {
    match offset.checked_add(len) {
        Some(end) if end <= size => Ok((offset as u32, len as u32)),
        _ => Err(Error::Invalid),
    }
}
