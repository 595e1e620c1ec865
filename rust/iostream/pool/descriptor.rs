// SPDX-License-Identifier: GPL-2.0

//! Descriptors: what stands in a stream's queues.

use crate::{error::Error, ring::uapi};

/// A descriptor, copied out of shared memory or yet to be copied into it.
pub(crate) type Descriptor = uapi::iostream_descriptor;

/// Why an entry of the client's is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reject {
    /// It names no buffer.
    Id,
    /// The client does not have the buffer.
    Owner,
    /// A range is out of bounds.
    Range,
    /// It has a flag that is not the client's.
    Flags,
}

impl Descriptor {
    /// Whether it has no flags but `allowed`.
    ///
    /// # Errors
    ///
    /// [`Reject::Flags`].
    pub(crate) fn check_flags(&self, allowed: u32) -> Result<(), Reject> {
        match self.flags & !allowed {
            0 => Ok(()),
            _ => Err(Reject::Flags),
        }
    }

    /// Whether its ranges lie inside areas of these sizes.
    ///
    /// # Errors
    ///
    /// [`Reject::Range`].
    pub(crate) fn check_ranges(&self, data_bytes: u32, control_bytes: u32) -> Result<(), Reject> {
        let inside = |offset: u32, len: u32, size: u32| {
            offset.checked_add(len).is_some_and(|end| end <= size)
        };
        if inside(self.data_offset, self.data_len, data_bytes)
            && inside(self.control_offset, self.control_len, control_bytes)
        {
            Ok(())
        } else {
            Err(Reject::Range)
        }
    }

    /// Whether the client returns the buffer without anything in it for the driver.
    pub(crate) fn is_unused(&self) -> bool {
        self.flags & uapi::IOSTREAM_DESCRIPTOR_UNUSED != 0
    }
}

impl From<Reject> for Error {
    fn from(_: Reject) -> Self {
        Error::Corrupt
    }
}
