// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! A ring that loses its oldest entries.

#![cfg(not(loom))]

mod common;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use common::hooked::Hooked;
use common::{geometry, Mem, Random, Which};
use iostream_ring::{occupied_bytes, Error, OverwriteReader, Producer};

fn pair(size: u64) -> (Mem, Producer<Mem>, OverwriteReader<Mem>) {
    let mem = Mem::new(size);
    // SAFETY: The only producer, on zeroed memory of the right size.
    let producer = unsafe { Producer::new(mem.clone(), geometry(size), true) };
    // SAFETY: The only reader.
    let reader = unsafe { OverwriteReader::new(mem.clone(), geometry(size)) };
    (mem, producer, reader)
}

/// A reader whose producer overwrites everything whenever a header was loaded gives up after a
/// while, and loses no gap by that.
#[test]
fn overtaken_reader_returns() {
    for times in [1, 10, 1000, u32::MAX] {
        let (mem, mut producer, _) = pair(64);
        put(&mut producer, &[7; 56]);
        let (producer, left) = (RefCell::new(producer), Cell::new(times));
        let then = |_: &Mem, _| {
            if left.get() > 0 {
                left.set(left.get() - 1);
                put(&mut producer.borrow_mut(), &[7; 56]);
            }
        };
        // SAFETY: The only reader: `pair`'s is gone.
        let mut reader = unsafe { OverwriteReader::new(Hooked { mem, then }, geometry(64)) };
        let mut buffer = [0; 64];
        let mut found = reader.read(&mut buffer);
        if times > 100 {
            assert_eq!(found, Err(Error::Empty), "{times}");
            assert_eq!(reader.arm(), Ok(true), "nobody may sleep");
            let before = u64::from(times - left.take());
            found = reader.read(&mut buffer);
            assert_eq!(found.unwrap().gap.bytes, before * 64);
        } else {
            assert_eq!(found.unwrap().gap.bytes, u64::from(times) * 64);
        }
        assert_eq!(found.unwrap().len, 56);
    }
}

fn put(producer: &mut Producer<Mem>, bytes: &[u8]) {
    producer.push(bytes).unwrap();
    producer.publish();
}

#[test]
fn never_full_and_the_oldest_go() {
    let (_, mut producer, mut reader) = pair(64);
    let mut buffer = [0; 64];
    for i in 0..10u8 {
        put(&mut producer, &[i; 8]);
    }
    assert_eq!(producer.take_overwritten(), 6);
    assert_eq!(producer.take_overwritten(), 0);
    assert_eq!(reader.available(), Ok(64));
    for i in 6..10u8 {
        let read = reader.read(&mut buffer).unwrap();
        assert_eq!((read.len, &buffer[..8]), (8, &[i; 8][..]));
        assert_eq!(read.gap.bytes, if i == 6 { 6 * 16 } else { 0 });
    }
    assert_eq!(reader.read(&mut buffer), Err(Error::Empty));
    assert_eq!(producer.high_water_bytes(), 64);
}

#[test]
fn largest_entry_leaves_nothing_else() {
    let (_, mut producer, mut reader) = pair(64);
    put(&mut producer, b"old");
    put(&mut producer, &[9; 56]);
    let mut buffer = [0; 64];
    let read = reader.read(&mut buffer).unwrap();
    assert_eq!((read.len, read.gap.bytes), (56, 16));
    assert_eq!(producer.push(&[0; 57]), Err(Error::TooLarge { max: 56 }));
}

#[test]
fn batch_larger_than_the_ring_is_given_up_in_order() {
    let (mem, mut producer, mut reader) = pair(64);
    for i in 0..9u8 {
        producer.push(&[i; 8]).unwrap();
        let (oldest, head) = (mem.get(Which::OldestPos), mem.get(Which::ProducerPos));
        assert!(oldest <= head, "what was never shown is not given up");
    }
    producer.publish();
    let mut buffer = [0; 64];
    for i in 5..9u8 {
        reader.read(&mut buffer).unwrap();
        assert_eq!(buffer[0], i);
    }
    assert_eq!(producer.take_overwritten(), 5);
}

