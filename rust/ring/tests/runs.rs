// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Many entries in a row (`place` and `drain`) give the same result as one by one.

#![cfg(not(loom))]

mod common;

use common::{geometry, pair, pair_at, Mem, Which};
use iostream_ring::{Consumer, Drained, Error, Memory, Producer};

const SIZE: u64 = 64;

/// Appends entries of these lengths in one run, and returns how many fitted into known room.
fn place_all(producer: &mut Producer<Mem>, lens: &[u32]) -> usize {
    let (mut head, mut made) = (producer.head(), 0);
    for &len in lens {
        // SAFETY: The head came from this producer, which does nothing else meanwhile.
        let Some(offset) = (unsafe { head.place(producer.memory(), len) }) else {
            break;
        };
        let bytes = vec![made as u8; len as usize];
        // SAFETY: `place` made room for as many bytes there.
        unsafe { producer.write(offset, &bytes) };
        made += 1;
    }
    // SAFETY: The head came from this producer, which does nothing else meanwhile.
    unsafe { producer.set_head(head) };
    made
}

/// Drains at most `max` entries; returns them, and what `drain` returns.
fn drain_all(consumer: &mut Consumer<Mem>, max: u64) -> (Vec<Vec<u8>>, Option<Error>) {
    let mut entries = Vec::new();
    let drained = consumer.drain(max, |memory, entry| {
        let mut bytes = vec![0; entry.len()];
        // SAFETY: The entry was checked; the buffer is as long.
        unsafe { memory.read(entry.offset(), bytes.as_mut_ptr(), entry.len()) };
        entries.push(bytes);
        true
    });
    assert_eq!(drained.entries, entries.len() as u64);
    let bytes: usize = entries.iter().map(Vec::len).sum();
    assert_eq!(drained.bytes, bytes as u64);
    (entries, drained.error)
}

#[test]
fn many_laps() {
    let (_, mut producer, mut consumer) = pair_at(geometry(SIZE), 0);
    for round in 0..100 {
        // A run uses only known room.
        producer.reserve(40).unwrap();
        let lens = [round % 4 * 8, 3];
        assert_eq!(place_all(&mut producer, &lens), 2, "in round {round}");
        producer.publish();
        let want = vec![vec![0; lens[0] as usize], vec![1; 3]];
        assert_eq!(
            drain_all(&mut consumer, 9),
            (want, None),
            "in round {round}"
        );
        consumer.publish();
    }
}

#[test]
fn every_length_at_every_position_arrives() {
    for pos in (0..SIZE).step_by(8).chain([0u64.wrapping_sub(24)]) {
        for first in 0..=40 {
            let lens = [first, 3, 0];
            let (mem, mut producer, mut consumer) = pair_at(geometry(SIZE), pos);
            let made = place_all(&mut producer, &lens);
            assert_eq!(mem.get(Which::ProducerPos), pos, "nobody sees it yet");
            assert_eq!(drain_all(&mut consumer, 9), (vec![], None));
            producer.publish();
            let want: Vec<_> = (0..made).map(|i| vec![i as u8; lens[i] as usize]).collect();
            assert_eq!(drain_all(&mut consumer, 9), (want, None));
            consumer.publish();
            assert_eq!(mem.get(Which::ConsumerPos), mem.get(Which::ProducerPos));
        }
    }
}

#[test]
fn a_run_ends_where_the_room_does() {
    let (_mem, mut producer, mut consumer) = pair_at(geometry(SIZE), 0);
    assert_eq!(
        place_all(&mut producer, &[8; 9]),
        4,
        "four times sixteen bytes"
    );
    producer.publish();
    assert_eq!(place_all(&mut producer, &[0]), 0);
    assert_eq!(drain_all(&mut consumer, 3).0.len(), 3);
    consumer.publish();
    assert_eq!(
        place_all(&mut producer, &[0]),
        0,
        "what is not known is no room"
    );
    producer.reserve(0).unwrap();
    assert_eq!(place_all(&mut producer, &[8; 9]), 3);
}

#[test]
fn an_entry_that_never_fits_is_not_placed() {
    let (_mem, mut producer, _consumer) = pair_at(geometry(SIZE), 0);
    assert_eq!(place_all(&mut producer, &[SIZE as u32 - 7]), 0);
    assert_eq!(place_all(&mut producer, &[u32::MAX]), 0);
    assert_eq!(place_all(&mut producer, &[SIZE as u32 - 8]), 1);
}

#[test]
fn a_head_that_is_forgotten_changes_nothing() {
    let (_mem, mut producer, mut consumer) = pair_at(geometry(SIZE), 0);
    let mut head = producer.head();
    // SAFETY: The head came from this producer, which does nothing else meanwhile. It need not be
    // set.
    unsafe { head.place(producer.memory(), 8) }.unwrap();
    producer.publish();
    assert_eq!(drain_all(&mut consumer, 1), (vec![], None));
    producer.push(b"after").unwrap();
    producer.publish();
    assert_eq!(drain_all(&mut consumer, 1).0, [b"after"]);
}

#[test]
fn what_is_lost_is_left_to_commit() {
    let (_mem, mut producer, mut consumer) = pair_at(geometry(SIZE), 0);
    producer.report_lost(3);
    assert_eq!(place_all(&mut producer, &[0]), 0);
    producer.push(b"after").unwrap();
    assert_eq!(place_all(&mut producer, &[0]), 1);
    producer.publish();
    assert_eq!(consumer.peek().unwrap().lost_before(), 3);
}

