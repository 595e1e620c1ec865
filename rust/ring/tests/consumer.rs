// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! The consuming side: peek, release, copies, arming, resuming.

#![cfg(not(loom))]

mod common;

use common::{geometry, pair, pair_at, Mem, Which};
use iostream_ring::{Consumer, Error, Memory};

#[test]
fn empty_is_its_own_error() {
    let (mem, _producer, mut consumer) = pair(64);
    let before = mem.snapshot();
    assert_eq!(consumer.peek(), Err(Error::Empty));
    assert_eq!(consumer.pop(&mut []), Err(Error::Empty));
    assert!(!consumer.release());
    assert_eq!(consumer.available(), Ok(0));
    assert_eq!(mem.snapshot(), before);
}

#[test]
fn too_small_carries_the_need_and_the_entry_stays() {
    let (mem, mut producer, mut consumer) = pair(64);
    producer.push(b"0123456789").unwrap();
    producer.publish();
    let before = mem.snapshot();
    for len in 0..10 {
        let mut buffer = vec![0xee; len];
        assert_eq!(
            consumer.pop(&mut buffer),
            Err(Error::TooSmall { needed: 10 })
        );
        assert!(buffer.iter().all(|b| *b == 0xee));
    }
    consumer.publish();
    assert_eq!(mem.snapshot(), before);
    let mut buffer = [0xee; 12];
    assert_eq!(consumer.pop(&mut buffer).unwrap().len(), 10);
    assert_eq!(&buffer, b"0123456789\xee\xee");
}

#[test]
fn empty_entry_is_an_entry() {
    let (_, mut producer, mut consumer) = pair(64);
    producer.push(b"").unwrap();
    producer.publish();
    assert_eq!(consumer.available(), Ok(8));
    assert_eq!(consumer.pop(&mut []).unwrap().len(), 0);
    assert_eq!(consumer.peek(), Err(Error::Empty));
}

#[test]
fn peek_leaves_the_entry_where_it_is() {
    let (mem, mut producer, mut consumer) = pair(64);
    producer.push(b"first").unwrap();
    producer.push(b"second").unwrap();
    producer.publish();
    let before = mem.snapshot();
    let entry = consumer.peek().unwrap();
    assert_eq!(consumer.peek(), Ok(entry));
    assert_eq!((entry.offset(), entry.len()), (8, 5));
    let mut bytes = [0; 5];
    // SAFETY: The entry lies within the data; the test memory checks it.
    unsafe {
        consumer
            .memory()
            .read(entry.offset(), bytes.as_mut_ptr(), 5)
    };
    assert_eq!(&bytes, b"first");
    assert_eq!(mem.snapshot(), before);
    assert!(consumer.release());
    assert!(!consumer.release(), "one entry was looked at, one released");
    assert_eq!(consumer.published_pos(), 0);
    assert_eq!(mem.snapshot(), before, "released is not published");
    consumer.publish();
    assert_eq!(consumer.published_pos(), 16);
    assert_eq!(mem.get(Which::ConsumerPos), 16);
    assert_eq!(consumer.peek().unwrap().len(), 6);
}

#[test]
fn released_room_is_free_at_its_publication() {
    let (_, mut producer, mut consumer) = pair(64);
    producer.push(&[0; 56]).unwrap();
    producer.publish();
    consumer.pop(&mut [0; 64]).unwrap();
    assert_eq!(producer.push(b""), Err(Error::Full));
    consumer.publish();
    assert_eq!(producer.push(b""), Ok(()));
}

#[test]
fn arming_says_whether_to_sleep() {
    let (mem, mut producer, mut consumer) = pair(64);
    assert_eq!(consumer.arm(), Ok(false));
    assert_eq!(mem.get(Which::ConsumerWake), 8);
    producer.push(b"x").unwrap();
    assert_eq!(consumer.arm(), Ok(false));
    producer.publish();
    assert_eq!(consumer.arm(), Ok(true));
    consumer.pop(&mut [0; 8]).unwrap();
    assert_eq!(consumer.arm(), Ok(false));
    assert_eq!(mem.get(Which::ConsumerWake), 24);
}

#[test]
fn resume_goes_on_where_it_was() {
    for pos in (0..64)
        .step_by(8)
        .chain((1..8).map(|i| u64::MAX - i * 8 + 1))
    {
        let (mem, mut producer, mut first) = pair_at(geometry(64), pos);
        for i in 0..4 {
            producer.push(&[i; 8]).unwrap();
        }
        producer.publish();
        let mut buffer = [0; 8];
        first.pop(&mut buffer).unwrap();
        first.publish();
        // The entry is released and not published, so the next consumer sees it again.
        first.pop(&mut buffer).unwrap();
        drop(first);
        // SAFETY: The first consumer is gone.
        let mut second = unsafe { Consumer::resume(mem, geometry(64)) }.unwrap();
        assert_eq!(second.available(), Ok(48));
        for i in 1..4 {
            second.pop(&mut buffer).unwrap();
            assert_eq!(buffer, [i; 8]);
        }
        assert_eq!(second.peek(), Err(Error::Empty));
    }
}

#[test]
fn resume_refuses_what_cannot_be() {
    for (pos, peer) in [(1, 0), (7, 8), (8, 9), (0, 72), (8, 0), (0, u64::MAX - 7)] {
        let mem = Mem::new(64);
        mem.set(Which::ConsumerPos, pos);
        mem.set(Which::ProducerPos, peer);
        // SAFETY: There is no other consumer.
        let got = unsafe { Consumer::resume(mem, geometry(64)) };
        assert_eq!(got.err(), Some(Error::Corrupt), "{pos}, {peer}");
    }
}
