// SPDX-License-Identifier: GPL-2.0

//! Descriptors: what stands in a stream's queues.

use super::spec::DESCRIPTOR_BYTES;
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
    /// The bytes of a descriptor, for the ring.
    pub(crate) fn to_bytes(self) -> [u8; DESCRIPTOR_BYTES] {
        let mut bytes = [0; DESCRIPTOR_BYTES];
        let words = [
            self.buffer,
            self.flags,
            self.data_offset,
            self.data_len,
            self.control_offset,
            self.control_len,
        ];
        for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        bytes[24..].copy_from_slice(&self.sequence.to_ne_bytes());
        bytes
    }

    /// The descriptor that [`Self::to_bytes`] made.
    pub(crate) fn from_bytes(bytes: [u8; DESCRIPTOR_BYTES]) -> Self {
        let word =
            |i: usize| u32::from_ne_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
        Self {
            buffer: word(0),
            flags: word(4),
            data_offset: word(8),
            data_len: word(12),
            control_offset: word(16),
            control_len: word(20),
            sequence: u64::from(word(24)) | u64::from(word(28)) << 32,
        }
    }

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
