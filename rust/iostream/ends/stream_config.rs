// SPDX-License-Identifier: GPL-2.0

//! The description of a stream by its driver.

use core::marker::PhantomData;

use kernel::{
    device::{Bound, Device},
    dma::DataDirection,
    prelude::*,
    str::CStr,
};

use super::access::{Access, Output, Shared};
use crate::{
    memory::{dma::DmaDevice, limits},
    pool::spec::{Mode, StreamSpec, DESCRIPTION_BYTES, MAX_BUFFERS},
};

/// The description of a stream: how many buffers of which size, and who fills them.
///
/// `A` says whether the driver may have slices of the buffers: in a stream that is [`Output`] for
/// ever it may, since the process only reads; in a [`Shared`] one it copies.
pub struct StreamConfig<A: Access> {
    pub(crate) spec: StreamSpec,
    _access: PhantomData<A>,
}

impl StreamConfig<Output> {
    /// A stream whose `buffers` of `data_bytes` the driver fills and the process reads.
    ///
    /// # Errors
    ///
    /// `EINVAL`: no buffers, or of size zero; `E2BIG`: more than 16384 buffers, a buffer above the
    /// module's `max_buffer_bytes`, or queues above its `max_queue_bytes`.
    pub fn output(buffers: u32, data_bytes: u32) -> Result<Self> {
        Self::new(Mode::Output, true, buffers, data_bytes)
    }
}

impl StreamConfig<Shared> {
    /// A stream whose `buffers` of `data_bytes` the process fills and the driver reads.
    ///
    /// # Errors
    ///
    /// As [`StreamConfig::output`].
    pub fn input(buffers: u32, data_bytes: u32) -> Result<Self> {
        Self::new(Mode::Input, false, buffers, data_bytes)
    }

    /// A stream whose buffers both sides fill and read.
    ///
    /// # Errors
    ///
    /// As [`StreamConfig::output`].
    pub fn input_output(buffers: u32, data_bytes: u32) -> Result<Self> {
        Self::new(Mode::InputOutput, false, buffers, data_bytes)
    }

    /// The mode with which each session begins. A client may ask for another:
    /// [`Driver::mode_change`](crate::Driver::mode_change).
    pub fn mode(mut self, mode: Mode) -> Self {
        self.spec.mode = mode;
        self
    }
}

impl<A: Access> StreamConfig<A> {
    fn new(mode: Mode, output_only: bool, buffers: u32, data_bytes: u32) -> Result<Self> {
        if buffers == 0 || data_bytes == 0 {
            return Err(EINVAL);
        }
        if buffers > MAX_BUFFERS || u64::from(data_bytes) > limits::max_buffer_bytes() {
            return Err(E2BIG);
        }
        let spec = StreamSpec {
            mode,
            output_only,
            buffers,
            queue_length: 0,
            data_bytes,
            control_bytes: 0,
            format: 0,
            description: [0; DESCRIPTION_BYTES],
            dma: None,
        };
        spec.queue(buffers)?;
        Ok(Self {
            spec,
            _access: PhantomData,
        })
    }

    /// A control area of `bytes` beside the data of each buffer: for what describes them, such as a
    /// time stamp.
    ///
    /// # Errors
    ///
    /// `E2BIG`: above the module's `max_buffer_bytes`.
    pub fn control_bytes(mut self, bytes: u32) -> Result<Self> {
        if u64::from(bytes) > limits::max_buffer_bytes() {
            return Err(E2BIG);
        }
        self.spec.control_bytes = bytes;
        Ok(self)
    }

    /// Room in the queues for `buffers` buffers, so that some can be added while a client is there.
    /// 0, the default: for as many as there are when it comes.
    ///
    /// # Errors
    ///
    /// `EINVAL`: fewer than there are buffers; `E2BIG`: more than 16384, or queues above the
    /// module's `max_queue_bytes`.
    pub fn queue_length(mut self, buffers: u32) -> Result<Self> {
        if buffers != 0 && buffers < self.spec.buffers {
            return Err(EINVAL);
        }
        if buffers > MAX_BUFFERS {
            return Err(E2BIG);
        }
        self.spec.queue_length = buffers;
        self.spec.queue(self.spec.max_buffers(self.spec.buffers))?;
        Ok(self)
    }

    /// Has the data areas mapped for `device`, which moves the data itself in this direction:
    /// [`Buffer::dma_segments`](crate::Buffer::dma_segments) says where they are. The device's DMA
    /// mask must be set.
    ///
    /// Nothing stays mapped once the registration is dropped, which has to happen before the device
    /// is unbound; [`stop`](crate::Driver::stop) comes first, and must leave the device quiet.
    ///
    /// # Errors
    ///
    /// `EIO`: the device does not reach all of the memory there is, so that the processor would have
    /// to copy for it; `ENOMEM`. A client whose buffers cannot be mapped gets the error from open(2).
    pub fn dma(mut self, device: &Device<Bound>, direction: DataDirection) -> Result<Self> {
        self.spec.dma = Some(DmaDevice::new(device, direction)?);
        Ok(self)
    }

    /// What is in the data, as four characters of the driver's choice.
    pub fn format(mut self, tag: [u8; 4]) -> Self {
        self.spec.format = u32::from_le_bytes(tag);
        self
    }

    /// What the stream is, in words for people.
    ///
    /// # Errors
    ///
    /// `EINVAL`: longer than 63 bytes.
    pub fn description(mut self, words: &CStr) -> Result<Self> {
        let words = words.to_bytes();
        if words.len() >= DESCRIPTION_BYTES {
            return Err(EINVAL);
        }
        self.spec.description[..words.len()].copy_from_slice(words);
        Ok(self)
    }
}
