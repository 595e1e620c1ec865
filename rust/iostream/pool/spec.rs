// SPDX-License-Identifier: GPL-2.0

//! The description of a stream: its mode, its buffers and its properties.

use kernel::{page::PAGE_SIZE, prelude::*, sync::Arc};

use super::clock::Clock;
use crate::{
    memory::dma::binding::DmaBinding, queue::config::QueueConfig, ring::uapi,
    sync::classes::LockClasses,
};

/// The most buffers that a stream can have.
pub(crate) const MAX_BUFFERS: u32 = 16384;
/// Bytes of a stream's description, the terminating zero included.
pub(crate) const DESCRIPTION_BYTES: usize = uapi::IOSTREAM_DESCRIPTION_BYTES as usize;

/// Which side fills a stream's buffers. `iostream.h` says which buffers each side owns at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The driver fills them; the process reads them.
    Output = uapi::IOSTREAM_MODE_OUTPUT as isize,
    /// The process fills them; the driver reads them.
    Input = uapi::IOSTREAM_MODE_INPUT as isize,
    /// Both sides fill and read them.
    InputOutput = uapi::IOSTREAM_MODE_INPUT_OUTPUT as isize,
}

impl Mode {
    /// The mode that a number of `iostream.h` stands for.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no such mode.
    pub(crate) fn from_arg(arg: u32) -> Result<Self> {
        match arg {
            uapi::IOSTREAM_MODE_OUTPUT => Ok(Mode::Output),
            uapi::IOSTREAM_MODE_INPUT => Ok(Mode::Input),
            uapi::IOSTREAM_MODE_INPUT_OUTPUT => Ok(Mode::InputOutput),
            _ => Err(EINVAL),
        }
    }

    /// The name of the mode in sysfs and fdinfo.
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
    /// The driver has slices of the buffers, so the process must never be able to write them.
    pub(crate) output_only: bool,
    pub(crate) buffers: u32,
    /// How many descriptors a queue has room for at least. 0 means as many as there are buffers.
    pub(crate) queue_length: u32,
    pub(crate) data_bytes: u32,
    pub(crate) control_bytes: u32,
    pub(crate) clock: Clock,
    pub(crate) format: u32,
    pub(crate) description: [u8; DESCRIPTION_BYTES],
    /// The device that the data areas are mapped for, if there is one.
    pub(crate) dma: Option<Arc<DmaBinding>>,
    /// The classes of the stream's locks. They exist once the stream has a port.
    pub(crate) classes: Option<Arc<LockClasses>>,
}

impl StreamSpec {
    /// Pages of a buffer's data area.
    pub(crate) fn data_pages(&self) -> usize {
        (self.data_bytes as usize).div_ceil(PAGE_SIZE)
    }

    /// Pages of a whole buffer: the data area and the control area.
    pub(crate) fn buffer_pages(&self) -> usize {
        self.data_pages() + (self.control_bytes as usize).div_ceil(PAGE_SIZE)
    }

    /// How many buffers can join a session that begins with `buffers`.
    pub(crate) fn max_buffers(&self, buffers: u32) -> u32 {
        self.queue_length.max(buffers).max(1)
    }

    /// The configuration of a queue for `max_buffers` descriptors.
    ///
    /// # Errors
    ///
    /// `E2BIG` if the queue is larger than the module's `max_queue_bytes`.
    pub(crate) fn queue(&self, max_buffers: u32) -> Result<QueueConfig> {
        QueueConfig::of_descriptors(max_buffers)
    }
}
