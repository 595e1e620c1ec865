// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! The descriptors of a stream, as its two queues hold them.

use core::mem::offset_of;

use super::{uapi::iostream_descriptor, Slots};

/// The size of a descriptor in bytes.
pub const DESCRIPTOR_BYTES: usize = size_of::<iostream_descriptor>();

/// The layout of a stream's queue: an array of descriptors without headers.
pub type Descriptors = Slots<{ DESCRIPTOR_BYTES as u32 }>;

const _: () = {
    assert!(DESCRIPTOR_BYTES == 64);
    assert!(offset_of!(iostream_descriptor, buffer) == 0);
    assert!(offset_of!(iostream_descriptor, flags) == 4);
    assert!(offset_of!(iostream_descriptor, data_offset) == 8);
    assert!(offset_of!(iostream_descriptor, data_len) == 12);
    assert!(offset_of!(iostream_descriptor, control_offset) == 16);
    assert!(offset_of!(iostream_descriptor, control_len) == 20);
    assert!(offset_of!(iostream_descriptor, frame) == 24);
    assert!(offset_of!(iostream_descriptor, timestamp_ns) == 32);
    assert!(offset_of!(iostream_descriptor, lost) == 40);
    assert!(offset_of!(iostream_descriptor, status) == 48);
    assert!(offset_of!(iostream_descriptor, reserved) == 52);
};

impl iostream_descriptor {
    /// Converts to the bytes that a queue holds.
    #[inline]
    pub fn to_bytes(self) -> [u8; DESCRIPTOR_BYTES] {
        let mut bytes = [0; DESCRIPTOR_BYTES];
        let halves = [
            self.buffer,
            self.flags,
            self.data_offset,
            self.data_len,
            self.control_offset,
            self.control_len,
        ];
        for (to, half) in bytes.chunks_exact_mut(4).zip(halves) {
            to.copy_from_slice(&half.to_ne_bytes());
        }
        let words = [self.frame, self.timestamp_ns, self.lost];
        for (to, word) in bytes[24..].chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        let [one, two, three] = self.reserved;
        let halves = [self.status as u32, one, two, three];
        for (to, half) in bytes[48..].chunks_exact_mut(4).zip(halves) {
            to.copy_from_slice(&half.to_ne_bytes());
        }
        bytes
    }

    /// Converts from the bytes that a queue holds. Any bytes are a descriptor, if not a valid one.
    #[inline]
    pub fn from_bytes(bytes: [u8; DESCRIPTOR_BYTES]) -> Self {
        let half =
            |i: usize| u32::from_ne_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
        let word = |i: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[i..i + 8]);
            u64::from_ne_bytes(word)
        };
        Self {
            buffer: half(0),
            flags: half(4),
            data_offset: half(8),
            data_len: half(12),
            control_offset: half(16),
            control_len: half(20),
            frame: word(24),
            timestamp_ns: word(32),
            lost: word(40),
            status: half(48) as i32,
            reserved: [half(52), half(56), half(60)],
        }
    }
}
