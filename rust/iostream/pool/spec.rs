// SPDX-License-Identifier: GPL-2.0

//! How streams are described: mode, buffers, properties.

use kernel::{page::PAGE_SIZE, prelude::*, sync::Arc};

use crate::{
    memory::dma::DmaDevice,
    queue::config::QueueConfig,
    ring::{self, uapi},
};

/// The most buffers that a stream can have.
pub(crate) const MAX_BUFFERS: u32 = 16384;
pub(crate) const DESCRIPTION_BYTES: usize = uapi::IOSTREAM_DESCRIPTION_BYTES as usize;
/// Bytes of a descriptor.
pub(crate) const DESCRIPTOR_BYTES: usize = size_of::<uapi::iostream_descriptor>();
/// How they lie in a queue.
pub(crate) type Descriptors = ring::Slots<{ DESCRIPTOR_BYTES as u32 }>;

/// Who fills a stream's buffers. `iostream.h` says what that means for who has which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The driver; the process reads.
    Output = uapi::IOSTREAM_MODE_OUTPUT as isize,
    /// The process; the driver reads.
    Input = uapi::IOSTREAM_MODE_INPUT as isize,
    /// Both.
    InputOutput = uapi::IOSTREAM_MODE_INPUT_OUTPUT as isize,
}

impl Mode {
    /// The mode that a number of `iostream.h` stands for.
    ///
    /// # Errors
    ///
    /// `EINVAL`.
    pub(crate) fn from_arg(arg: u32) -> Result<Self> {
        match arg {
            uapi::IOSTREAM_MODE_OUTPUT => Ok(Mode::Output),
            uapi::IOSTREAM_MODE_INPUT => Ok(Mode::Input),
            uapi::IOSTREAM_MODE_INPUT_OUTPUT => Ok(Mode::InputOutput),
            _ => Err(EINVAL),
        }
    }

    /// As sysfs and fdinfo call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Mode::Output => "output",
            Mode::Input => "input",
            Mode::InputOutput => "input-output",
        }
    }
}

/// A stream as its driver described it.
#[derive(Clone)]
pub(crate) struct StreamSpec {
    pub(crate) mode: Mode,
    /// The driver has slices of the buffers, so that the process must never write them.
    pub(crate) output_only: bool,
    pub(crate) buffers: u32,
    /// Descriptors that a queue holds at least; 0: as many as there are buffers.
    pub(crate) queue_length: u32,
    pub(crate) data_bytes: u32,
    pub(crate) control_bytes: u32,
    pub(crate) format: u32,
    pub(crate) description: [u8; DESCRIPTION_BYTES],
    /// The device that the data areas are mapped for.
    pub(crate) dma: Option<Arc<DmaDevice>>,
}

impl StreamSpec {
    /// Pages of a buffer's data area.
    pub(crate) fn data_pages(&self) -> usize {
        (self.data_bytes as usize).div_ceil(PAGE_SIZE)
    }

    /// Pages of a whole buffer.
    pub(crate) fn buffer_pages(&self) -> usize {
        self.data_pages() + (self.control_bytes as usize).div_ceil(PAGE_SIZE)
    }

    /// Buffers that a session can have that begins with `buffers`.
    pub(crate) fn max_buffers(&self, buffers: u32) -> u32 {
        self.queue_length.max(buffers).max(1)
    }

    /// A queue for that many descriptors.
    ///
    /// # Errors
    ///
    /// `E2BIG`: above the module's `max_queue_bytes`.
    pub(crate) fn queue(&self, max_buffers: u32) -> Result<QueueConfig> {
        QueueConfig::with_capacity(u64::from(max_buffers) * DESCRIPTOR_BYTES as u64)
    }
}
