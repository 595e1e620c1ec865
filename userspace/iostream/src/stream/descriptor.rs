// SPDX-License-Identifier: MIT OR Apache-2.0

//! The descriptors in a stream's queues.

use std::ops::Range;

use iostream_ring::uapi::iostream_descriptor;
pub(crate) use iostream_ring::{Descriptors, DESCRIPTOR_BYTES};

/// How many bytes of a queue `count` descriptors take.
pub(crate) fn occupied(count: u32) -> u64 {
    u64::from(count) * DESCRIPTOR_BYTES as u64
}

/// An entry of a stream's queue: a buffer, and which of its bytes matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) buffer: u32,
    pub(crate) flags: u32,
    pub(crate) data: Range<usize>,
    pub(crate) control: Range<usize>,
    pub(crate) frame: u64,
    pub(crate) timestamp_ns: u64,
    /// From the kernel only, like `status`: what this process sends must have zeros there.
    pub(crate) lost: u64,
    pub(crate) status: i32,
}

impl Descriptor {
    /// A buffer that goes back without anything to be read in it.
    pub(crate) fn empty(buffer: u32, flags: u32) -> Self {
        Self {
            buffer,
            flags,
            ..Self::default()
        }
    }

    /// The bytes of an `iostream_descriptor`.
    #[inline]
    pub(crate) fn to_bytes(&self) -> [u8; DESCRIPTOR_BYTES] {
        // The areas whose ranges these are have sizes of 32 bits.
        let raw = iostream_descriptor {
            buffer: self.buffer,
            flags: self.flags,
            data_offset: self.data.start as u32,
            data_len: self.data.len() as u32,
            control_offset: self.control.start as u32,
            control_len: self.control.len() as u32,
            frame: self.frame,
            timestamp_ns: self.timestamp_ns,
            lost: self.lost,
            status: self.status,
            ..Default::default()
        };
        raw.to_bytes()
    }

    /// The descriptor that the bytes of an `iostream_descriptor` say.
    #[inline]
    pub(crate) fn from_bytes(bytes: [u8; DESCRIPTOR_BYTES]) -> Self {
        let raw = iostream_descriptor::from_bytes(bytes);
        // The sum of two words of 32 bits does not overflow one of 64.
        let range = |offset: u32, len: u32| offset as usize..offset as usize + len as usize;
        Self {
            buffer: raw.buffer,
            flags: raw.flags,
            data: range(raw.data_offset, raw.data_len),
            control: range(raw.control_offset, raw.control_len),
            frame: raw.frame,
            timestamp_ns: raw.timestamp_ns,
            lost: raw.lost,
            status: raw.status,
        }
    }
}

const _: () = assert!(size_of::<usize>() == 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back() {
        let descriptor = Descriptor {
            buffer: 1,
            flags: 2,
            data: 3..7,
            control: 5..11,
            frame: u64::MAX - 1,
            timestamp_ns: u64::MAX - 2,
            lost: u64::MAX - 3,
            status: -5,
        };
        let bytes = descriptor.to_bytes();
        assert_eq!(Descriptor::from_bytes(bytes), descriptor);
        let all = Descriptor::from_bytes([0xff; DESCRIPTOR_BYTES]);
        assert_eq!(all.data.end, 2 * u32::MAX as usize);
    }
}
