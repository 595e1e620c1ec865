// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! A peer that changes each header as soon as it is loaded: the checked copy is used.

#![cfg(not(loom))]

mod common;

use common::hooked::Hooked;
use common::{geometry, pair, Mem};
use iostream_ring::{Consumer, Header, Memory};

const SIZE: u64 = 64;

/// The memory of a ring in which a header changes as soon as it is loaded.
type Restless = Hooked<Box<dyn Fn(&Mem, usize)>>;

/// Runs `take` on a ring with two entries of eight bytes, whose headers change to any other length
/// once loaded. It must take both entries as they were.
fn both_arrive(mut take: impl FnMut(&mut Consumer<Restless>) -> [u8; 8]) {
    for len in [0, 1, 9, 24, 40, 48, 56, 57, 64, 1 << 31, u32::MAX] {
        let (mem, mut producer, _) = pair(SIZE);
        let other = Header::of(len).to_word();
        let restless = Restless {
            mem,
            then: Box::new(move |mem, offset| mem.data(offset).store_relaxed(other)),
        };
        producer.push(&[5; 8]).unwrap();
        producer.push(&[6; 8]).unwrap();
        producer.publish();
        // SAFETY: The only consumer, on memory of the right size that nobody has consumed from.
        let mut consumer = unsafe { Consumer::new(restless, geometry(SIZE)) };
        assert_eq!(take(&mut consumer), [5; 8], "then {len} bytes");
        assert_eq!(take(&mut consumer), [6; 8], "then {len} bytes");
        assert_eq!(consumer.released_pos(), 32);
        assert_eq!(consumer.corrupt_events(), 0);
    }
}

#[test]
fn header_changes_under_peek() {
    both_arrive(|consumer| {
        let entry = consumer.peek().unwrap();
        assert_eq!(entry.len(), 8);
        let mut bytes = [0; 8];
        // SAFETY: In the entry that was checked.
        unsafe {
            consumer
                .memory()
                .read(entry.offset(), bytes.as_mut_ptr(), 8);
        }
        assert!(consumer.release());
        bytes
    });
}

#[test]
fn header_changes_under_pop() {
    both_arrive(|consumer| {
        let mut bytes = [0; 64];
        assert_eq!(consumer.pop(&mut bytes).unwrap().len(), 8);
        *bytes.first_chunk().unwrap()
    });
}

#[test]
fn header_changes_under_drain() {
    both_arrive(|consumer| {
        let mut bytes = [0; 8];
        let drained = consumer.drain(1, |memory, entry| {
            assert_eq!(entry.len(), 8);
            // SAFETY: In the entry that was checked.
            unsafe { memory.read(entry.offset(), bytes.as_mut_ptr(), 8) };
            true
        });
        assert_eq!((drained.entries, drained.bytes), (1, 8));
        bytes
    });
}

#[test]
fn header_changes_under_pop_array() {
    both_arrive(|consumer| consumer.pop_array().unwrap());
}
