// SPDX-License-Identifier: MIT OR Apache-2.0

//! at the kernel's end: a driver takes what a process sends.

use std::sync::atomic::Ordering::*;

use rustix::io::Errno;

use crate::clause::Clause;
use crate::raw::{producer, Input, Session, INPUT};
use crate::support::driver::Driver;
use crate::support::waiting::woken_by;

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-06/kernel-drain", drain),
    Clause::new("Q-19/kernel-position-reported-once", position_reported_once),
    Clause::new("Q-19/kernel-header-reported-once", header_reported_once),
    Clause::new("Q-19/kernel-goes-on-after-reset", goes_on_after_reset),
    Clause::new("Q-13/kernel-data-callback", data_callback),
    Clause::new("Q-21/disabled-ends-still-move", disabled_ends_still_move),
];

fn drain() {
    let driver = Driver::new(0, 4096);
    let session = driver.open();
    for i in 0..10 {
        session.write_entry(&[i; 20]);
    }
    driver.does("drain 4");
    assert_eq!((driver.log("count"), driver.log("len")), (4, 80));
    assert_eq!(driver.log("sum"), 1 + 2 + 3);
    driver.does("drain 100");
    assert_eq!((driver.log("count"), driver.log("len")), (6, 120));
    driver.does("drain 100");
    assert_eq!(driver.log("count"), 0);
}

/// One event each, however often the driver looks, until the value changes.
fn position_reported_once() {
    let driver = Driver::new(0, 4096);
    let session = driver.open();
    let input = Input::new(&session);
    let bad = [4, 4096 + 8, u64::MAX - 7, 1 << 63, 4096 + 16];
    for (event, pos) in (1..).zip(bad) {
        input.producer.word(producer::POS).store(pos, Release);
        for command in [
            "dequeue 100",
            "peek",
            "available",
            "drain 10",
            "dequeue-wait 100 1",
        ] {
            driver.fails(command, Errno::BADMSG);
            assert_eq!(
                session.counters(INPUT).corrupt,
                event,
                "{command}, {pos:#x}"
            );
        }
    }
    // Right again: it goes on, and the next wrong one is an event of its own.
    input.producer.word(producer::POS).store(0, Release);
    driver.fails("dequeue 100", Errno::NODATA);
    input.producer.word(producer::POS).store(bad[4], Release);
    driver.fails("dequeue 100", Errno::BADMSG);
    assert_eq!(session.counters(INPUT).corrupt, 6);
    assert_eq!(session.counters(INPUT).entries, 0);
}

fn header_reported_once() {
    let driver = Driver::new(0, 4096);
    let session = driver.open();
    let mut input = Input::new(&session);
    assert!(input.push(&session, &[9; 40]));
    for (event, len) in (1..).zip([41_u64, 4088, 4089, u64::from(u32::MAX)]) {
        input.data.word(0).store(len, Relaxed);
        for command in ["dequeue 5000", "peek", "release", "drain 10"] {
            driver.fails(command, Errno::BADMSG);
            assert_eq!(session.counters(INPUT).corrupt, event, "{command}, {len}");
        }
    }
    input.data.word(0).store(40, Relaxed);
    driver.does("dequeue 100");
    assert_eq!(driver.log("sum"), 360);
    // What comes before it in a batch is taken.
    assert!(input.push(&session, &[1; 8]) && input.push(&session, &[1; 8]));
    input.data.word(48 + 16).store(4000, Relaxed);
    driver.does("drain 10");
    assert_eq!(driver.log("count"), 1);
    driver.fails("drain 10", Errno::BADMSG);
    assert_eq!(session.counters(INPUT).corrupt, 5);
}

fn goes_on_after_reset() {
    let driver = Driver::new(4096, 4096);
    let session: Session = driver.open();
    let mut input = Input::new(&session);
    for round in 1..=3 {
        input.producer.word(producer::POS).store(12, Release);
        driver.fails("peek", Errno::BADMSG);
        // The other direction has nothing to do with it.
        driver.does("enqueue 10");
        assert_eq!(session.read_entry().len(), 10);
        session.reset(INPUT).unwrap();
        assert_eq!(session.counters(INPUT).corrupt, round);
        assert_eq!(session.queue(INPUT).generation, 1 + round);
        assert_eq!(session.queue(crate::raw::OUTPUT).generation, 1);
        input.pos = 0;
        assert!(input.push(&session, &[3; 5]));
        driver.does("dequeue 5");
        assert_eq!(driver.log("sum"), 15);
    }
}

/// The driver is told of entries only if it found the queue empty.
fn data_callback() {
    let driver = Driver::new(0, 4096);
    let before = driver.log("data_callbacks");
    let calls = || driver.log("data_callbacks") - before;
    let session = driver.open();
    let mut input = Input::new(&session);
    for round in 1..=5 {
        assert!(input.push(&session, b"first"));
        assert_eq!(calls(), round, "armed from the start");
        for _ in 0..3 {
            assert!(input.push(&session, b"more"));
        }
        assert_eq!(calls(), round, "it knows");
        driver.does("drain 10");
        assert_eq!(driver.log("count"), 4);
        driver.fails("dequeue 10", Errno::NODATA);
    }
    assert_eq!(session.counters(INPUT).notifications, 5);
}

/// Entries move, and who sleeps is woken, without callbacks.
fn disabled_ends_still_move() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    driver.does("disable");
    driver.does("enqueue 7");
    assert_eq!(session.read_entry().len(), 7);
    let done = woken_by(
        libc::SYS_write,
        || driver.tell("dequeue-wait 10 60000"),
        || session.write_entry(b"0123456789"),
    );
    assert_eq!((done, driver.log("len")), (Ok(()), 10));
}
