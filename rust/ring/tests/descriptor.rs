// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! A descriptor and its bytes: each field lies where the structure of the C header has it.

#![cfg(not(loom))]

mod common;

use common::Random;
use iostream_ring::uapi::iostream_descriptor;
use iostream_ring::DESCRIPTOR_BYTES;

/// The bytes of the structure itself, as C lays it out. It has no padding.
fn in_memory(descriptor: iostream_descriptor) -> [u8; DESCRIPTOR_BYTES] {
    // SAFETY: Both have 64 bytes, all of them initialised; the ring asserts that the fields leave no gap.
    unsafe { core::mem::transmute(descriptor) }
}

#[test]
fn bytes_are_those_of_the_structure() {
    let mut random = Random::seeded("descriptor");
    for _ in 0..100 {
        let mut bytes = [0; DESCRIPTOR_BYTES];
        for chunk in bytes.chunks_exact_mut(8) {
            chunk.copy_from_slice(&random.next().to_ne_bytes());
        }
        let descriptor = iostream_descriptor::from_bytes(bytes);
        assert_eq!(in_memory(descriptor), bytes);
        assert_eq!(descriptor.to_bytes(), bytes);
    }
}
