// SPDX-License-Identifier: MIT OR Apache-2.0

//! The records that the source makes and the sink checks: `struct iostream_record`.

use iostream::uapi::iostream_record;

/// The size of a record's head.
pub const HEAD_BYTES: usize = size_of::<iostream_record>();

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It is shorter than a head, or its length differs from the one in its head.
    Length,
    /// The checksum is wrong.
    Check,
}

/// The head of a record that continues with `rest`; `None` if the record would be too long.
pub fn head(sequence: u64, rest: &[u8]) -> Option<[u8; HEAD_BYTES]> {
    let len = u32::try_from(HEAD_BYTES.checked_add(rest.len())?).ok()?;
    let check = checksum(sequence, len, rest);
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(&sequence.to_ne_bytes());
    head[8..12].copy_from_slice(&len.to_ne_bytes());
    head[12..].copy_from_slice(&check.to_ne_bytes());
    Some(head)
}

/// Checks a record. Returns its sequence number, and the bytes after its head.
pub fn check(entry: &[u8]) -> Result<(u64, &[u8]), Wrong> {
    let (head, rest) = entry
        .split_first_chunk::<HEAD_BYTES>()
        .ok_or(Wrong::Length)?;
    let [a, b, c, d, e, f, g, h, l0, l1, l2, l3, c0, c1, c2, c3] = *head;
    let sequence = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
    let len = u32::from_ne_bytes([l0, l1, l2, l3]);
    if usize::try_from(len) != Ok(entry.len()) {
        return Err(Wrong::Length);
    }
    if u32::from_ne_bytes([c0, c1, c2, c3]) != checksum(sequence, len, rest) {
        return Err(Wrong::Check);
    }
    Ok((sequence, rest))
}

/// FNV-1a of 32 bits, with the offset basis and prime of its authors.
fn checksum(sequence: u64, len: u32, rest: &[u8]) -> u32 {
    let parts: [&[u8]; 3] = [&sequence.to_ne_bytes(), &len.to_ne_bytes(), rest];
    let mut hash = 0x811c_9dc5_u32;
    for byte in parts.into_iter().flatten() {
        hash = (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_found_right() {
        let mut entry = head(7, b"rest").unwrap().to_vec();
        entry.extend_from_slice(b"rest");
        assert_eq!(check(&entry), Ok((7, &b"rest"[..])));
    }

    #[test]
    fn each_changed_byte_is_found() {
        let mut entry = head(7, b"rest").unwrap().to_vec();
        entry.extend_from_slice(b"rest");
        for i in 0..entry.len() {
            let mut wrong = entry.clone();
            wrong[i] ^= 1;
            assert!(check(&wrong).is_err(), "byte {i}");
        }
        assert_eq!(check(&entry[..15]), Err(Wrong::Length));
        assert_eq!(check(&entry[..19]), Err(Wrong::Length));
    }

    #[test]
    fn the_checksum_is_fnv() {
        // The authors' test vectors do not apply: our input always starts with twelve other bytes.
        // So this checks a single step.
        let once = (0x811c_9dc5_u32 ^ 0x61).wrapping_mul(0x0100_0193);
        assert_eq!(once, 0xe40c_292c);
    }
}
