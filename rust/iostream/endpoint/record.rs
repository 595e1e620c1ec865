// SPDX-License-Identifier: GPL-2.0

//! Records, which are numbered entries with a checksum: the source generates them, the sink checks
//! them.

use kernel::prelude::*;

use crate::{ends::consumer::View, ring::uapi};

const RECORD_BYTES: usize = size_of::<uapi::iostream_record>();

/// FNV-1a, 32 bits: offset basis and prime as in draft-eastlake-fnv, section 5.
const FNV_BASIS: u32 = 0x811c_9dc5;
const FNV_PRIME: u32 = 0x0100_0193;

fn fnv(mut hash: u32, bytes: &[u8]) -> u32 {
    for byte in bytes {
        hash = (hash ^ u32::from(*byte)).wrapping_mul(FNV_PRIME);
    }
    hash
}

fn fnv_head(sequence: u64, len: u32) -> u32 {
    fnv(fnv(FNV_BASIS, &sequence.to_ne_bytes()), &len.to_ne_bytes())
}

/// Generates the entries of a source.
pub(super) struct Generator {
    min: u32,
    max: u32,
    sequence: u64,
    random: u64,
    /// The length of an entry that did not fit, to be tried again.
    kept: Option<usize>,
}

impl Generator {
    /// The shortest entry, which is a record without further bytes.
    pub(super) const SHORTEST_BYTES: u32 = RECORD_BYTES as u32;

    /// Creates a generator of entries of `min` to `max` bytes.
    pub(super) fn new(min: u32, max: u32) -> Self {
        Self {
            min,
            max,
            sequence: 0,
            // Any odd number: the first state of a generator must not be zero.
            random: 0x9e37_79b9_7f4a_7c15,
            kept: None,
        }
    }

    /// The length of the next entry.
    #[inline]
    pub(super) fn next_len(&mut self) -> usize {
        if let Some(len) = self.kept.take() {
            return len;
        }
        if self.min == self.max {
            return self.min as usize;
        }
        // xorshift64, Marsaglia 2003, with the triple 13, 7, 17.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let range = u64::from(self.max - self.min) + 1;
        self.min as usize + (self.random % range) as usize
    }

    /// Notes that an entry of `len` bytes did not fit: the next one has the same length.
    pub(super) fn keep_len(&mut self, len: usize) {
        self.kept = Some(len);
    }

    /// Fills in the next entry.
    #[inline]
    pub(super) fn fill(&mut self, entry: &mut [u8]) {
        let (sequence, len) = (self.sequence, entry.len() as u32);
        let (head, rest) = entry.split_at_mut(RECORD_BYTES);
        for (i, byte) in rest.iter_mut().enumerate() {
            *byte = sequence.wrapping_add((RECORD_BYTES + i) as u64) as u8;
        }
        let check = fnv(fnv_head(sequence, len), rest);
        head[..8].copy_from_slice(&sequence.to_ne_bytes());
        head[8..12].copy_from_slice(&len.to_ne_bytes());
        head[12..].copy_from_slice(&check.to_ne_bytes());
        self.sequence = sequence.wrapping_add(1);
    }

    /// Skips the number of an entry that did not fit, so that the checker sees a gap.
    pub(super) fn skip(&mut self) {
        self.sequence = self.sequence.wrapping_add(1);
    }
}

/// What the checker found.
pub(super) enum Found {
    /// A valid record. `missed` sequence numbers before it did not come.
    Good { missed: u64 },
    /// Not a record, or a wrong checksum.
    Bad,
}

/// Checks the entries of a sink.
#[derive(Default)]
pub(super) struct Checker {
    expected: u64,
}

impl Checker {
    /// Checks one entry. Copies it piece by piece, because the process can write the entry
    /// meanwhile.
    pub(super) fn check(&mut self, entry: &View<'_>) -> Found {
        let mut head = [0; RECORD_BYTES];
        if entry.copy_to(0, &mut head).is_err() {
            return Found::Bad;
        }
        let word = |at: usize| [head[at], head[at + 1], head[at + 2], head[at + 3]];
        let mut sequence = [0; 8];
        sequence.copy_from_slice(&head[..8]);
        let sequence = u64::from_ne_bytes(sequence);
        let (len, check) = (u32::from_ne_bytes(word(8)), u32::from_ne_bytes(word(12)));
        if len as usize != entry.len() {
            return Found::Bad;
        }
        let mut hash = fnv_head(sequence, len);
        let mut at = RECORD_BYTES;
        let mut piece = [0; 256];
        while at < entry.len() {
            let step = (entry.len() - at).min(piece.len());
            let piece = &mut piece[..step];
            if entry.copy_to(at, piece).is_err() {
                return Found::Bad;
            }
            hash = fnv(hash, piece);
            at += step;
        }
        if hash != check {
            return Found::Bad;
        }
        let missed = sequence.wrapping_sub(self.expected);
        self.expected = sequence.wrapping_add(1);
        Found::Good { missed }
    }
}
