// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Cache lines that the producer fetches by a store to each: only lines of free room, and each
//! once.

#![cfg(not(loom))]

mod common;

use common::{geometry, pair, Mem};
use iostream_ring::{Consumer, Error, OverwriteReader, Producer};

const SIZE: u64 = 4096;
/// The entry that the data are full of.
const OLD: [u8; 8] = [0xee; 8];

/// A ring whose first lap is full of short entries, of which the first `taken` were released.
fn lapped(taken: usize) -> (Mem, Producer<Mem>, Consumer<Mem>) {
    let (mem, mut producer, mut consumer) = pair(SIZE);
    while producer.push(&OLD).is_ok() {}
    producer.publish();
    for _ in 0..taken {
        assert_eq!(consumer.pop_array(), Ok(OLD));
    }
    consumer.publish();
    (mem, producer, consumer)
}

/// Bytes of an entry of [`OLD`].
const ENTRY: u64 = 16;
const ALL: usize = (SIZE / ENTRY) as usize;

/// Offsets of the words that `act` changed.
fn changed(mem: &Mem, act: impl FnOnce()) -> Vec<usize> {
    let data = || {
        (0..SIZE as usize)
            .step_by(8)
            .map(|at| mem.data(at).load_relaxed())
    };
    let before: Vec<_> = data().collect();
    act();
    let both = before.into_iter().zip(data()).enumerate();
    both.filter(|(_, (old, new))| old != new)
        .map(|(word, _)| word * 8)
        .collect()
}

#[test]
fn a_window_once() {
    let (mem, mut producer, _) = lapped(ALL);
    let first = changed(&mem, || producer.push(&[1; 8]).unwrap());
    let lines: Vec<_> = (64..1024).step_by(64).collect();
    let wanted: Vec<_> = [8].into_iter().chain(lines).collect();
    assert_eq!(
        first, wanted,
        "the entry's bytes, whose header is as it was; and 15 lines"
    );
    for entry in 1..64 {
        let written = changed(&mem, || producer.push(&[1; 8]).unwrap());
        assert!(
            written.iter().all(|at| at / 16 == entry),
            "{written:?} for entry {entry}"
        );
    }
    let next = changed(&mem, || producer.push(&[1; 8]).unwrap());
    assert_eq!(next[1..], (1088..2048).step_by(64).collect::<Vec<_>>());
}

#[test]
fn nothing_that_waits() {
    for taken in 1..ALL {
        let (mem, mut producer, mut consumer) = lapped(taken);
        let written = changed(&mem, || producer.push(&[1; 8]).unwrap());
        assert!(
            written.iter().all(|at| *at < taken * 16),
            "{written:?} after {taken}"
        );
        producer.publish();
        for _ in taken..ALL {
            assert_eq!(consumer.pop_array(), Ok(OLD));
        }
        assert_eq!(consumer.pop_array(), Ok([1; 8]));
        assert_eq!(consumer.pop_array::<8>(), Err(Error::Empty));
    }
}

#[test]
fn nothing_for_long_entries() {
    let (mem, mut producer, _) = lapped(ALL);
    let written = changed(&mem, || {
        producer.reserve(600).unwrap();
    });
    assert_eq!(written, []);
}

#[test]
fn nothing_that_is_reserved() {
    for len in [8, 100, 240, 500, 600, 2000] {
        for lost in [0, 1] {
            let (mem, mut producer, _) = lapped(ALL);
            if lost > 0 {
                producer.report_lost(lost);
            }
            let offset = producer.reserve(len).unwrap();
            let bytes = vec![0x55; len as usize];
            // SAFETY: It was just reserved.
            unsafe { producer.write(offset, &bytes) };
            producer.report_lost(1);
            producer.room().unwrap();
            producer.commit(len).unwrap();
            for at in (0..len as usize & !7).step_by(8) {
                assert_eq!(
                    mem.data(offset + at).load_relaxed(),
                    0x5555_5555_5555_5555,
                    "at {at} of {len}"
                );
            }
        }
    }
}

#[test]
fn a_run_ends_with_its_window() {
    let (mem, mut producer, mut consumer) = lapped(ALL - 1);
    let (mut made, mut ends) = (0, Vec::new());
    while producer.reserve(8).is_ok() {
        producer.commit(8).unwrap();
        made += 1;
        let mut head = producer.head();
        // SAFETY: The head came from this producer, which does nothing else meanwhile.
        while unsafe { head.place(&mem, 8) }.is_some() {
            made += 1;
        }
        // SAFETY: The head came from this producer, which does nothing else meanwhile.
        unsafe { producer.set_head(head) };
        ends.push(made);
    }
    assert_eq!(ends, [64, 128, 192, ALL - 1], "of windows, and of the room");
    producer.publish();
    assert_eq!(consumer.pop_array(), Ok(OLD), "what waited is still there");
}

#[test]
fn nothing_of_a_window_that_is_begun() {
    let (mem, mut producer, mut consumer) = lapped(40);
    for _ in 0..40 {
        producer.push(&[1; 8]).unwrap();
    }
    producer.publish();
    for _ in 40..ALL {
        assert_eq!(consumer.pop_array(), Ok(OLD));
    }
    consumer.publish();
    let written = changed(&mem, || producer.push(&[1; 8]).unwrap());
    assert_eq!(written, [40 * 16 + 8], "40 entries were there already");
}

/// Readers of an overwriting ring must see that an entry is given up before a byte of it changes.
#[test]
fn nothing_by_who_overwrites() {
    let mem = Mem::new(SIZE);
    // SAFETY: The only producer, on zeroed memory of the right size.
    let mut producer = unsafe { Producer::new(mem.clone(), geometry(SIZE), true) };
    for _ in 0..2 {
        producer.push(&[0xee; SIZE as usize / 2 - 8]).unwrap();
    }
    producer.publish();
    let written = changed(&mem, || producer.push(&[1; 8]).unwrap());
    assert_eq!(written, [0, 8], "of the half that it gave up");
    producer.publish();
    // SAFETY: The only consumer, on memory of the right size.
    let mut reader = unsafe { OverwriteReader::new(mem.clone(), geometry(SIZE)) };
    let mut buffer = [0; SIZE as usize];
    let entry = reader.read(&mut buffer).unwrap();
    assert_eq!(buffer[..entry.len as usize], [0xee; SIZE as usize / 2 - 8]);
}
