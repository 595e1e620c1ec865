// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Two real threads on one ring: they check sequence and checksum of each entry, and sleep by the
//! rule.

#![cfg(not(loom))]

mod common;

use std::thread::{self, Thread};

use common::{geometry, pair_at, Mem, Random};
use iostream_ring::{occupied_bytes, Consumer, Error, OverwriteReader, Producer};

fn entries(full: u64) -> u64 {
    if std::env::var_os("LONG").is_some() {
        full
    } else {
        full / 10
    }
}

/// An entry of `len` bytes, at least 16: its sequence, a checksum, and bytes made from both.
fn fill(buffer: &mut [u8], sequence: u64) {
    for (i, byte) in buffer[16..].iter_mut().enumerate() {
        *byte = (sequence as u8).wrapping_mul(13).wrapping_add(i as u8);
    }
    let check = checksum(sequence, &buffer[16..]);
    buffer[..8].copy_from_slice(&sequence.to_ne_bytes());
    buffer[8..16].copy_from_slice(&check.to_ne_bytes());
}

fn checksum(sequence: u64, bytes: &[u8]) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ sequence;
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    bytes.iter().fold(start ^ bytes.len() as u64, step)
}

/// The sequence number of an entry that is whole.
fn sequence(entry: &[u8]) -> u64 {
    let sequence = u64::from_ne_bytes(entry[..8].try_into().unwrap());
    let check = u64::from_ne_bytes(entry[8..16].try_into().unwrap());
    assert_eq!(
        check,
        checksum(sequence, &entry[16..]),
        "torn entry {sequence}"
    );
    sequence
}

/// Produces `count` entries; sleeps by the rule when the ring is full.
fn produce(mut producer: Producer<Mem>, count: u64, consumer: &Thread, mut random: Random) -> u64 {
    let max = u64::from(producer.geometry().max_entry_bytes());
    let mut buffer = vec![0; max as usize];
    let mut sleeps = 0;
    for i in 0..count {
        let len = (16 + random.below(max - 15)) as usize;
        fill(&mut buffer[..len], i);
        while let Err(error) = producer.push(&buffer[..len]) {
            assert_eq!(error, Error::Full);
            producer.publish();
            if producer.must_wake_full() {
                consumer.unpark();
            }
            if !producer.arm_room(occupied_bytes(len as u32)).unwrap() {
                sleeps += 1;
                thread::park();
            }
        }
        // Some entries come in batches, some on their own.
        if random.below(4) > 0 || i + 1 == count {
            producer.publish();
            if producer.must_wake() {
                consumer.unpark();
            }
        }
    }
    sleeps
}

/// Consumes `count` entries; sleeps by the rule when the ring is empty.
fn consume(mut consumer: Consumer<Mem>, count: u64, producer: &Thread) -> u64 {
    let mut buffer = vec![0; consumer.geometry().max_entry_bytes() as usize];
    let mut sleeps = 0;
    for i in 0..count {
        let entry = loop {
            match consumer.pop(&mut buffer) {
                Ok(entry) => break entry,
                Err(error) => assert_eq!(error, Error::Empty),
            }
            consumer.publish();
            if consumer.must_wake() {
                producer.unpark();
            }
            if !consumer.arm().unwrap() {
                sleeps += 1;
                thread::park();
            }
        };
        assert_eq!(sequence(&buffer[..entry.len()]), i);
        if i % 3 == 0 || i + 1 == count {
            consumer.publish();
            if consumer.must_wake() {
                producer.unpark();
            }
        }
    }
    sleeps
}

/// Both sides sleep whenever they may: a lost wake-up hangs this test.
#[test]
fn two_threads_that_sleep() {
    let count = entries(1_000_000);
    for (size, pos) in [(64, 0), (64, u64::MAX - 4095), (4096, 0)] {
        let (_, producer, consumer) = pair_at(geometry(size), pos);
        let random = Random::seeded("two_threads_that_sleep");
        let main = thread::current();
        let sleeps = thread::scope(|scope| {
            let other = scope.spawn(move || {
                thread::park();
                consume(consumer, count, &main)
            });
            other.thread().unpark();
            let made = produce(producer, count, other.thread(), random);
            (made, other.join().unwrap())
        });
        println!("two_threads_that_sleep: {count} entries through {size} bytes, {sleeps:?} sleeps");
    }
}

/// One thread overwrites without waiting: each entry read is whole and in order, and gaps are
/// exact.
#[test]
fn overwriting_threads() {
    let count = entries(3_000_000);
    for size in [64, 256, 4096] {
        let mem = Mem::new(size);
        // SAFETY: The only producer, on zeroed memory of the right size.
        let mut producer = unsafe { Producer::new(mem.clone(), geometry(size), true) };
        // SAFETY: The only reader.
        let mut reader = unsafe { OverwriteReader::new(mem, geometry(size)) };
        let mut random = Random::seeded("overwriting_threads");
        let writer = thread::spawn(move || {
            let mut buffer = vec![0; size as usize];
            for i in 0..count {
                let len = (16 + random.below(size.min(200) - 23)) as usize;
                fill(&mut buffer[..len], i);
                producer.push(&buffer[..len]).unwrap();
                producer.publish();
                // Rarely: on a busy machine each costs the time slices of all other programs.
                if i % 4096 == 0 {
                    thread::yield_now();
                }
            }
            producer
        });
        let mut buffer = vec![0; size as usize];
        let (mut read_entries, mut read_bytes, mut gap_bytes, mut next) = (0, 0, 0, 0);
        let mut done = false;
        loop {
            match reader.read(&mut buffer) {
                Ok(read) => {
                    let sequence = sequence(&buffer[..read.len]);
                    assert!(sequence >= next);
                    assert_eq!(sequence > next, read.gap.bytes > 0, "gap at {sequence}");
                    next = sequence + 1;
                    read_entries += 1;
                    read_bytes += occupied_bytes(read.len as u32);
                    gap_bytes += read.gap.bytes;
                }
                Err(Error::Empty) if done => break,
                Err(Error::Empty) => done = writer.is_finished(),
                Err(error) => panic!("{error:?}"),
            }
        }
        let mut producer = writer.join().unwrap();
        assert_eq!(next, count, "the last entry is never overwritten");
        assert_eq!(read_bytes + gap_bytes, producer.published_pos());
        assert!(count - read_entries <= producer.take_overwritten());
        assert_eq!(reader.corrupt_events(), 0);
        println!("overwriting_threads: {size} bytes: {read_entries} of {count} read, rest in gaps");
    }
}
