// SPDX-License-Identifier: MIT OR Apache-2.0

//! B-01: counters, in the info page, by ioctl, in fdinfo and in sysfs; gaps in band.

use std::collections::BTreeMap;
use std::fs;
use std::fs::read_to_string;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::Ordering::Relaxed;

use iostream_raw::{
    check_record, make_record, page, producer, sink, source, wait_for, Area, Input, Output,
    Session, INPUT, OUTPUT,
};
use iostream_ring::uapi::iostream_queue_counters;
use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::clause::{count, Clause};
use crate::support::counters::named;
use crate::support::driver::Driver;
use crate::support::echo::stuck_echo;

pub const CLAUSES: &[Clause] = &[
    Clause::new("B-01/counted-as-done", counted_as_done),
    Clause::new("B-01/info-page", info_page),
    Clause::new("B-01/fdinfo", fdinfo),
    Clause::new("B-01/sysfs", sysfs),
    Clause::new("B-01/high-water", high_water),
    Clause::new("B-01/wake-ups", wake_ups),
    Clause::new("B-01/losses-and-gaps", losses_and_gaps),
    Clause::new("B-01/no-store-changes-them", no_store_changes_them),
    Clause::new("B-01/driver-counters-agree", counters_agree),
    Clause::new("B-01/driver-high-water", driver_high_water),
    Clause::new("B-01/driver-wakeups", driver_wakeups),
    Clause::new("B-01/driver-sysfs-without-session", sysfs_without_session),
];

fn counted_as_done() {
    let session = Session::new(source(8192, 16, 300, 0));
    let mut output = Output::new(&session);
    let mut bytes = 0;
    assert_eq!(session.run(20), (20, Ok(())));
    while let Some(entry) = output.take() {
        bytes += entry.bytes.len() as u64;
    }
    let counters = session.counters(OUTPUT);
    assert_eq!((counters.entries, counters.bytes), (20, bytes));
    assert_eq!((counters.full, counters.lost, counters.corrupt), (0, 0, 0));
    for i in 1..4 {
        session.notify(OUTPUT).unwrap();
        assert_eq!(session.counters(OUTPUT).notifications, i);
    }
    let session = Session::new(sink(8192));
    let mut input = Input::new(&session);
    for i in 0..10 {
        assert!(input.push(&session, &make_record(i, 50)));
    }
    let counters = session.counters(INPUT);
    assert_eq!((counters.entries, counters.bytes), (10, 500));
}

/// A session most of whose counters are not zero.
fn eventful() -> (Session, Input, Output) {
    let (session, input, mut output) = stuck_echo();
    for _ in 0..5 {
        output.take().unwrap();
        session.notify(OUTPUT).unwrap();
    }
    output
        .consumer
        .word(0)
        .store(3, std::sync::atomic::Ordering::Relaxed);
    session.notify(OUTPUT).unwrap();
    (session, input, output)
}

fn info_page() {
    let (session, _input, _output) = eventful();
    for direction in [OUTPUT, INPUT] {
        let page = session.map(direction, Area::Info).queue_info().counters;
        assert_eq!(named(&page), named(&session.counters(direction)));
    }
    let counters = session.counters(OUTPUT);
    assert!(counters.entries > 0 && counters.full > 0 && counters.corrupt > 0);
}

fn fdinfo() {
    let (session, _input, _output) = eventful();
    let path = format!("/proc/self/fdinfo/{}", session.as_fd().as_raw_fd());
    let text = read_to_string(path).unwrap();
    assert!(text.contains("iostream-node:\tiostream\n"), "{text}");
    for (direction, name) in [(OUTPUT, "iostream-output:"), (INPUT, "iostream-input:")] {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .expect(name);
        let words: Vec<&str> = line.split_whitespace().collect();
        let found: BTreeMap<&str, u64> = words
            .chunks(2)
            .map(|pair| (pair[0], pair[1].parse().unwrap()))
            .collect();
        assert_eq!(found["data_bytes"], page());
        for (name, value) in named(&session.counters(direction)) {
            assert_eq!(found[name], value, "{name}");
        }
    }
}

fn sysfs() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    driver.count("fill 100");
    session.write_entry(&[1; 70]);
    let attribute = |name: &str| {
        let path = driver.sysfs().join(name);
        let text = read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        text.trim().to_owned()
    };
    assert_eq!(attribute("name"), "selftest");
    assert_eq!(attribute("sessions"), "1");
    for (direction, folder) in [(OUTPUT, "output"), (INPUT, "input")] {
        for (name, value) in named(&session.counters(direction)) {
            let path = format!("{folder}/{name}");
            assert_eq!(attribute(&path), value.to_string(), "{path}");
        }
    }
    drop(session);
    assert_eq!(attribute("sessions"), "0");
}

fn high_water() {
    let session = Session::new(source(4096, 16, 16, 0));
    let mut output = Output::new(&session);
    for (entries, most) in [(1, 24), (10, 240), (3, 240), (100, 2400), (1, 2400)] {
        assert_eq!(session.run(entries), (entries, Ok(())));
        assert_eq!(session.counters(OUTPUT).high_water_bytes, most);
        while output.take().is_some() {}
    }
    let session = Session::new(sink(4096));
    let mut input = Input::new(&session);
    for (entries, most) in [(1, 32), (10, 320), (3, 320)] {
        for i in 0..entries {
            assert!(input.put(&make_record(i, 24)));
        }
        input.publish();
        session.notify(INPUT).unwrap();
        assert_eq!(session.counters(INPUT).high_water_bytes, most);
    }
}

