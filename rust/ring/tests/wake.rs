// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! The wake-up rule: which positions are crossed, which side is woken, and how often.

#![cfg(not(loom))]

mod common;

use common::{pair, pair_at, Which};
use iostream_ring::{crossed, Error};

/// The meaning of the rule: walks from `old` to `new`.
fn walked(wake: u64, old: u64, new: u64) -> bool {
    let mut at = old;
    while at != new {
        at = at.wrapping_add(1);
        if at == wake {
            return true;
        }
    }
    false
}

#[test]
fn crossed_is_what_walking_finds() {
    let mut cases = 0;
    for base in [
        0,
        1000,
        (1 << 32) - 20,
        (1 << 63) - 20,
        u64::MAX - 20,
        u64::MAX,
    ] {
        for step in 0..40u64 {
            let new = base.wrapping_add(step);
            for wake in (0..100).map(|i| base.wrapping_add(i).wrapping_sub(30)) {
                assert_eq!(crossed(wake, base, new), walked(wake, base, new));
                cases += 1;
            }
        }
    }
    println!("crossed_is_what_walking_finds: {cases} cases");
}

#[test]
fn crossed_at_the_far_boundaries() {
    // If nothing moved, nothing is crossed, whatever is armed.
    for wake in [0, 7, 8, 9, u64::MAX, 1 << 63] {
        assert!(!crossed(wake, 8, 8));
    }
    // The word was never armed, or was armed long ago.
    assert!(!crossed(0, 8, 16));
    assert!(!crossed(8, 8, 16));
    assert!(crossed(16, 8, 16));
    assert!(!crossed(17, 8, 16));
    // The positions wrap at 64 bits.
    assert!(crossed(0, u64::MAX - 7, 8));
    assert!(crossed(u64::MAX, u64::MAX - 7, 0));
    assert!(!crossed(u64::MAX - 7, u64::MAX - 7, 8));
    assert!(!crossed(16, u64::MAX - 7, 8));
}

#[test]
fn consumer_is_woken_once_for_what_it_armed() {
    for pos in [0, 64, u64::MAX - 31, u64::MAX - 7] {
        let (_, mut producer, mut consumer) = pair_at(common::geometry(64), pos);
        assert!(!producer.must_wake(), "nothing was published");
        assert_eq!(consumer.arm(), Ok(false));
        assert!(!producer.must_wake(), "nothing was published");
        producer.push(b"1").unwrap();
        assert!(!producer.must_wake(), "committed is not published");
        producer.publish();
        assert!(producer.must_wake());
        assert!(!producer.must_wake(), "once");
        producer.push(b"2").unwrap();
        producer.publish();
        assert!(!producer.must_wake(), "nobody armed again");
        assert_eq!(consumer.arm(), Ok(true), "an entry waits already");
    }
}

#[test]
fn batch_is_one_look() {
    let (_, mut producer, mut consumer) = pair(64);
    assert_eq!(consumer.arm(), Ok(false));
    for _ in 0..3 {
        producer.push(b"x").unwrap();
        producer.publish();
    }
    assert!(producer.must_wake(), "the first of the batch crossed it");
    assert!(!producer.must_wake());
}

#[test]
fn crossed_armed_is_must_wake_without_barrier() {
    let (_, mut producer, mut consumer) = pair(64);
    consumer.arm().unwrap();
    producer.push(b"x").unwrap();
    producer.publish();
    assert!(producer.crossed_armed());
    assert!(!producer.crossed_armed());
    assert_eq!(producer.arm_room(64), Ok(false));
    consumer.pop(&mut [0; 8]).unwrap();
    consumer.publish();
    assert!(consumer.crossed_armed());
    assert!(!consumer.crossed_armed());
}

#[test]
fn producer_is_woken_when_the_room_it_asked_for_is_there() {
    for pos in [0, 8, u64::MAX - 7, u64::MAX - 63] {
        let (_, mut producer, mut consumer) = pair_at(common::geometry(64), pos);
        for _ in 0..4 {
            producer.push(b"12345678").unwrap();
        }
        producer.publish();
        assert_eq!(producer.arm_room(40), Ok(false));
        assert!(!consumer.must_wake(), "nothing was released");
        for released in [16, 32, 48] {
            consumer.pop(&mut [0; 8]).unwrap();
            consumer.publish();
            assert_eq!(consumer.must_wake(), released == 48, "{released} bytes");
        }
        assert_eq!(producer.arm_room(40), Ok(true));
    }
}

