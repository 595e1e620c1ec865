// SPDX-License-Identifier: MIT OR Apache-2.0

//! B-03: what happens when an output queue is full.

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use iostream::{Error, OverwriteReader, Setup};
use iostream_raw::{check_record, page, page_len, producer, source, Area, Output, Session, OUTPUT};
use iostream_ring::uapi::{iostream_setup, IOSTREAM_SETUP_OVERWRITE};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::clause::{count, Clause};
use crate::support::driver::{self, Driver};

pub const CLAUSES: &[Clause] = &[
    Clause::new("B-03/fails-by-default", fails_by_default),
    Clause::new("B-03/oldest-are-overwritten", oldest_are_overwritten),
    Clause::new("B-03/gap-has-a-size", gap_has_a_size),
    Clause::slow("B-03/overwritten-while-read", 120, overwritten_while_read),
    Clause::new("B-03/no-slice-of-what-may-go", no_slice_of_what_may_go),
    Clause::new("B-03/driver-overwrite", driver_overwrite),
];

fn overwriting(bytes: u64, min: u32, max: u32, rate: u64) -> iostream_setup {
    let setup = source(bytes, min, max, rate);
    iostream_setup {
        flags: setup.flags | IOSTREAM_SETUP_OVERWRITE,
        ..setup
    }
}

fn fails_by_default() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    assert_eq!(driver.count("fill 100"), page() / 112);
    assert_eq!(driver.tell("enqueue 100"), Err(Errno::NOSPC));
    let mut output = Output::new(&session);
    assert_eq!(
        output.take().unwrap().bytes,
        driver::entry(0, 100),
        "the oldest is there"
    );
}

/// A reader by `iostream.h` alone: it starts at `oldest_pos`, copies, and reads `oldest_pos` again.
fn oldest_are_overwritten() {
    let session = Session::new(overwriting(page(), 24, 24, 0));
    assert_eq!(session.run(1000), (1000, Ok(())), "never full");
    let words = session.map(OUTPUT, Area::Producer);
    let data = session.map(OUTPUT, Area::Data);
    let oldest = words.word(producer::OLDEST).load(Acquire);
    let head = words.word(producer::POS).load(Acquire);
    assert_eq!((oldest, head), (1000 * 32 - page(), 1000 * 32));
    let lost = 1000 - page() / 32;
    for (i, pos) in (oldest..head).step_by(32).enumerate() {
        let at = (pos % page()) as usize;
        assert_eq!(data.word(at).load(Relaxed), 24);
        assert_eq!(check_record(&data.read(at + 8, 24)), lost + i as u64);
    }
    let counters = session.counters(OUTPUT);
    assert_eq!((counters.lost, counters.entries), (lost, 1000));
}

fn open(setup: Setup) -> (iostream::BuiltIn, OverwriteReader) {
    let session = setup.overwrite(true).open().unwrap();
    let reader = session.overwrite_reader().unwrap();
    (session, reader)
}

fn gap_has_a_size() {
    let (session, mut reader) = open(Setup::source(24, 24).output_bytes(4096));
    let mut buffer = [0; 24];
    assert_eq!(reader.read_into(&mut buffer).err(), Some(Error::Empty));
    let full = page() / 32;
    for (made, gap) in [
        (10, 0),
        (full, 0),
        (full + 1, 32),
        (2000, (2000 - full) * 32),
    ] {
        assert_eq!(session.run(made, None).entries, made);
        let mut sum = 0;
        let mut entries = 0;
        while let Ok(read) = reader.read_into(&mut buffer) {
            assert!(
                entries == 0 || read.gap_bytes == 0,
                "told once, before the first"
            );
            check_record(&buffer[..read.len]);
            sum += read.gap_bytes;
            entries += 1;
        }
        assert_eq!((sum, entries), (gap, made.min(full)));
    }
}

/// A timer overwrites while this side reads: entries are whole and in order, and every byte is
/// accounted for.
fn overwritten_while_read() {
    let (session, mut reader) = open(Setup::source(16, 300).output_bytes(4096).rate(50_000));
    let mut buffer = [0; 300];
    let (mut next, mut read_bytes, mut gap_bytes, mut gaps) = (0, 0, 0, 0);
    while next < count(400_000) {
        match reader.read_into(&mut buffer) {
            Ok(read) => {
                let sequence = check_record(&buffer[..read.len]);
                assert!(sequence >= next);
                assert_eq!(sequence > next, read.gap_bytes > 0);
                next = sequence + 1;
                gaps += u64::from(read.gap_bytes > 0);
                gap_bytes += read.gap_bytes;
                read_bytes += iostream::occupied_bytes(read.len as u32);
                // Now and then the reader falls behind on purpose.
                if next % 50 == 0 {
                    let made = session.endpoint_stats().unwrap().entries;
                    while session.endpoint_stats().unwrap().entries < made + 100 {}
                }
            }
            Err(Error::Empty) => reader.wait(None).unwrap(),
            Err(error) => panic!("{error}"),
        }
    }
    println!("{next} entries, {gaps} gaps, {read_bytes} bytes read, {gap_bytes} in gaps");
    assert!(gaps > 0 && read_bytes > 0);
}

fn no_slice_of_what_may_go() {
    let session = Setup::source(24, 24).overwrite(true).open().unwrap();
    assert!(matches!(
        session.consumer().err(),
        Some(Error::InvalidArgument(_))
    ));
    let session = Setup::source(24, 24).open().unwrap();
    let refused = session.overwrite_reader().err();
    assert!(matches!(refused, Some(Error::InvalidArgument(_))));
}

/// A driver's queue that overwrites is never full.
fn driver_overwrite() {
    let driver = Driver::overwriting(4096);
    let session = driver.open();
    for _ in 0..100 {
        driver.command("enqueue 248");
    }
    let counters = session.counters(OUTPUT);
    assert_eq!((counters.entries, counters.full), (100, 0));
    let mut left = Vec::new();
    let reader = driver.path();
    drop(session);
    let session = Session::open(reader, OFlags::RDWR | OFlags::NONBLOCK).unwrap();
    driver.command("sequence 0");
    let total = 6 * page() / 256;
    for _ in 0..total {
        driver.command("enqueue 248");
    }
    let mut buffer = [0; 4096];
    while let Ok(len) = session.read(&mut buffer) {
        left.push(buffer[..len].to_vec());
    }
    let first = total - left.len() as u64;
    assert!(
        (page_len() / 512..=page_len() / 256).contains(&left.len()),
        "{} left",
        left.len()
    );
    for (number, bytes) in (first..).zip(&left) {
        assert_eq!(*bytes, driver::entry(number, 248));
    }
    assert_eq!(session.counters(OUTPUT).lost, first);
}
