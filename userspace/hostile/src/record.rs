// SPDX-License-Identifier: MIT OR Apache-2.0

//! The entries that the source makes and the sink checks: a number and a checksum in each.

use std::sync::atomic::Ordering::*;

use crate::device::Ring;

/// Bytes of an entry before those that follow a pattern.
const HEAD: u64 = 16;

/// FNV-1a, 32 bits, over number, length and the bytes after.
fn checksum(sequence: u64, len: u64) -> u32 {
    let head = sequence
        .to_le_bytes()
        .into_iter()
        .chain((len as u32).to_le_bytes());
    let body = (HEAD..len).map(|i| (sequence + i) as u8);
    head.chain(body).fold(0x811c_9dc5, |sum, byte| {
        (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

fn words(sequence: u64, len: u64) -> impl Iterator<Item = u64> {
    let body = (HEAD..len).step_by(8).map(move |at| {
        u64::from_le_bytes(std::array::from_fn(|i| (sequence + at + i as u64) as u8))
    });
    let second = len | (u64::from(checksum(sequence, len)) << 32);
    [sequence, second].into_iter().chain(body)
}

/// Writes an entry, header included, at `pos`. `len` is a multiple of 8.
pub fn make(ring: &Ring, pos: u64, sequence: u64, len: u64) {
    ring.data_word(pos).store(len, Relaxed);
    for (at, word) in (pos + 8..).step_by(8).zip(words(sequence, len)) {
        ring.data_word(at).store(word, Relaxed);
    }
}

/// Checks the entry at `pos`, its header aside.
#[track_caller]
pub fn check(ring: &Ring, pos: u64, sequence: u64, len: u64) {
    for (at, word) in (pos + 8..).step_by(8).zip(words(sequence, len)) {
        assert_eq!(ring.data_word(at).load(Relaxed), word, "entry {sequence}");
    }
}
