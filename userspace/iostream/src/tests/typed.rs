// SPDX-License-Identifier: MIT OR Apache-2.0

//! Entries as values of types.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::small;
use crate::Error;

#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Sample {
    nanoseconds: u64,
    millivolts: [i16; 4],
}

const SAMPLE: Sample = Sample {
    nanoseconds: 0x0102_0304_0506_0708,
    millivolts: [-1, 2, -3, 4],
};

#[test]
fn a_value_goes_through_the_queue() {
    let (_loopback, mut producer, mut consumer) = small();
    // Entries before it that leave each alignment that there is.
    for len in 0..20 {
        producer.enqueue(&vec![0; len]).unwrap();
        producer.enqueue_value(&SAMPLE).unwrap();
        drop(consumer.dequeue().unwrap());
        assert_eq!(consumer.peek().unwrap().as_value(), Ok(&SAMPLE));
        assert_eq!(consumer.dequeue_value(), Ok(SAMPLE));
    }
    let mut batch = producer.batch();
    batch.enqueue_value(&[7_u16, 8]).unwrap();
    batch.finish().unwrap();
    let entry = consumer.dequeue().unwrap();
    assert_eq!(entry.as_value::<[u16; 2]>(), Ok(&[7, 8]));
    drop(entry);
    assert_eq!(consumer.dequeue_value::<u8>(), Err(Error::Empty));
}

#[test]
fn a_wrong_length_is_told_and_keeps_the_entry() {
    let (_loopback, mut producer, mut consumer) = small();
    for found in [0, 7, 9, 16] {
        producer.enqueue(&vec![1; found]).unwrap();
        let error = Error::WrongLength { needed: 8, found };
        assert_eq!(consumer.dequeue_value::<u64>(), Err(error));
        assert_eq!(consumer.peek().unwrap().as_value::<u64>(), Err(error));
        let entry = consumer.dequeue().unwrap();
        assert_eq!(entry.as_value::<u64>(), Err(error));
        assert_eq!(entry.len(), found);
    }
}

#[test]
fn a_value_of_a_large_alignment_is_copied() {
    let (_loopback, mut producer, mut consumer) = small();
    for value in 0..5_u128 {
        producer.enqueue(&[0; 8]).unwrap();
        producer.enqueue_value(&value).unwrap();
        drop(consumer.dequeue().unwrap());
        assert_eq!(consumer.dequeue_value::<u128>(), Ok(value));
    }
}

#[test]
fn entries_are_bytes_for_generic_code() {
    fn bytes(entry: impl AsRef<[u8]>) -> Vec<u8> {
        entry.as_ref().to_vec()
    }
    let (_loopback, mut producer, mut consumer) = small();
    producer.enqueue(b"one").unwrap();
    assert_eq!(bytes(consumer.peek().unwrap()), b"one");
    assert_eq!(bytes(consumer.dequeue().unwrap()), b"one");
}
