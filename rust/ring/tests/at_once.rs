// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! One call that appends and publishes, or takes and releases, does the same as two calls.

#![cfg(not(loom))]

mod common;

use common::{geometry, pair_of, Pair, Which};
use iostream_ring::{Error, Framed, Layout, Slots};

const SIZE: u64 = 64;

/// Both sides of an empty ring at position `pos`.
fn pair_at<L: Layout>(pos: u64) -> Pair<L> {
    pair_of(geometry(SIZE), pos)
}

/// Positions to start at: each offset, and around the end of 64 bits.
fn starts() -> impl Iterator<Item = u64> {
    let last = (1..=9).map(|i| 0_u64.wrapping_sub(8 * i));
    (0..SIZE).step_by(8).chain(last)
}

/// The observable state of both ends and the shared words.
fn state<L: Layout>((mem, producer, consumer): &Pair<L>) -> [u64; 6] {
    [
        mem.get(Which::ProducerPos),
        mem.get(Which::ConsumerPos),
        producer.committed_pos(),
        producer.published_pos(),
        consumer.released_pos(),
        consumer.published_pos(),
    ]
}

/// Runs the same history twice: with one call, and with two calls in its place.
fn both_ways<L: Layout>() {
    for start in starts().filter(|start| start % L::ALIGN == 0) {
        for history in 0..1 << 12 {
            let (mut one, mut two) = (pair_at::<L>(start), pair_at::<L>(start));
            let mut number = 0_u64;
            for step in 0..6 {
                number += 1;
                let bytes = number.to_ne_bytes();
                match (history >> (2 * step)) & 3 {
                    0 => {
                        let pushed = two.1.push(&bytes);
                        if pushed.is_ok() {
                            two.1.publish();
                        }
                        assert_eq!(one.1.push_and_publish(&bytes), pushed);
                    }
                    1 => {
                        let popped: Result<[u8; 8], Error> = two.2.pop_array();
                        if popped.is_ok() {
                            two.2.publish();
                        }
                        assert_eq!(one.2.pop_array_and_publish(), popped);
                    }
                    2 => {
                        assert_eq!(one.2.peek_array::<8>(), two.2.peek_array::<8>());
                        let released = two.2.release();
                        two.2.publish();
                        assert_eq!(one.2.release_and_publish(), released);
                    }
                    // An entry that is published together with the next one.
                    _ => {
                        assert_eq!(one.1.push(&bytes), two.1.push(&bytes));
                        assert_eq!(one.2.pop_array::<8>(), two.2.pop_array::<8>());
                    }
                }
                assert_eq!(state(&one), state(&two), "{start} {history:o} {step}");
            }
            assert_eq!(one.1.must_wake(), two.1.must_wake());
            assert_eq!(one.2.must_wake(), two.2.must_wake());
        }
    }
}

#[test]
fn with_headers() {
    both_ways::<Framed>();
}

#[test]
fn without_headers() {
    both_ways::<Slots<8>>();
}

#[test]
fn many_laps() {
    for start in starts() {
        let (_, mut producer, mut consumer) = pair_at::<Framed>(start);
        for number in 0..100_u64 {
            producer.push_and_publish(&number.to_ne_bytes()).unwrap();
            producer.push_and_publish(&[number as u8; 3]).unwrap();
            assert_eq!(consumer.pop_array_and_publish(), Ok(number.to_ne_bytes()));
            assert_eq!(consumer.peek_array(), Ok([number as u8; 3]));
            assert!(consumer.release_and_publish());
        }
        assert_eq!(consumer.corrupt_events() + producer.corrupt_events(), 0);
    }
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let (mem, mut producer, _) = pair_at::<Framed>(0);
    assert!(matches!(
        producer.push_and_publish(&[0; 65]),
        Err(Error::TooLarge { .. })
    ));
    producer.push_and_publish(&[1; 40]).unwrap();
    assert_eq!(producer.push_and_publish(&[2; 16]), Err(Error::Full));
    assert_eq!(mem.get(Which::ProducerPos), 48);
    assert_eq!(producer.committed_pos(), 48);
}
