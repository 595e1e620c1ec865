// SPDX-License-Identifier: MIT OR Apache-2.0

//! B-01 on a driver's node: what was done is counted, and all who show it agree.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::Ordering::Relaxed;

use iostream_ring::uapi::iostream_counters;
use rustix::io::Errno;

use crate::clause::Clause;
use crate::raw::{producer, Area, Input, Output, Session, INPUT, OUTPUT};
use crate::support::counters::{info, named};
use crate::support::driver::Driver;

pub const CLAUSES: &[Clause] = &[
    Clause::new("B-01/driver-counters-agree", counters_agree),
    Clause::new("B-01/driver-high-water", high_water),
    Clause::new("B-01/driver-wakeups", wakeups),
    Clause::new("B-01/driver-sysfs-without-session", sysfs_without_session),
];

/// What `/proc/self/fdinfo` says of a queue's counter.
fn fdinfo(session: &Session, direction: &str, name: &str) -> u64 {
    let fd = session.as_fd().as_raw_fd();
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
    let start = format!("iostream-{direction}:");
    let line = text.lines().find(|line| line.starts_with(&start));
    let mut words = line.expect("a line for the queue").split_whitespace();
    words.find(|word| *word == name).expect(name);
    words.next().unwrap().parse().unwrap()
}

/// Info page, ioctl, fdinfo and sysfs say the same.
fn agree(driver: &Driver, session: &Session) -> [iostream_counters; 2] {
    [(OUTPUT, "output"), (INPUT, "input")].map(|(direction, directory)| {
        let counters = session.counters(direction);
        let page = info(&session.map(direction, Area::Info)).counters;
        assert_eq!(named(&page), named(&counters));
        for (name, value) in named(&counters) {
            assert_eq!(
                driver.attribute(&format!("{directory}/{name}")),
                value,
                "{name}"
            );
            assert_eq!(fdinfo(session, directory, name), value, "{name}");
        }
        counters
    })
}

fn counters_agree() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    for fresh in agree(&driver, &session) {
        assert!(named(&fresh).iter().all(|(_, value)| *value == 0));
    }
    let mut input = Input::new(&session);
    let mut output = Output::new(&session);

    driver.does("fill 248");
    driver.fails("enqueue 248", Errno::NOSPC);
    driver.does("lost 7");
    output.take_and_notify(&session).unwrap();
    driver.does("enqueue 100 hardirq");
    for len in [5, 0, 11] {
        assert!(input.push(&session, &vec![1; len]));
    }
    driver.does("drain 2");
    input.producer.word(producer::POS).store(3, Relaxed);
    driver.does("dequeue 100");
    driver.fails("peek", Errno::BADMSG);

    let [out, r#in] = agree(&driver, &session);
    assert_eq!((out.entries, out.bytes), (17, 16 * 248 + 100));
    assert_eq!((out.full, out.lost, out.corrupt), (2, 7, 0));
    assert_eq!((out.high_water_bytes, out.notifications), (4096, 1));
    assert_eq!((r#in.entries, r#in.bytes), (3, 16));
    assert_eq!((r#in.full, r#in.lost, r#in.corrupt), (0, 0, 1));
    assert_eq!((r#in.high_water_bytes, r#in.notifications), (48, 1));
}

fn high_water() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    let mut output = Output::new(&session);
    let high = || session.counters(OUTPUT).high_water_bytes;
    for (command, bytes) in [("enqueue 8", 16), ("batch 3 8", 64), ("enqueue 200", 272)] {
        driver.does(command);
        assert_eq!(high(), bytes, "{command}");
    }
    while output.take().is_some() {}
    driver.does("enqueue 8");
    assert_eq!(high(), 272, "the most there ever was");
}

fn wakeups() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let mut output = Output::new(&session);
    for round in 1..=5 {
        output.arm();
        driver.does("enqueue 8");
        driver.does("enqueue 8");
        let counters = session.counters(OUTPUT);
        assert_eq!(
            (counters.wakeups_sent, counters.wakeups_suppressed),
            (round, round)
        );
        while output.take().is_some() {}
    }
}

fn sysfs_without_session() {
    let driver = Driver::new(4096, 4096);
    assert_eq!(driver.attribute("sessions"), 0);
    for direction in ["output", "input"] {
        for (name, _) in named(&iostream_counters::default()) {
            assert_eq!(driver.attribute(&format!("{direction}/{name}")), 0);
        }
    }
    let session = driver.open();
    driver.does("enqueue 8");
    assert_eq!(
        (
            driver.attribute("sessions"),
            driver.attribute("output/entries")
        ),
        (1, 1)
    );
    drop(session);
    assert_eq!(
        (
            driver.attribute("sessions"),
            driver.attribute("output/entries")
        ),
        (0, 0)
    );
}
