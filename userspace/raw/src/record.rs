// SPDX-License-Identifier: MIT OR Apache-2.0

//! Records: the entries that the source endpoint makes and the sink endpoint checks.
//!
//! A record is its sequence number, its length, a checksum, and a pattern that follows from the
//! sequence number (`struct iostream_record`).

use iostream_ring::uapi::iostream_record;

/// Bytes before the pattern.
const HEAD: u64 = size_of::<iostream_record>() as u64;

/// FNV-1a, 32 bits, over all of the record except the checksum.
fn checksum(sequence: u64, len: u64) -> u32 {
    let head = sequence
        .to_le_bytes()
        .into_iter()
        .chain((len as u32).to_le_bytes());
    let pattern = (HEAD..len).map(|i| sequence.wrapping_add(i) as u8);
    head.chain(pattern).fold(0x811c_9dc5, |sum, byte| {
        (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// The words of a record of `len` bytes; the last one may be longer than the record. Allocates
/// nothing.
///
/// # Panics
///
/// If `len` is too short for a record.
pub fn record_words(sequence: u64, len: u64) -> impl Iterator<Item = u64> {
    assert!(len >= HEAD, "a record of {len} bytes");
    let pattern = (HEAD..len).step_by(8).map(move |at| {
        u64::from_le_bytes(std::array::from_fn(|i| {
            sequence.wrapping_add(at + i as u64) as u8
        }))
    });
    let second = len | (u64::from(checksum(sequence, len)) << 32);
    [sequence, second].into_iter().chain(pattern)
}

/// A record of `len` bytes.
///
/// # Panics
///
/// If `len` is too short for a record.
pub fn make_record(sequence: u64, len: usize) -> Vec<u8> {
    let words = record_words(sequence, len as u64);
    let mut record: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    record.truncate(len);
    record
}

/// Checks every byte of a record and returns its sequence number.
///
/// # Panics
///
/// If a byte is wrong.
#[track_caller]
pub fn check_record(record: &[u8]) -> u64 {
    let head = record.first_chunk().expect("a record's sequence number");
    let sequence = u64::from_le_bytes(*head);
    assert_eq!(
        record,
        make_record(sequence, record.len()),
        "record {sequence}"
    );
    sequence
}