/// If one of its own headers is damaged, the producer gives up all entries and goes on.
#[test]
fn damaged_header_of_its_own() {
    for len in [57, 64, 1000, u32::MAX] {
        let (mem, mut producer, mut reader) = pair(64);
        for i in 0..4u8 {
            put(&mut producer, &[i; 8]);
        }
        mem.data(0).store_relaxed(u64::from(len));
        put(&mut producer, &[9; 8]);
        let mut buffer = [0; 64];
        let read = reader.read(&mut buffer).unwrap();
        assert_eq!((buffer[0], read.gap.bytes), (9, 64));
        assert_eq!(reader.read(&mut buffer), Err(Error::Empty));
    }
}

#[test]
fn too_small_keeps_the_entry_and_the_gap() {
    let (_, mut producer, mut reader) = pair(64);
    for i in 0..5u8 {
        put(&mut producer, &[i; 8]);
    }
    assert_eq!(reader.read(&mut [0; 7]), Err(Error::TooSmall { needed: 8 }));
    let read = reader.read(&mut [0; 8]).unwrap();
    assert_eq!((read.len, read.gap.bytes), (8, 16));
}

#[test]
fn reported_loss_is_told_beside_the_gap() {
    let (_, mut producer, mut reader) = pair(64);
    producer.report_lost(3);
    put(&mut producer, b"x");
    let read = reader.read(&mut [0; 8]).unwrap();
    assert_eq!((read.lost_before, read.gap.bytes), (3, 0));
}

#[test]
fn arming_and_waking() {
    let (mem, mut producer, mut reader) = pair(64);
    assert_eq!(reader.arm(), Ok(false));
    assert_eq!(mem.get(Which::ConsumerWake), 8);
    put(&mut producer, b"x");
    assert!(producer.must_wake());
    assert!(!producer.must_wake());
    assert_eq!(reader.arm(), Ok(true));
    // The producer asks for room like any other, and always gets it.
    assert_eq!(producer.can_push(56, 1), Ok(true));
    assert_eq!(producer.can_push(0, 9), Ok(false));
}

#[test]
fn second_reader_goes_on_where_the_first_stopped() {
    let (mem, mut producer, mut reader) = pair(64);
    put(&mut producer, b"a");
    put(&mut producer, b"b");
    let mut buffer = [0; 8];
    reader.read(&mut buffer).unwrap();
    drop(reader);
    // SAFETY: The first reader is gone.
    let mut reader = unsafe { OverwriteReader::new(mem, geometry(64)) };
    assert_eq!(reader.pos(), 16);
    assert_eq!(reader.read(&mut buffer).unwrap().len, 1);
    assert_eq!(buffer[0], b'b');
    assert_eq!(reader.pos(), 32);
}

/// Compares random histories with a queue that drops its front.
#[test]
fn random_histories_against_a_model() {
    let mut random = Random::seeded("overwrite");
    let mut cases = 0u64;
    for size in (8..=128).step_by(8) {
        let (_, mut producer, mut reader) = pair(size);
        // The entries in the ring, each with its position; the position of the reader.
        let mut window: VecDeque<(u64, Vec<u8>)> = VecDeque::new();
        let (mut head, mut at) = (0, 0);
        for step in 0..20_000u64 {
            if random.below(2) > 0 {
                let len = random.below(size - 7) as usize;
                let bytes: Vec<u8> = (0..len).map(|i| (step + i as u64) as u8).collect();
                put(&mut producer, &bytes);
                window.push_back((head, bytes));
                head += occupied_bytes(len as u32);
                let before = window.len() as u64;
                while head - window[0].0 > size {
                    window.pop_front();
                }
                assert_eq!(producer.take_overwritten(), before - window.len() as u64);
            } else {
                let mut buffer = [0; 128];
                let next = window.iter().find(|(pos, _)| *pos >= at);
                match (reader.read(&mut buffer), next) {
                    (Ok(read), Some((pos, bytes))) => {
                        assert_eq!(&buffer[..read.len], bytes);
                        assert_eq!(read.gap.bytes, pos - at);
                        at = pos + occupied_bytes(read.len as u32);
                    }
                    (Err(Error::Empty), None) => {}
                    (got, expected) => panic!("{got:?} for {expected:?}"),
                }
            }
            cases += 1;
        }
    }
    println!("random_histories_against_a_model: {cases} steps");
}
