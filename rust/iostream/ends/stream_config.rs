// SPDX-License-Identifier: GPL-2.0

//! The description of a stream, which its driver builds.

use core::marker::PhantomData;

use kernel::{
    device::{Bound, Device},
    dma::DataDirection,
    prelude::*,
    str::CStr,
};

use super::access::{Access, Output, Shared};
use crate::{
    error::refused,
    memory::{dma::binding::DmaBinding, limits},
    pool::{
        clock::Clock,
        spec::{Mode, StreamSpec, DESCRIPTION_BYTES, MAX_BUFFERS},
    },
};

/// The description of a stream: the number and size of its buffers, and which side fills them.
///
/// `A` says whether the driver has slices of the buffers. In an [`Output`] stream it has, since no
/// process can ever write them. In a [`Shared`] stream it copies.
///
/// # Examples
///
/// ```rust,ignore,from:rust/drivers/iostream_sink.rs
/// let stream = StreamConfig::input(buffers.value(), bytes.value())?
///     .control_bytes(FRAME_BYTES as u32)?
///     .format(*b"TEST")
///     .description(c"checks frames of a test pattern")?;
/// let config = Config::new(c"sink").mode(0o660);
/// let (ports, stream) = Stream::new(config, stream)?;
/// ```
pub struct StreamConfig<A: Access> {
    pub(crate) spec: StreamSpec,
    _access: PhantomData<A>,
}

impl StreamConfig<Output> {
    /// Describes a stream of `buffers` buffers of `data_bytes` bytes. The driver fills them, and
    /// the process reads them.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there are no buffers, or their size is zero; `E2BIG` if there are more than
    /// 16384, if a buffer is larger than the module's `max_buffer_bytes`, or the queues are larger
    /// than its `max_queue_bytes`.
    pub fn output(buffers: u32, data_bytes: u32) -> Result<Self> {
        Self::new(Mode::Output, true, buffers, data_bytes)
    }
}

impl StreamConfig<Shared> {
    /// Describes a stream of `buffers` buffers of `data_bytes` bytes. The process fills them, and
    /// the driver reads them.
    ///
    /// # Errors
    ///
    /// Those of [`StreamConfig::output`].
    pub fn input(buffers: u32, data_bytes: u32) -> Result<Self> {
        Self::new(Mode::Input, false, buffers, data_bytes)
    }

    /// Describes a stream of `buffers` buffers of `data_bytes` bytes. Both sides fill and read
    /// them.
    ///
    /// # Errors
    ///
    /// Those of [`StreamConfig::output`].
    pub fn input_output(buffers: u32, data_bytes: u32) -> Result<Self> {
        Self::new(Mode::InputOutput, false, buffers, data_bytes)
    }

    /// Sets the mode in which each session begins. A client may ask for another one; see
    /// [`Driver::mode_change`](crate::Driver::mode_change).
    pub fn mode(mut self, mode: Mode) -> Self {
        self.spec.mode = mode;
        self
    }
}

impl<A: Access> StreamConfig<A> {
    fn new(mode: Mode, output_only: bool, buffers: u32, data_bytes: u32) -> Result<Self> {
        let limit = limits::max_buffer_bytes();
        let none = buffers == 0 || data_bytes == 0;
        if none || buffers > MAX_BUFFERS || u64::from(data_bytes) > limit {
            return Err(refused!(
                if none { EINVAL } else { E2BIG },
                "a stream of {buffers} buffers of {data_bytes} bytes is refused: from 1 to {MAX_BUFFERS} buffers \
                 of 1 to max_buffer_bytes ({limit}) are possible\n"
            ));
        }
        let spec = StreamSpec {
            mode,
            output_only,
            buffers,
            queue_length: 0,
            data_bytes,
            control_bytes: 0,
            clock: Clock::default(),
            format: 0,
            description: [0; DESCRIPTION_BYTES],
            dma: None,
            classes: None,
        };
        checked_queue(&spec, buffers)?;
        Ok(Self {
            spec,
            _access: PhantomData,
        })
    }

