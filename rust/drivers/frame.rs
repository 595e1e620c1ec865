// SPDX-License-Identifier: GPL-2.0

//! Frames of the test pattern, as `rust/uapi/iostream_frame.h` defines them.

#![allow(dead_code, reason = "each driver that has this file uses a part of it")]

/// Bytes of `struct iostream_frame`.
pub(crate) const FRAME_BYTES: usize = 32;
/// Bytes of a word of the data.
const WORD: usize = 8;

/// Start value and factor of FNV-1a.
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x100_0000_01b3;

/// The contents of the control area of a frame.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) sequence: u64,
    pub(crate) timestamp_ns: u64,
    pub(crate) data_len: u64,
    pub(crate) check: u64,
}

impl Frame {
    /// Fills `data`, which is whole words, with frame number `sequence`.
    pub(crate) fn fill(sequence: u64, timestamp_ns: u64, data: &mut [u8]) -> Self {
        let mut check = start(sequence, data.len() as u64);
        for (i, to) in data.chunks_exact_mut(WORD).enumerate() {
            let word = sequence.wrapping_add(i as u64);
            to.copy_from_slice(&word.to_ne_bytes());
            check = step(check, word);
        }
        Self {
            sequence,
            timestamp_ns,
            data_len: data.len() as u64,
            check,
        }
    }

    /// The bytes of the control area.
    pub(crate) fn to_bytes(self) -> [u8; FRAME_BYTES] {
        let words = [self.sequence, self.timestamp_ns, self.data_len, self.check];
        let mut bytes = [0; FRAME_BYTES];
        for (to, word) in bytes.chunks_exact_mut(WORD).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// The frame whose bytes [`Self::to_bytes`] made.
    pub(crate) fn from_bytes(bytes: &[u8; FRAME_BYTES]) -> Self {
        let mut words = words(bytes);
        let mut next = || words.next().unwrap_or_default();
        Self {
            sequence: next(),
            timestamp_ns: next(),
            data_len: next(),
            check: next(),
        }
    }
}

/// Checks the data of a frame piece by piece.
pub(crate) struct Checker {
    frame: Frame,
    next: u64,
    check: u64,
    good: bool,
}

impl Checker {
    /// A checker for `data_len` bytes of data that should be those of `frame`.
    pub(crate) fn new(frame: Frame, data_len: usize) -> Self {
        Self {
            frame,
            next: frame.sequence,
            check: start(frame.sequence, frame.data_len),
            good: frame.data_len == data_len as u64,
        }
    }

    /// Checks the next bytes, which are whole words.
    pub(crate) fn look(&mut self, data: &[u8]) {
        self.good &= data.len() % WORD == 0;
        for word in words(data) {
            self.good &= word == self.next;
            self.next = self.next.wrapping_add(1);
            self.check = step(self.check, word);
        }
    }

    /// Whether data and control data agree.
    pub(crate) fn is_good(&self) -> bool {
        self.good && self.check == self.frame.check
    }
}

fn start(sequence: u64, data_len: u64) -> u64 {
    step(step(BASIS, sequence), data_len)
}

fn step(check: u64, word: u64) -> u64 {
    (check ^ word).wrapping_mul(PRIME)
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes.chunks_exact(WORD).map(|chunk| {
        let mut word = [0; WORD];
        word.copy_from_slice(chunk);
        u64::from_ne_bytes(word)
    })
}
