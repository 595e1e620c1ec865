// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Headers as words, and the bytes that entries occupy.

#![cfg(not(loom))]

mod common;

use common::{pair, Which};
use iostream_ring::{occupied_bytes, uapi, Header};

#[test]
fn occupied_bytes_count_header_and_padding() {
    for (len, occupied) in [
        (0, 8),
        (1, 16),
        (7, 16),
        (8, 16),
        (9, 24),
        (16, 24),
        (17, 32),
    ] {
        assert_eq!(occupied_bytes(len), occupied);
    }
    assert_eq!(occupied_bytes(u32::MAX), (1 << 32) + 8);
    for len in 0..10_000 {
        let occupied = occupied_bytes(len);
        let least = u64::from(len) + 8;
        assert!(occupied % 8 == 0 && occupied >= least && occupied < least + 8);
    }
}

#[test]
fn header_is_the_struct_of_the_uapi() {
    for (len, flags, lost) in [
        (0, 0, 0),
        (1, 1, 2),
        (0x1234_5678, 0x9abc, 0xdef0),
        (!0, !0, !0),
    ] {
        let header = Header { len, flags, lost };
        let entry = uapi::iostream_entry { len, flags, lost };
        // SAFETY: Eight bytes of plain integers without padding.
        let word: u64 = unsafe { std::mem::transmute(entry) };
        assert_eq!(header.to_word(), word);
        assert_eq!(Header::from_word(word), header);
    }
}

#[test]
fn lost_counts_only_with_its_flag() {
    for (flags, lost, expected) in [(0, 5, 0), (1, 5, 5), (!0, 6, 6), (!1, 6, 0)] {
        let (mem, _producer, mut consumer) = pair(64);
        let header = Header {
            len: 0,
            flags,
            lost,
        };
        mem.data(0).store_relaxed(header.to_word());
        mem.set(Which::ProducerPos, 8);
        assert_eq!(consumer.peek().unwrap().lost_before(), expected);
    }
}
