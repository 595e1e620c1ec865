// SPDX-License-Identifier: GPL-2.0

//! Descriptors, the entries of a stream's queues, and how they are checked.

use crate::{error::Error, ring::uapi};

/// A descriptor, copied out of shared memory or yet to be copied into it.
pub(crate) type Descriptor = uapi::iostream_descriptor;

/// Why a client's descriptor is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reject {
    /// There is no buffer with this id.
    Id,
    /// The buffer is neither with the client nor queued.
    Owner,
    /// A range is out of bounds.
    Range,
    /// The client set a flag that it may not set, or a field that must be zero.
    Flags,
}

impl Descriptor {
    /// Whether read(2) stops at this buffer of the driver's: it has data or, if read(2) `tells` of
    /// losses, something was lost before it.
    pub(crate) fn is_to_read(&self, tells: bool) -> bool {
        self.data_len != 0 || (tells && self.lost != 0)
    }

    /// Checks that no flags other than `allowed` are set.
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

    /// Checks that the fields are zero that only the kernel sets.
    ///
    /// # Errors
    ///
    /// [`Reject::Flags`].
    pub(crate) fn check_zeros(&self) -> Result<(), Reject> {
        if self.lost == 0 && self.status == 0 && self.reserved == [0; 3] {
            Ok(())
        } else {
            Err(Reject::Flags)
        }
    }

    /// Checks that the ranges lie inside areas of these sizes.
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

    /// Whether the client returns the buffer with nothing in it for the driver.
    pub(crate) fn is_unused(&self) -> bool {
        self.flags & uapi::IOSTREAM_DESCRIPTOR_UNUSED != 0
    }
}

impl From<Reject> for Error {
    fn from(_: Reject) -> Self {
        Error::Corrupt
    }
}
