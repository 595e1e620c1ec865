// SPDX-License-Identifier: MIT OR Apache-2.0

use std::time::Duration;

use super::{drain, small};
use crate::{occupied_bytes, Error, Wake};

#[test]
fn a_copy_and_a_reservation_arrive_in_order() {
    let (_loopback, mut producer, mut consumer) = small();
    producer.enqueue(b"one").unwrap();
    let mut entry = producer.reserve(5).unwrap();
    entry.copy_from_slice(b"three");
    entry.commit_len(4).unwrap();
    producer.enqueue(b"").unwrap();
    assert_eq!(drain(&mut consumer), [&b"one"[..], b"thre", b""]);
}

#[test]
#[expect(
    clippy::forget_non_drop,
    reason = "that there is nothing to drop is what makes it harmless"
)]
fn a_reservation_dropped_discarded_or_leaked_changes_nothing() {
    let (_loopback, mut producer, mut consumer) = small();
    let room = producer.room_bytes().unwrap();
    producer.reserve(10).unwrap()[0] = 1;
    producer.reserve(10).unwrap().discard();
    std::mem::forget(producer.reserve(10).unwrap());
    assert_eq!(producer.room_bytes().unwrap(), room);
    assert!(drain(&mut consumer).is_empty());
    producer.enqueue(b"after").unwrap();
    assert_eq!(drain(&mut consumer), [b"after"]);
}

#[test]
fn more_than_was_reserved_cannot_be_committed() {
    let (_loopback, mut producer, mut consumer) = small();
    let entry = producer.reserve(8).unwrap();
    assert!(matches!(
        entry.commit_len(9),
        Err(Error::InvalidArgument(_))
    ));
    assert!(drain(&mut consumer).is_empty());
}

#[test]
fn too_large_is_told_from_full() {
    let (_loopback, mut producer, _consumer) = small();
    let max = producer.max_entry_bytes();
    assert_eq!(
        producer.enqueue(&vec![0; max + 1]),
        Err(Error::TooLarge { max })
    );
    assert_eq!(
        producer.reserve(usize::MAX).unwrap_err(),
        Error::TooLarge { max }
    );
    producer.enqueue(&vec![0; max]).unwrap();
    assert_eq!(producer.enqueue(b""), Err(Error::Full));
    assert_eq!(producer.can_enqueue(0, 1), Ok(false));
}

#[test]
fn can_enqueue_counts_the_overhead() {
    let (_loopback, mut producer, _consumer) = small();
    let fits = producer.capacity_bytes() / occupied_bytes(24);
    assert_eq!(producer.can_enqueue(24, fits), Ok(true));
    assert_eq!(producer.can_enqueue(24, fits + 1), Ok(false));
    assert_eq!(producer.can_enqueue(usize::MAX, 1), Ok(false));
}

#[test]
fn a_batch_is_shown_and_notified_once() {
    let (loopback, mut producer, mut consumer) = small();
    assert!(!consumer.arm().unwrap());
    let mut batch = producer.batch();
    batch.enqueue(b"1").unwrap();
    let mut entry = batch.reserve(1).unwrap();
    entry[0] = b'2';
    entry.commit().unwrap();
    assert!(!consumer.is_ready().unwrap());
    batch.finish().unwrap();
    assert_eq!(loopback.notified(), (1, 0));
    assert_eq!(drain(&mut consumer), [b"1", b"2"]);
}

#[test]
fn a_dropped_batch_is_shown_and_a_leaked_one_with_the_next_entry() {
    let (_loopback, mut producer, mut consumer) = small();
    producer.batch().enqueue(b"1").unwrap();
    assert_eq!(drain(&mut consumer), [b"1"]);
    let mut batch = producer.batch();
    batch.enqueue(b"2").unwrap();
    std::mem::forget(batch);
    assert!(!consumer.is_ready().unwrap());
    producer.enqueue(b"3").unwrap();
    assert_eq!(drain(&mut consumer), [b"2", b"3"]);
}

