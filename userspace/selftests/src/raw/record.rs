// SPDX-License-Identifier: MIT OR Apache-2.0

//! The entries that the source endpoint makes and the sink endpoint checks.

use iostream_ring::uapi::iostream_record;

/// The shortest record.
pub const RECORD_BYTES: usize = size_of::<iostream_record>();

/// FNV-1a, 32 bits.
fn fnv(bytes: impl IntoIterator<Item = u8>) -> u32 {
    bytes.into_iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

fn check(record: &[u8]) -> u32 {
    let covered = record[..12].iter().chain(&record[RECORD_BYTES..]);
    fnv(covered.copied())
}

/// An entry of `len` bytes with this sequence number.
pub fn make_record(sequence: u64, len: usize) -> Vec<u8> {
    assert!(len >= RECORD_BYTES);
    let mut record: Vec<u8> = (0..len as u64)
        .map(|i| sequence.wrapping_add(i) as u8)
        .collect();
    record[..8].copy_from_slice(&sequence.to_ne_bytes());
    record[8..12].copy_from_slice(&(len as u32).to_ne_bytes());
    let check = check(&record);
    record[12..16].copy_from_slice(&check.to_ne_bytes());
    record
}

/// The sequence number of an entry, after every byte of it was checked.
pub fn check_record(record: &[u8]) -> u64 {
    assert!(
        record.len() >= RECORD_BYTES,
        "a record of {} bytes",
        record.len()
    );
    let sequence = u64::from_ne_bytes(record[..8].try_into().unwrap());
    assert_eq!(
        record,
        make_record(sequence, record.len()),
        "record {sequence}"
    );
    sequence
}
