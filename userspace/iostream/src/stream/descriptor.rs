// SPDX-License-Identifier: MIT OR Apache-2.0

//! The descriptors in a stream's queues.

use std::ops::Range;

use iostream_ring::uapi::{self, iostream_descriptor};

/// The size of a descriptor.
pub(crate) const DESCRIPTOR_BYTES: usize = size_of::<iostream_descriptor>();
/// The layout of a queue of descriptors.
pub(crate) type Descriptors = iostream_ring::Slots<{ DESCRIPTOR_BYTES as u32 }>;

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
    pub(crate) sequence: u64,
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
        let mut bytes = [0; DESCRIPTOR_BYTES];
        let words = [
            self.buffer,
            self.flags,
            // The ranges were checked against areas whose sizes have 32 bits.
            self.data.start as u32,
            self.data.len() as u32,
            self.control.start as u32,
            self.control.len() as u32,
        ];
        for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        bytes[24..].copy_from_slice(&self.sequence.to_ne_bytes());
        bytes
    }

    #[inline]
    pub(crate) fn from_bytes(bytes: [u8; DESCRIPTOR_BYTES]) -> Self {
        let word =
            |i: usize| u32::from_ne_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
        // The sum of two numbers of 32 bits does not overflow one of 64.
        let range = |i: usize| {
            let start = word(i) as usize;
            start..start + word(i + 4) as usize
        };
        let mut sequence = [0; 8];
        sequence.copy_from_slice(&bytes[24..]);
        Self {
            buffer: word(0),
            flags: word(4),
            data: range(8),
            control: range(16),
            sequence: u64::from_ne_bytes(sequence),
        }
    }

    pub(crate) fn is_discarded(&self) -> bool {
        self.flags & uapi::IOSTREAM_DESCRIPTOR_DISCARDED != 0
    }
}

const _: () = {
    use std::mem::offset_of;
    assert!(DESCRIPTOR_BYTES == 32 && size_of::<usize>() == 8);
    assert!(offset_of!(iostream_descriptor, buffer) == 0);
    assert!(offset_of!(iostream_descriptor, flags) == 4);
    assert!(offset_of!(iostream_descriptor, data_offset) == 8);
    assert!(offset_of!(iostream_descriptor, data_len) == 12);
    assert!(offset_of!(iostream_descriptor, control_offset) == 16);
    assert!(offset_of!(iostream_descriptor, control_len) == 20);
    assert!(offset_of!(iostream_descriptor, sequence) == 24);
};

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
            sequence: u64::MAX - 1,
        };
        let bytes = descriptor.to_bytes();
        assert_eq!(Descriptor::from_bytes(bytes), descriptor);
        let all = Descriptor::from_bytes([0xff; 32]);
        assert_eq!(all.data.end, 2 * u32::MAX as usize);
    }
}
