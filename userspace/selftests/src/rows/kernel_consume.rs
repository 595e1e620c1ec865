// SPDX-License-Identifier: MIT OR Apache-2.0

//! at the kernel's end: a driver takes what a process sends.

use std::sync::atomic::{AtomicBool, Ordering::*};

use rustix::io::Errno;

use crate::clause::{count, Clause};
use crate::raw::{producer, Input, Session, INPUT};
use crate::testnode::TestNode;

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-05/kernel-dequeue", dequeue),
    Clause::new("Q-05/kernel-too-small-stays", too_small_stays),
    Clause::new("Q-05/kernel-empty", empty),
    Clause::new("Q-06/kernel-peek", peek),
    Clause::new("Q-06/kernel-release", release),
    Clause::new("Q-06/kernel-drain", drain),
    Clause::new("Q-06/kernel-view-is-untrusted", view_is_untrusted),
    Clause::new("Q-19/kernel-position-reported-once", position_reported_once),
    Clause::new("Q-19/kernel-header-reported-once", header_reported_once),
    Clause::new("Q-19/kernel-goes-on-after-reset", goes_on_after_reset),
];

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}

fn dequeue() {
    let node = TestNode::with("- 4096");
    let session = node.open();
    for i in 0..100_u64 {
        let len = (i * 61) % 500;
        let bytes: Vec<u8> = (0..len).map(|at| (i * 3 + at) as u8).collect();
        session.write_entry(&bytes);
        node.run("dequeue 500");
        assert_eq!((node.value("len"), node.value("sum")), (len, sum(&bytes)));
    }
    let counters = session.counters(INPUT);
    let bytes: u64 = (0..100).map(|i| (i * 61) % 500).sum();
    assert_eq!((counters.entries, counters.bytes), (100, bytes));
}

fn too_small_stays() {
    let node = TestNode::with("- 4096");
    let session = node.open();
    session.write_entry(&[1; 300]);
    session.write_entry(&[2; 7]);
    for capacity in [0, 1, 299] {
        node.fails(&format!("dequeue {capacity}"), Errno::NOBUFS);
        assert_eq!(node.value("needed"), 300);
    }
    assert_eq!(session.counters(INPUT).entries, 0);
    node.run("dequeue 300");
    assert_eq!(node.value("sum"), 300);
    node.fails("dequeue 6", Errno::NOBUFS);
    assert_eq!(node.value("needed"), 7);
    node.run("dequeue 7");
    assert_eq!(node.value("sum"), 14);
}

fn empty() {
    let node = TestNode::with("- 4096");
    let session = node.open();
    for command in ["dequeue 10", "peek", "release"] {
        node.fails(command, Errno::NODATA);
    }
    // An entry without bytes is an entry.
    session.write_entry(b"");
    node.run("dequeue 0");
    assert_eq!((node.value("count"), node.value("len")), (1, 0));
    node.fails("dequeue 10", Errno::NODATA);
}

fn peek() {
    let node = TestNode::with("- 4096");
    let session = node.open();
    session.write_entry(&[5; 300]);
    session.write_entry(b"next");
    for _ in 0..3 {
        node.run("peek");
        assert_eq!((node.value("len"), node.value("sum")), (300, 16 * 5));
    }
    let counters = session.counters(INPUT);
    assert_eq!((counters.entries, counters.wakeups_sent), (0, 0));
    node.run("available");
    assert_eq!(node.value("count"), 312 + 16, "nothing was removed");
}

fn release() {
    let node = TestNode::with("- 4096");
    let session = node.open();
    session.write_entry(&[5; 300]);
    session.write_entry(b"next");
    node.run("release");
    node.run("peek");
    assert_eq!((node.value("len"), node.value("sum")), (4, sum(b"next")));
    node.run("release");
    node.fails("peek", Errno::NODATA);
    let counters = session.counters(INPUT);
    assert_eq!((counters.entries, counters.bytes), (2, 304));
}

fn drain() {
    let node = TestNode::with("- 4096");
    let session = node.open();
    for i in 0..10 {
        session.write_entry(&[i; 20]);
    }
    node.run("drain 4");
    assert_eq!((node.value("count"), node.value("len")), (4, 80));
    assert_eq!(node.value("sum"), 1 + 2 + 3);
    node.run("drain 100");
    assert_eq!((node.value("count"), node.value("len")), (6, 120));
    node.run("drain 100");
    assert_eq!(node.value("count"), 0);
}