#[test]
fn an_entry_that_is_not_taken_stays() {
    let (_mem, mut producer, mut consumer) = pair_at(geometry(SIZE), 0);
    assert_eq!(place_all(&mut producer, &[1, 2, 3]), 3);
    producer.publish();
    let mut seen = 0;
    let drained = consumer.drain(9, |_, entry| {
        seen += 1;
        entry.len() != 2
    });
    assert_eq!((drained.entries, drained.bytes, seen), (1, 1, 2));
    assert_eq!(consumer.peek().unwrap().len(), 2);
    assert_eq!(drain_all(&mut consumer, 9).0.len(), 2, "also after a look");
}

#[test]
fn what_comes_during_a_run_is_left_for_the_next() {
    let (_mem, mut producer, mut consumer) = pair_at(geometry(SIZE), 0);
    producer.push_and_publish(&[1; 8]).unwrap();
    let drained = consumer.drain(9, |_, _| producer.push_and_publish(&[2; 8]).is_ok());
    assert_eq!(drained.entries, 1, "it looks once");
    assert_eq!(drain_all(&mut consumer, 9), (vec![vec![2; 8]], None));
    assert_eq!(drain_all(&mut consumer, 9), (vec![], None));
}

#[test]
fn a_bad_header_ends_a_run_after_what_was_good() {
    for word in [u64::MAX, 1 << 31, SIZE, 41] {
        let (mem, mut producer, mut consumer) = pair_at(geometry(SIZE), 0);
        assert_eq!(place_all(&mut producer, &[8, 8]), 2);
        producer.publish();
        mem.data(16).store_relaxed(word);
        let (entries, error) = drain_all(&mut consumer, 9);
        assert_eq!((entries.len(), error), (1, Some(Error::Corrupt)), "{word}");
        let (entries, error) = drain_all(&mut consumer, 9);
        assert_eq!((entries.len(), error), (0, Some(Error::Corrupt)));
        assert_eq!(consumer.corrupt_events(), 1, "the same again");
    }
}

#[test]
fn a_bad_position_ends_a_run() {
    let (mem, mut producer, mut consumer) = pair_at(geometry(SIZE), 0);
    assert_eq!(place_all(&mut producer, &[8]), 1);
    producer.publish();
    mem.set(Which::ProducerPos, SIZE + 8);
    assert_eq!(drain_all(&mut consumer, 9), (vec![], Some(Error::Corrupt)));
    mem.set(Which::ProducerPos, 16);
    assert_eq!(drain_all(&mut consumer, 9).0.len(), 1);
}

#[test]
fn what_a_run_appended_is_published_afterwards() {
    let (mem, mut producer, _) = pair_at(geometry(SIZE), 8);
    assert_eq!(place_all(&mut producer, &[8, 8]), 2);
    assert_eq!(
        (producer.committed_pos(), producer.published_pos()),
        (40, 8)
    );
    producer.publish();
    assert_eq!(producer.published_pos(), 40);

    // Published at once.
    let mut head = producer.head();
    // SAFETY: The head came from this producer, which does nothing else meanwhile.
    unsafe {
        head.place(producer.memory(), 8).unwrap();
        producer.publish_head(head);
    }
    assert_eq!(
        (producer.committed_pos(), producer.published_pos()),
        (56, 56)
    );
    assert_eq!(mem.get(Which::ProducerPos), 56);
    // And into the next lap.
    assert_eq!(place_all(&mut producer, &[8]), 1);
    assert_eq!(
        (producer.committed_pos(), producer.published_pos()),
        (72, 56)
    );
}

#[test]
fn what_a_run_took_is_published_afterwards() {
    let (mem, mut producer, mut consumer) = pair_at(geometry(SIZE), 8);
    assert_eq!(place_all(&mut producer, &[8, 8]), 2);
    producer.publish();
    assert_eq!(drain_all(&mut consumer, 9).0.len(), 2);
    assert_eq!((consumer.released_pos(), consumer.published_pos()), (40, 8));
    consumer.publish();
    assert_eq!(consumer.published_pos(), 40);
    assert_eq!(mem.get(Which::ConsumerPos), 40);
}

/// What was peeked at before is forgotten once a run has taken it, and only then.
#[test]
fn run_takes_what_was_peeked_at() {
    let (_, mut producer, mut consumer) = pair(64);
    producer.push(b"first").unwrap();
    producer.push(b"second").unwrap();
    producer.publish();
    assert_eq!(consumer.peek().unwrap().len(), 5);
    assert_eq!(consumer.drain(1, |_, _| false).entries, 0);
    assert_eq!(consumer.peek().unwrap().len(), 5);
    assert_eq!(consumer.drain(1, |_, _| true).entries, 1);
    assert_eq!(consumer.peek().unwrap().len(), 6);
}

/// A run of no entries does not even look at the producer's position.
#[test]
fn run_of_none_loads_nothing() {
    let (mem, _producer, mut consumer) = pair(64);
    mem.set(Which::ProducerPos, 4);
    assert_eq!(consumer.drain(0, |_, _| true), Drained::default());
    assert_eq!(consumer.corrupt_events(), 0);
    let drained = consumer.drain(1, |_, _| true);
    assert_eq!((drained.entries, consumer.corrupt_events()), (0, 1));
    assert!(drained.error.is_some());
}