#[test]
fn a_full_queue_shows_a_batch_and_wakes_whatever_the_flag_says() {
    let (loopback, mut producer, mut consumer) = small();
    assert!(!consumer.arm().unwrap());
    let mut batch = producer.batch();
    while batch.enqueue(&[0; 1000]).is_ok() {}
    assert_eq!(loopback.notified(), (1, 0));
    assert!(consumer.is_ready().unwrap());
    drop(batch);
    drain(&mut consumer);
    assert!(!consumer.arm().unwrap());
    while producer.enqueue_with(&[0; 1000], Wake::Suppress).is_ok() {}
    assert_eq!(loopback.notified(), (2, 0));
}

#[test]
fn flags_suppress_and_force_a_notification() {
    let (loopback, mut producer, mut consumer) = small();
    assert!(!consumer.arm().unwrap());
    producer.enqueue_with(b"1", Wake::Suppress).unwrap();
    assert_eq!(loopback.notified(), (0, 0));
    assert!(consumer.is_ready().unwrap());
    // The next that is not suppressed wakes for both.
    producer.enqueue(b"2").unwrap();
    assert_eq!(loopback.notified(), (1, 0));
    producer.enqueue_with(b"3", Wake::Force).unwrap();
    assert_eq!(loopback.notified(), (2, 0));
}

#[test]
fn busy_sides_make_no_system_call() {
    let (loopback, mut producer, mut consumer) = small();
    let before = loopback.calls();
    for i in 0..10_000_u32 {
        producer.enqueue(&i.to_ne_bytes()).unwrap();
        let entry = consumer.dequeue().unwrap();
        assert_eq!(*entry, i.to_ne_bytes());
    }
    assert_eq!(loopback.calls(), before);
}

#[test]
fn a_wait_for_room_ends_by_time_or_by_room() {
    let (_loopback, mut producer, mut consumer) = small();
    let half = producer.max_entry_bytes() / 2;
    while producer.enqueue(&vec![0; half]).is_ok() {}
    let timeout = Some(Duration::from_millis(5));
    assert_eq!(
        producer.enqueue_wait(&vec![0; half], timeout),
        Err(Error::TimedOut)
    );
    assert_eq!(
        producer.wait_room(half as u64, timeout),
        Err(Error::TimedOut)
    );
    let max = producer.max_entry_bytes();
    let beyond = producer.capacity_bytes() + 1;
    assert_eq!(
        producer.wait_room(beyond, timeout),
        Err(Error::TooLarge { max })
    );
    std::thread::scope(|scope| {
        scope.spawn(|| drop(consumer.dequeue().unwrap()));
        producer.enqueue_wait(&vec![1; half], None).unwrap();
    });
}

#[test]
fn entries_made_in_place_are_shown_at_once_and_as_many_as_fit() {
    let (_loopback, mut producer, mut consumer) = small();
    let mut number = 0u8;
    let made = producer.enqueue_in_place(3, 2, |entry| {
        number += 1;
        entry.copy_from_slice(&[number, 1]);
    });
    assert_eq!(made, Ok(3));
    assert_eq!(drain(&mut consumer), [[1, 1], [2, 1], [3, 1]]);
    let fit = producer.capacity_bytes() / 512;
    assert_eq!(producer.enqueue_in_place(u64::MAX, 504, |_| {}), Ok(fit));
    assert_eq!(producer.enqueue_in_place(1, 504, |_| {}), Err(Error::Full));
    let max = producer.max_entry_bytes();
    let too_large = producer.enqueue_in_place(1, max + 1, |_| {});
    assert!(matches!(too_large, Err(Error::TooLarge { .. })));
    assert_eq!(drain(&mut consumer).len() as u64, fit);
}

#[test]
fn what_a_panic_left_in_the_middle_is_not_appended() {
    let (_loopback, mut producer, mut consumer) = small();
    let mut calls = 0;
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = producer.enqueue_in_place(3, 8, |_| {
            calls += 1;
            assert!(calls < 3, "the third");
        });
    }));
    assert!(panicked.is_err());
    producer.enqueue(b"after").unwrap();
    assert_eq!(drain(&mut consumer), [b"after"]);
}
