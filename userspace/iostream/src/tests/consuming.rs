// SPDX-License-Identifier: MIT OR Apache-2.0

use std::time::Duration;

use super::{drain, small};
use crate::Error;

#[test]
#[expect(
    clippy::forget_non_drop,
    reason = "that there is nothing to drop is what makes it harmless"
)]
fn a_peeked_entry_stays_until_it_is_released() {
    let (_loopback, mut producer, mut consumer) = small();
    producer.enqueue(b"one").unwrap();
    producer.enqueue(b"two").unwrap();
    assert_eq!(&*consumer.peek().unwrap(), b"one");
    std::mem::forget(consumer.peek().unwrap());
    let entry = consumer.peek().unwrap();
    assert_eq!((&*entry, entry.lost_before()), (&b"one"[..], 0));
    entry.release().unwrap();
    assert_eq!(&*consumer.peek().unwrap(), b"two");
}

#[test]
fn a_received_entry_goes_when_dropped_and_stays_when_leaked() {
    let (_loopback, mut producer, mut consumer) = small();
    producer.enqueue(b"one").unwrap();
    std::mem::forget(consumer.dequeue().unwrap());
    assert_eq!(&*consumer.dequeue().unwrap(), b"one");
    assert_eq!(consumer.dequeue().unwrap_err(), Error::Empty);
}

#[test]
fn too_small_a_buffer_keeps_the_entry() {
    let (_loopback, mut producer, mut consumer) = small();
    producer.enqueue(b"entry").unwrap();
    let mut buffer = [0; 8];
    assert_eq!(
        consumer.dequeue_into(&mut buffer[..4]),
        Err(Error::TooSmall { needed: 5 })
    );
    assert_eq!(consumer.dequeue_into(&mut buffer), Ok(5));
    assert_eq!(&buffer[..5], b"entry");
    assert_eq!(consumer.dequeue_into(&mut buffer), Err(Error::Empty));
}

#[test]
fn what_waits_is_told_in_bytes() {
    let (_loopback, mut producer, mut consumer) = small();
    assert_eq!(consumer.available_bytes(), Ok(0));
    producer.enqueue(b"123456789").unwrap();
    assert_eq!(consumer.available_bytes(), Ok(24));
}

#[test]
fn a_batch_gives_room_back_once_and_when_it_finds_the_queue_empty() {
    let (loopback, mut producer, mut consumer) = small();
    while producer.enqueue(&[7; 504]).is_ok() {}
    assert!(!producer.arm_room(1024).unwrap());
    let mut batch = consumer.batch();
    for _ in 0..3 {
        assert_eq!(*batch.dequeue().unwrap(), [7; 504]);
    }
    assert_eq!(producer.room_bytes(), Ok(0));
    batch.finish().unwrap();
    assert_eq!(producer.room_bytes(), Ok(3 * 512));
    assert_eq!(loopback.notified(), (0, 1));

    let mut batch = consumer.batch();
    batch.peek().unwrap().release().unwrap();
    while batch.next().unwrap().is_some() {}
    assert_eq!(producer.room_bytes(), Ok(producer.capacity_bytes()));
}

#[test]
fn a_leaked_batch_is_told_of_with_the_next_entry() {
    let (_loopback, mut producer, mut consumer) = small();
    producer.enqueue(&[0; 8]).unwrap();
    producer.enqueue(&[0; 8]).unwrap();
    let mut batch = consumer.batch();
    drop(batch.dequeue().unwrap());
    std::mem::forget(batch);
    assert_eq!(producer.room_bytes(), Ok(producer.capacity_bytes() - 32));
    drop(consumer.dequeue().unwrap());
    assert_eq!(producer.room_bytes(), Ok(producer.capacity_bytes()));
}

#[test]
fn a_wait_ends_by_time_or_by_an_entry() {
    let (_loopback, mut producer, mut consumer) = small();
    let timeout = Some(Duration::from_millis(5));
    assert_eq!(consumer.wait(timeout), Err(Error::TimedOut));
    assert_eq!(consumer.wait(Some(Duration::ZERO)), Err(Error::TimedOut));
    assert_eq!(consumer.dequeue_wait(timeout).unwrap_err(), Error::TimedOut);
    std::thread::scope(|scope| {
        scope.spawn(|| producer.enqueue(b"late").unwrap());
        assert_eq!(&*consumer.dequeue_wait(None).unwrap(), b"late");
    });
}

#[test]
fn two_threads_move_entries_of_many_sizes() {
    let (_loopback, mut producer, mut consumer) = small();
    let bytes: Vec<u8> = (0..4000).map(|i| i as u8).collect();
    let bytes = &bytes;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for len in (0..bytes.len()).step_by(7) {
                producer.enqueue_wait(&bytes[..len], None).unwrap();
            }
        });
        for len in (0..bytes.len()).step_by(7) {
            assert_eq!(&*consumer.dequeue_wait(None).unwrap(), &bytes[..len]);
        }
    });
    assert!(drain(&mut consumer).is_empty());
}

#[test]
fn a_drain_takes_entries_in_order_and_gives_room_back_once() {
    let (loopback, mut producer, mut consumer) = small();
    while producer.enqueue(&[7; 504]).is_ok() {}
    assert!(!producer.arm_room(1024).unwrap());
    let mut taken = 0;
    let before = loopback.notified().1;
    let entries = consumer.drain(u64::MAX, |entry| {
        assert_eq!(entry, [7; 504]);
        taken += 1;
        true
    });
    assert_eq!(entries, Ok(taken));
    assert_eq!(loopback.notified().1, before + 1);
    assert_eq!(consumer.drain(1, |_| true), Ok(0));
    producer.enqueue(b"one").unwrap();
    producer.enqueue(b"two").unwrap();
    assert_eq!(consumer.drain(9, |entry| entry == b"one"), Ok(1));
    assert_eq!(&*consumer.dequeue().unwrap(), b"two");
}

#[test]
fn a_drain_says_that_the_driver_is_gone_after_what_it_left() {
    let (loopback, mut producer, mut consumer) = small();
    producer.enqueue(b"last").unwrap();
    loopback.go();
    assert_eq!(consumer.drain(9, |_| true), Ok(1));
    assert_eq!(consumer.drain(9, |_| true), Err(Error::Gone));
}

#[test]
fn a_drain_after_a_reset_is_stale() {
    let (loopback, mut producer, mut consumer) = small();
    producer.enqueue(b"before").unwrap();
    loopback.reset();
    assert_eq!(consumer.drain(9, |_| true), Err(Error::Stale));
}