/// A process that rewrites header and bytes of an entry while the driver looks at it: the driver
/// sees one of the lengths or a corrupt peer, and nothing else happens to it.
fn view_is_untrusted() {
    let node = TestNode::with("- 4096");
    let session = node.open();
    let mut input = Input::new(&session);
    let stop = AtomicBool::new(false);
    let (mut seen, mut corrupt) = (0, 0);
    for i in 0..count(1000) {
        // At the same place each time: the thread below knows where.
        session.reset(INPUT).unwrap();
        input.pos = 0;
        assert!(input.put(&[1; 1000]));
        stop.store(false, Relaxed);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    for len in [1000_u64, 24, u64::from(u32::MAX), 2000] {
                        input.data.word(0).store(len, Relaxed);
                        input.data.write(8, &[len as u8; 16]);
                    }
                }
            });
            input.producer.word(producer::POS).store(1008, Release);
            for command in [
                "peek",
                "peek",
                if i % 2 == 0 {
                    "release"
                } else {
                    "dequeue 1000"
                },
            ] {
                match node.control().command(command) {
                    Ok(()) => {
                        assert!([24, 1000].contains(&node.value("len")));
                        seen += 1;
                    }
                    Err(Errno::BADMSG) => corrupt += 1,
                    // The rest of an entry that was cut is read as a header.
                    Err(errno) => panic!("{command}: {errno}"),
                }
            }
            stop.store(true, Relaxed);
        });
    }
    println!("{seen} looks, {corrupt} found corrupt");
    assert!(seen > 0 && corrupt > 0);
}

/// One event each, however often the driver looks, until the value changes.
fn position_reported_once() {
    let node = TestNode::with("- 4096");
    let session = node.open();
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
            node.fails(command, Errno::BADMSG);
            assert_eq!(
                session.counters(INPUT).corrupt,
                event,
                "{command}, {pos:#x}"
            );
        }
    }
    // Right again: it goes on, and the next wrong one is an event of its own.
    input.producer.word(producer::POS).store(0, Release);
    node.fails("dequeue 100", Errno::NODATA);
    input.producer.word(producer::POS).store(bad[4], Release);
    node.fails("dequeue 100", Errno::BADMSG);
    assert_eq!(session.counters(INPUT).corrupt, 6);
    assert_eq!(session.counters(INPUT).entries, 0);
}

fn header_reported_once() {
    let node = TestNode::with("- 4096");
    let session = node.open();
    let mut input = Input::new(&session);
    assert!(input.push(&session, &[9; 40]));
    for (event, len) in (1..).zip([41_u64, 4088, 4089, u64::from(u32::MAX)]) {
        input.data.word(0).store(len, Relaxed);
        for command in ["dequeue 5000", "peek", "release", "drain 10"] {
            node.fails(command, Errno::BADMSG);
            assert_eq!(session.counters(INPUT).corrupt, event, "{command}, {len}");
        }
    }
    input.data.word(0).store(40, Relaxed);
    node.run("dequeue 100");
    assert_eq!(node.value("sum"), 360);
    // What comes before it in a batch is taken.
    assert!(input.push(&session, &[1; 8]) && input.push(&session, &[1; 8]));
    input.data.word(48 + 16).store(4000, Relaxed);
    node.run("drain 10");
    assert_eq!(node.value("count"), 1);
    node.fails("drain 10", Errno::BADMSG);
    assert_eq!(session.counters(INPUT).corrupt, 5);
}

fn goes_on_after_reset() {
    let node = TestNode::with("4096 4096");
    let session: Session = node.open();
    let mut input = Input::new(&session);
    for round in 1..=3 {
        input.producer.word(producer::POS).store(12, Release);
        node.fails("peek", Errno::BADMSG);
        // The other direction has nothing to do with it.
        node.run("enqueue 10");
        assert_eq!(session.read_entry().len(), 10);
        session.reset(INPUT).unwrap();
        assert_eq!(session.counters(INPUT).corrupt, round);
        assert_eq!(session.queue(INPUT).generation, 1 + round);
        assert_eq!(session.queue(crate::raw::OUTPUT).generation, 1);
        input.pos = 0;
        assert!(input.push(&session, &[3; 5]));
        node.run("dequeue 5");
        assert_eq!(node.value("sum"), 15);
    }
}