fn wake_ups() {
    let session = Session::new(source(4096, 16, 16, 0));
    let mut output = Output::new(&session);
    let counted = || {
        let counters = session.counters(OUTPUT);
        (counters.wakeups_sent, counters.wakeups_suppressed)
    };
    session.run(5).1.unwrap();
    assert_eq!(counted(), (0, 5), "nobody waited");
    while output.take().is_some() {}
    assert!(!output.arm());
    session.run(5).1.unwrap();
    assert_eq!(counted(), (1, 9));
    while output.take().is_some() {}
    assert_eq!(session.poll(PollFlags::IN, 0), PollFlags::empty());
    session.run(5).1.unwrap();
    assert_eq!(counted(), (2, 13));
}

/// A timer keeps producing when the queue is full: every lost entry is counted, and reported in
/// band.
fn losses_and_gaps() {
    let session = Session::new(source(4096, 16, 100, 5000));
    let mut output = Output::new(&session);
    let (mut next, mut told) = (0, 0);
    for _ in 0..count(50) {
        // No entry is taken until some are lost.
        let lost = session.counters(OUTPUT).lost + 20;
        while session.counters(OUTPUT).lost < lost {
            std::thread::yield_now();
        }
        while told < lost {
            let Some(entry) = output.take_and_notify(&session) else {
                wait_for(&session, PollFlags::IN, -1);
                continue;
            };
            let sequence = check_record(&entry.bytes);
            assert_eq!(sequence, next + u64::from(entry.lost));
            assert_eq!(entry.flags & 1 != 0, entry.lost > 0);
            told += u64::from(entry.lost);
            next = sequence + 1;
        }
    }
    assert!(told <= session.counters(OUTPUT).lost);
    assert!(told <= session.endpoint().unwrap().dropped);
    println!("{told} lost, all reported");
}

fn no_store_changes_them() {
    let session = Session::new(sink(4096));
    let input = Input::new(&session);
    let before = named(&session.counters(INPUT));
    for page in [&input.producer, &input.data] {
        for offset in (0..page.len()).step_by(8) {
            page.word(offset)
                .store(u64::MAX, std::sync::atomic::Ordering::Relaxed);
        }
    }
    assert_eq!(named(&session.counters(INPUT)), before);
}

/// A counter of a queue in `/proc/self/fdinfo`.
fn fdinfo_counter(session: &Session, direction: &str, name: &str) -> u64 {
    let fd = session.as_fd().as_raw_fd();
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
    let start = format!("iostream-{direction}:");
    let line = text.lines().find(|line| line.starts_with(&start));
    let mut words = line.expect("a line for the queue").split_whitespace();
    words.find(|word| *word == name).expect(name);
    words.next().unwrap().parse().unwrap()
}

/// Checks that info page, ioctl, fdinfo and sysfs show the same, and returns it.
fn agree(driver: &Driver, session: &Session) -> [iostream_queue_counters; 2] {
    [(OUTPUT, "output"), (INPUT, "input")].map(|(direction, directory)| {
        let counters = session.counters(direction);
        let page = session.map(direction, Area::Info).queue_info().counters;
        assert_eq!(named(&page), named(&counters));
        for (name, value) in named(&counters) {
            assert_eq!(
                driver.attribute(&format!("{directory}/{name}")),
                value,
                "{name}"
            );
            assert_eq!(fdinfo_counter(session, directory, name), value, "{name}");
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

    driver.command("fill 248");
    driver.fails("enqueue 248", Errno::NOSPC);
    driver.command("lost 7");
    output.take_and_notify(&session).unwrap();
    driver.command("enqueue 100 hardirq");
    for len in [5, 0, 11] {
        assert!(input.push(&session, &vec![1; len]));
    }
    driver.command("drain 2");
    input.producer.word(producer::POS).store(3, Relaxed);
    driver.command("dequeue 100");
    driver.fails("peek", Errno::BADMSG);

    let [out, r#in] = agree(&driver, &session);
    let full = page() / 256;
    assert_eq!((out.entries, out.bytes), (full + 1, full * 248 + 100));
    assert_eq!((out.full, out.lost, out.corrupt), (2, 7, 0));
    assert_eq!((out.high_water_bytes, out.notifications), (page(), 1));
    assert_eq!((r#in.entries, r#in.bytes), (3, 16));
    assert_eq!((r#in.full, r#in.lost, r#in.corrupt), (0, 0, 1));
    assert_eq!((r#in.high_water_bytes, r#in.notifications), (48, 1));
}

fn driver_high_water() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    let mut output = Output::new(&session);
    let high = || session.counters(OUTPUT).high_water_bytes;
    for (command, bytes) in [("enqueue 8", 16), ("batch 3 8", 64), ("enqueue 200", 272)] {
        driver.command(command);
        assert_eq!(high(), bytes, "{command}");
    }
    while output.take().is_some() {}
    driver.command("enqueue 8");
    assert_eq!(high(), 272, "the maximum so far");
}

fn driver_wakeups() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let mut output = Output::new(&session);
    for round in 1..=5 {
        output.arm();
        driver.command("enqueue 8");
        driver.command("enqueue 8");
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
        for (name, _) in named(&iostream_queue_counters::default()) {
            assert_eq!(driver.attribute(&format!("{direction}/{name}")), 0);
        }
    }
    let session = driver.open();
    driver.command("enqueue 8");
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
