// SPDX-License-Identifier: MIT OR Apache-2.0

//! N-3: 64 KiB copied in and out, against memcpy of the same bytes.

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::memory::RingMemory;

const BYTES: usize = 65536;
/// Eight entries fit; the ring and memcpy go through the same number of bytes.
const RING_BYTES: usize = 8 * (BYTES + 8);

/// Through the ring.
pub fn ring(count: u64) -> Duration {
    let memory = RingMemory::new(RING_BYTES).expect("memory");
    // SAFETY: The only call for this memory, which outlives both ends.
    let (mut producer, mut consumer) = unsafe { memory.ends::<iostream_ring::Framed>() };
    let (source, mut target) = (vec![1u8; BYTES], vec![0u8; BYTES]);
    let begun = Instant::now();
    for _ in 0..count {
        producer.push(black_box(&source)).expect("room");
        producer.publish();
        consumer.pop(black_box(&mut target)).expect("an entry");
        consumer.publish();
    }
    let time = begun.elapsed();
    assert_eq!(target, source);
    time
}

/// memcpy alone, into a buffer of the same size and out of it.
pub fn memcpy(count: u64) -> Duration {
    let (source, mut target) = (vec![1u8; BYTES], vec![0u8; BYTES]);
    let mut buffer = vec![0u8; RING_BYTES];
    let begun = Instant::now();
    let mut at = 0;
    for _ in 0..count {
        let place = &mut buffer[at..at + BYTES];
        place.copy_from_slice(black_box(&source));
        black_box(&mut target).copy_from_slice(black_box(place));
        at += BYTES;
        if at + BYTES > RING_BYTES {
            at = 0;
        }
    }
    let time = begun.elapsed();
    assert_eq!(target, source);
    time
}