#[test]
fn arm_room_at_its_boundaries() {
    let (_, mut producer, _consumer) = pair(64);
    assert_eq!(producer.arm_room(0), Ok(true));
    assert_eq!(producer.arm_room(64), Ok(true));
    assert_eq!(producer.arm_room(65), Err(Error::TooLarge { max: 56 }));
    assert_eq!(
        producer.arm_room(u64::MAX),
        Err(Error::TooLarge { max: 56 })
    );
    producer.push(b"").unwrap();
    assert_eq!(producer.arm_room(56), Ok(true));
    assert_eq!(producer.arm_room(57), Ok(false));
}

/// Each way of arming says whether the producer waits for room that the consumer has not published.
#[test]
fn who_arms_learns_that_the_producer_waits() {
    for pos in [0, 8, u64::MAX - 7, u64::MAX - 63] {
        let (mem, mut producer, mut consumer) = pair_at(common::geometry(64), pos);
        mem.set(Which::ProducerWake, pos);
        assert_eq!(consumer.arm_next(), Ok(false));
        assert_eq!(consumer.arm_watermark(24), Ok(false));
        producer.push(b"12345678").unwrap();
        producer.publish();
        assert_eq!(consumer.arm_next(), Ok(true), "an entry has come");
        assert_eq!(consumer.arm_next(), Ok(false), "it is known");
        assert_eq!(consumer.arm_watermark(16), Ok(true));
        assert_eq!(consumer.arm_watermark(17), Ok(false));
        // It waits for 8 to 64 bytes more than were published: for no less and for no more.
        for (ahead, waits) in [(0, false), (8, true), (64, true), (65, false), (72, false)] {
            mem.set(Which::ProducerWake, pos.wrapping_add(ahead));
            assert_eq!(consumer.arm_next(), Ok(waits), "{ahead} bytes");
            assert_eq!(consumer.arm_watermark(17), Ok(waits), "{ahead} bytes");
            assert_eq!(consumer.arm_watermark(16), Ok(true), "{ahead} bytes");
        }
    }
}

/// A consumer that waits for more than the ring holds is woken by a full ring, each time that it is found full.
#[test]
fn full_ring_wakes_whoever_waits_for_more() {
    let (mem, mut producer, mut consumer) = pair(64);
    for _ in 0..3 {
        producer.push(b"12345678").unwrap();
    }
    producer.publish();
    mem.set(Which::ConsumerWake, 64);
    assert_eq!(producer.push(b"123456789"), Err(Error::Full));
    assert!(producer.must_wake_full());
    assert!(
        producer.must_wake_full(),
        "it may have armed the same position again"
    );
    // It is armed again, further on: it wakes once more.
    consumer.pop(&mut [0; 8]).unwrap();
    consumer.publish();
    mem.set(Which::ConsumerWake, 80);
    assert!(producer.must_wake_full());
    assert!(producer.must_wake_full());
    // An armed position that is crossed or lies behind does not wake again.
    mem.set(Which::ConsumerWake, 8);
    assert!(!producer.must_wake_full());
    mem.set(Which::ConsumerWake, producer.published_pos());
    assert!(!producer.must_wake_full());
    mem.set(Which::ConsumerWake, producer.published_pos() + 72);
    assert!(!producer.must_wake_full(), "further than it can ever come");
}

/// A side that takes over cannot know whether its predecessor still woke the sleeper.
#[test]
fn resumed_side_wakes_once_too_often_rather_than_never() {
    let (mem, mut producer, mut consumer) = pair(64);
    assert_eq!(consumer.arm(), Ok(false));
    producer.push(b"12345678").unwrap();
    producer.publish();
    drop(producer);
    // SAFETY: The first producer is gone.
    let resumed = unsafe { iostream_ring::Producer::resume(mem.clone(), common::geometry(64)) };
    let mut producer = resumed.unwrap();
    assert!(
        producer.must_wake(),
        "the consumer sleeps on what was published"
    );
    assert!(!producer.must_wake());
    for _ in 0..3 {
        producer.push(b"12345678").unwrap();
    }
    producer.publish();
    assert_eq!(producer.arm_room(16), Ok(false));
    consumer.pop(&mut [0; 8]).unwrap();
    consumer.publish();
    drop(consumer);
    // SAFETY: The first consumer is gone.
    let resumed = unsafe { iostream_ring::Consumer::resume(mem, common::geometry(64)) };
    let mut consumer = resumed.unwrap();
    assert!(
        consumer.must_wake(),
        "the producer sleeps on what was released"
    );
    assert!(!consumer.must_wake());
}
