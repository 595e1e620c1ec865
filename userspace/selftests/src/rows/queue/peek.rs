// SPDX-License-Identifier: MIT OR Apache-2.0

//! look at an entry, then remove it, without copying.

use std::sync::atomic::Ordering::*;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

use iostream::Setup;
use iostream_raw::{page, Input, INPUT};
use rustix::io::Errno;

use crate::clause::{count, Clause};
use crate::support::driver::Driver;

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-06/slice-in-place", slice_in_place),
    Clause::new("Q-06/release-without-copy", release_without_copy),
    Clause::new("Q-06/driver-view", driver_view),
    Clause::new("Q-06/driver-view-rewritten", driver_view_rewritten),
    Clause::new("Q-06/kernel-drain", drain),
];

/// The slice lies in the mapping, and a second peek returns the same one.
fn slice_in_place() {
    let session = Setup::echo().open().unwrap();
    let (mut producer, mut consumer) = (session.producer().unwrap(), session.consumer().unwrap());
    producer.enqueue(b"look").unwrap();
    consumer.wait(None).unwrap();
    let first = consumer.peek().unwrap().as_ptr();
    let entry = consumer.peek().unwrap();
    assert_eq!((&*entry, entry.as_ptr()), (&b"look"[..], first));
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let within = maps.lines().find(|line| {
        let (from, rest) = line.split_once('-').unwrap();
        let to = rest.split(' ').next().unwrap();
        let address = |hex| usize::from_str_radix(hex, 16).unwrap();
        (address(from)..address(to)).contains(&(first as usize))
    });
    assert!(within.unwrap().contains("/dev/iostream"), "{within:?}");
}

fn release_without_copy() {
    let session = Setup::echo().open().unwrap();
    let (mut producer, mut consumer) = (session.producer().unwrap(), session.consumer().unwrap());
    producer.enqueue(b"first").unwrap();
    producer.enqueue(b"second").unwrap();
    consumer.wait(None).unwrap();
    // An entry that is dropped without being released stays.
    consumer.peek().unwrap();
    let entry = consumer.peek().unwrap();
    assert_eq!(&*entry, b"first");
    entry.release().unwrap();
    assert_eq!(&*consumer.peek().unwrap(), b"second");
    consumer.peek().unwrap().release().unwrap();
    assert_eq!(consumer.available_bytes(), Ok(0));
    assert_eq!(
        session
            .queue_counters(iostream::Direction::Output)
            .unwrap()
            .entries,
        2
    );
}

fn driver_view() {
    let driver = Driver::new(0, 4096);
    let session = driver.open();
    let mut input = Input::new(&session);
    assert_eq!(driver.tell("peek"), Err(Errno::NODATA));
    assert!(input.push(&session, &[2; 10]));
    assert!(input.push(&session, &[5; 20]));
    for _ in 0..3 {
        driver.tell("peek").unwrap();
        assert_eq!((driver.log("len"), driver.log("sum")), (10, 20));
    }
    assert_eq!(session.counters(INPUT).entries, 0);
    driver.tell("release").unwrap();
    driver.tell("release").unwrap();
    // The driver copied no more than the first 16 bytes.
    assert_eq!((driver.log("len"), driver.log("sum")), (20, 80));
    assert_eq!(driver.tell("release"), Err(Errno::NODATA));
    assert_eq!(input.room(), page());
    // An empty entry has no first byte, although the next entry follows at once.
    assert!(input.push(&session, &[]));
    assert!(input.push(&session, &[5; 20]));
    driver.command("drain 2");
    assert_eq!((driver.log("count"), driver.log("sum")), (2, 5));
}

/// The process rewrites header and bytes while the driver looks: the driver sees the entry or a
/// corrupt peer, and nothing worse.
fn driver_view_rewritten() {
    let driver = Driver::new(0, 4096);
    let session = driver.open();
    let mut input = Input::new(&session);
    let (done, at) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (mut good, mut bad) = (0u64, 0u64);
    let word = input.data.as_ptr().expose_provenance();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in (0u64..).take_while(|_| !done.load(Relaxed)) {
                // The first two lengths fit the entry; the others reach beyond it.
                let header = [1000, 993, u64::MAX, 4089, 1001][i as usize % 5];
                let offset = word + at.load(Relaxed);
                // SAFETY: The word lies in the mapping, which outlives the scope; all access to it
                // is atomic.
                let word = unsafe { &*std::ptr::with_exposed_provenance::<AtomicU64>(offset) };
                word.store(header, Relaxed);
            }
        });
        while good < count(50_000) {
            at.store((input.pos % input.size) as usize, Relaxed);
            assert!(input.put(&[1; 1000]));
            input.publish();
            loop {
                match driver.tell("dequeue 4088") {
                    Ok(()) => break,
                    Err(error) => assert_eq!(error, Errno::BADMSG),
                }
                bad += 1;
            }
            assert!(matches!(driver.log("len"), 993 | 1000));
            good += 1;
        }
        done.store(true, Relaxed);
    });
    println!("{good} looks were good, {bad} found it corrupt");
    assert!(bad > 0);
}

fn drain() {
    let driver = Driver::new(0, 4096);
    let session = driver.open();
    for i in 0..10 {
        session.write_entry(&[i; 20]);
    }
    driver.command("drain 4");
    assert_eq!((driver.log("count"), driver.log("len")), (4, 80));
    assert_eq!(driver.log("sum"), 1 + 2 + 3);
    driver.command("drain 100");
    assert_eq!((driver.log("count"), driver.log("len")), (6, 120));
    driver.command("drain 100");
    assert_eq!(driver.log("count"), 0);
}
