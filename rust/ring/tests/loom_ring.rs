// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Models of publishing, consuming and reuse: no race on the data, and each entry whole and in
//! order.

#![cfg(loom)]

mod loom_common;

use iostream_ring::sync::Weak;
use iostream_ring::Error;
use loom::thread;
use loom_common::{model, pair, Which};

/// Passes entries 1 to `count`, of two words each with the header, through a ring of `words` words.
fn pass(words: usize, count: u64, batch: u64, weak: Option<(Which, Weak)>) {
    model(4, move || {
        let (mut producer, mut consumer) = pair(words, weak);
        let other = thread::spawn(move || {
            for i in 1..=count {
                while let Err(error) = producer.push(&i.to_ne_bytes()) {
                    assert_eq!(error, Error::Full);
                    thread::yield_now();
                }
                if i % batch == 0 || i == count {
                    producer.publish();
                }
            }
            assert_eq!(producer.corrupt_events(), 0);
        });
        let mut buffer = [0; 8];
        for i in 1..=count {
            while let Err(error) = consumer.pop(&mut buffer) {
                assert_eq!(error, Error::Empty);
                thread::yield_now();
            }
            assert_eq!(u64::from_ne_bytes(buffer), i);
            consumer.publish();
        }
        assert_eq!(consumer.corrupt_events(), 0);
        other.join().unwrap();
    });
}

/// Like [`pass`], with one call that appends and publishes, and one that takes and releases: by
/// copy, or `in_place`.
fn pass_at_once(words: usize, count: u64, in_place: bool) {
    model(4, move || {
        let (mut producer, mut consumer) = pair(words, None);
        let other = thread::spawn(move || {
            for i in 1..=count {
                while let Err(error) = producer.push_and_publish(&i.to_ne_bytes()) {
                    assert_eq!(error, Error::Full);
                    thread::yield_now();
                }
            }
            assert_eq!(producer.corrupt_events(), 0);
        });
        for i in 1..=count {
            let array = loop {
                let found = match in_place {
                    true => consumer.peek_array(),
                    false => consumer.pop_array_and_publish(),
                };
                match found {
                    Ok(array) => break array,
                    Err(error) => assert_eq!(error, Error::Empty),
                }
                thread::yield_now();
            };
            if in_place {
                assert!(consumer.release_and_publish());
            }
            assert_eq!(u64::from_ne_bytes(array), i);
        }
        assert_eq!(consumer.corrupt_events(), 0);
        other.join().unwrap();
    });
}

#[test]
fn at_once_entries_arrive_whole_and_in_order() {
    pass_at_once(6, 3, false);
}

#[test]
fn at_once_a_slot_is_reused_only_when_free() {
    pass_at_once(2, 3, false);
    pass_at_once(2, 3, true);
}

#[test]
fn entries_arrive_whole_and_in_order() {
    pass(6, 3, 1, None);
}

#[test]
fn batches_arrive_whole_and_in_order() {
    pass(4, 2, 2, None);
}

#[test]
fn a_slot_is_reused_only_when_free() {
    pass(2, 3, 1, None);
}

/// The producer fetches the lines of one slot (here each word) while the other slot waits.
#[test]
fn only_free_lines_are_fetched() {
    pass(4, 3, 1, None);
}

#[test]
fn wrapping_entries_arrive_whole() {
    pass(3, 3, 1, None);
}

/// Control: a position without release shows an entry that is not complete.
#[test]
#[should_panic(expected = "Causality violation")]
fn control_producer_position_without_release() {
    pass(6, 2, 1, Some((Which::ProducerPos, Weak::Release)));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn control_producer_position_without_acquire() {
    pass(6, 2, 1, Some((Which::ProducerPos, Weak::Acquire)));
}

/// Control: a slot is written while the consumer still reads it.
#[test]
#[should_panic(expected = "Causality violation")]
fn control_consumer_position_without_release() {
    pass(2, 2, 1, Some((Which::ConsumerPos, Weak::Release)));
}

#[test]
#[should_panic(expected = "Causality violation")]
fn control_consumer_position_without_acquire() {
    pass(2, 2, 1, Some((Which::ConsumerPos, Weak::Acquire)));
}
