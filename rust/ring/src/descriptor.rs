// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! The descriptors of a stream, as its two queues hold them.

use core::mem::offset_of;

use super::{uapi::iostream_descriptor, Slots};

/// The size of a descriptor in bytes.
pub const DESCRIPTOR_BYTES: usize = size_of::<iostream_descriptor>();

/// The layout of a stream's queue: an array of descriptors without headers.
pub type Descriptors = Slots<{ DESCRIPTOR_BYTES as u32 }>;

const _: () = {
    assert!(DESCRIPTOR_BYTES == 32);
    assert!(offset_of!(iostream_descriptor, buffer) == 0);
    assert!(offset_of!(iostream_descriptor, flags) == 4);
    assert!(offset_of!(iostream_descriptor, data_offset) == 8);
    assert!(offset_of!(iostream_descriptor, data_len) == 12);
    assert!(offset_of!(iostream_descriptor, control_offset) == 16);
    assert!(offset_of!(iostream_descriptor, control_len) == 20);
    assert!(offset_of!(iostream_descriptor, sequence) == 24);
};

impl iostream_descriptor {
    /// Converts to the bytes that a queue holds.
    #[inline]
    pub fn to_bytes(self) -> [u8; DESCRIPTOR_BYTES] {
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

    /// Converts from the bytes that a queue holds. Any bytes are a descriptor, if not a valid one.
    #[inline]
    pub fn from_bytes(bytes: [u8; DESCRIPTOR_BYTES]) -> Self {
        let word =
            |i: usize| u32::from_ne_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
        let mut sequence = [0; 8];
        sequence.copy_from_slice(&bytes[24..]);
        Self {
            buffer: word(0),
            flags: word(4),
            data_offset: word(8),
            data_len: word(12),
            control_offset: word(16),
            control_len: word(20),
            sequence: u64::from_ne_bytes(sequence),
        }
    }
}