    /// Adds a control area of `bytes` to each buffer, for what describes the data, such as the
    /// exposure of a picture.
    ///
    /// # Errors
    ///
    /// `E2BIG` if it is larger than the module's `max_buffer_bytes`.
    pub fn control_bytes(mut self, bytes: u32) -> Result<Self> {
        let limit = limits::max_buffer_bytes();
        if u64::from(bytes) > limit {
            return Err(refused!(
                E2BIG,
                "a control area of {bytes} bytes is refused: up to max_buffer_bytes ({limit}) are possible\n"
            ));
        }
        self.spec.control_bytes = bytes;
        Ok(self)
    }

    /// Makes room in the queues for `buffers` buffers, so that some can be added while a client
    /// has the node open. 0, the default, means room for as many as there are when it opens the
    /// node.
    ///
    /// # Errors
    ///
    /// `EINVAL` if this is less than there are buffers; `E2BIG` if it is more than 16384, or if the
    /// queues are larger than the module's `max_queue_bytes`.
    pub fn queue_length(mut self, buffers: u32) -> Result<Self> {
        let few = buffers != 0 && buffers < self.spec.buffers;
        if few || buffers > MAX_BUFFERS {
            let there = self.spec.buffers;
            return Err(refused!(
                if few { EINVAL } else { E2BIG },
                "queues for {buffers} buffers are refused: from the {there} that there are to {MAX_BUFFERS} are possible\n"
            ));
        }
        self.spec.queue_length = buffers;
        checked_queue(&self.spec, self.spec.max_buffers(self.spec.buffers))?;
        Ok(self)
    }

    /// Maps the data areas for `device`, which moves the data itself in this direction.
    /// [`Buffer::dma_segments`](crate::Buffer::dma_segments) says where they are. The device's DMA
    /// mask must be set.
    ///
    /// The drop of the registration unmaps everything. It calls [`stop`](crate::Driver::stop)
    /// first, which must leave the device at rest. If the device is unbound while the registration
    /// still exists, the same happens then: the node goes, and the registration's drop does nothing
    /// more. `stop` is then called after the driver's own data for the device were dropped.
    ///
    /// # Errors
    ///
    /// `EIO` if the device does not reach all memory, so that the processor would have to copy for
    /// it; `ENOMEM`. If the buffers cannot be mapped when a client opens the node, its open(2)
    /// fails.
    pub fn dma(mut self, device: &Device<Bound>, direction: DataDirection) -> Result<Self> {
        self.spec.dma = Some(DmaBinding::new(device, direction)?);
        Ok(self)
    }

    /// Sets the clock of the timestamps. It is monotonic by default.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.spec.clock = clock;
        self
    }

    /// Sets the format of the data, as four characters of the driver's choice.
    pub fn format(mut self, tag: [u8; 4]) -> Self {
        self.spec.format = u32::from_le_bytes(tag);
        self
    }

    /// Sets a description of the stream for people.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is longer than 63 bytes.
    pub fn description(mut self, words: &CStr) -> Result<Self> {
        let words = words.to_bytes();
        if words.len() >= DESCRIPTION_BYTES {
            return Err(refused!(
                EINVAL,
                "a description of {} bytes is refused: up to {} are possible\n",
                words.len(),
                DESCRIPTION_BYTES - 1
            ));
        }
        self.spec.description[..words.len()].copy_from_slice(words);
        Ok(self)
    }
}

/// Checks that the queues of a stream of `buffers` buffers can be made.
///
/// # Errors
///
/// `E2BIG` if they are larger than the module's `max_queue_bytes`.
fn checked_queue(spec: &StreamSpec, buffers: u32) -> Result {
    match spec.queue(buffers) {
        Ok(_) => Ok(()),
        Err(error) => Err(refused!(
            error,
            "queues for {buffers} buffers are refused: they would be larger than max_queue_bytes ({})\n",
            limits::max_queue_bytes()
        )),
    }
}
