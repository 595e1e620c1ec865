// SPDX-License-Identifier: MIT OR Apache-2.0

//! at the kernel's end: a driver makes queues and fills them.

use std::sync::atomic::Ordering::Relaxed;

use rustix::io::Errno;

use crate::clause::Clause;
use crate::raw::{consumer, producer, Output, Session, OUTPUT};
use crate::testnode::{TestNode, SPARE};

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-01/driver-capacity", driver_capacity),
    Clause::new("Q-01/driver-capacity-refused", driver_capacity_refused),
    Clause::new("Q-02/driver-entries", driver_entries),
    Clause::new("Q-02/driver-entries-refused", driver_entries_refused),
    Clause::new("Q-03/driver-full-writes-nothing", full_writes_nothing),
    Clause::new("Q-03/too-large-carries-max", too_large_carries_max),
    Clause::new("Q-03/driver-from-task", || from("task")),
    Clause::new("Q-03/driver-from-softirq", || from("softirq")),
    Clause::new("Q-03/from-hardirq", || from("hardirq")),
    Clause::new("Q-03/full-from-softirq", || full_from("softirq")),
    Clause::new("Q-03/full-from-hardirq", || full_from("hardirq")),
    Clause::new("Q-03/driver-report-lost", report_lost),
    Clause::new("Q-03/report-lost-saturates", report_lost_saturates),
    Clause::new("Q-15/kernel-can", kernel_can),
    Clause::new("Q-16/kernel-available", kernel_available),
];

/// What the driver puts into entry number `number`.
pub fn entry(number: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|i| (number + i) as u8).collect()
}

fn driver_capacity() {
    let limit = Session::bare().version().unwrap().max_queue_bytes;
    for (asked, made) in [
        (1, 4096),
        (4096, 4096),
        (4097, 8192),
        (40_000, 40_960),
        (limit, limit),
    ] {
        let node = TestNode::with(&format!("{asked} -"));
        let queue = node.open().queue(OUTPUT);
        assert_eq!(queue.data_bytes, made);
        assert_eq!(u64::from(queue.max_entry_bytes), made - 8);
    }
}

fn driver_capacity_refused() {
    let limit = Session::bare().version().unwrap().max_queue_bytes;
    for (asked, errno) in [
        (0, Errno::INVAL),
        (u64::MAX, Errno::OVERFLOW),
        (u64::MAX - 4094, Errno::OVERFLOW),
        (limit + 1, Errno::TOOBIG),
        (u64::MAX - 4095, Errno::TOOBIG),
    ] {
        for queues in [format!("{asked} -"), format!("- {asked}")] {
            let made = TestNode::publish(&format!("publish spare {queues}"));
            assert_eq!(made.err(), Some(errno), "{queues}");
        }
    }
    let made = TestNode::publish("publish spare - -");
    assert_eq!(made.err(), Some(Errno::INVAL), "no queue at all");
}

fn driver_entries() {
    for (count, len) in [
        (1, 0),
        (1, 1),
        (1, 4088),
        (2, 4088),
        (100, 33),
        (512, 0),
        (513, 0),
        (1000, 1500),
    ] {
        let node = TestNode::publish(&format!("publish-entries spare {count} {len}")).unwrap();
        let session = node.open();
        node.run(&format!("fill {len}"));
        let fitted = node.value("count");
        assert!(
            fitted >= count,
            "{fitted} entries of {len} bytes, not {count}"
        );
        let bytes = session.queue(OUTPUT).data_bytes;
        let need = count * (len + 8_u64).next_multiple_of(8);
        assert_eq!(bytes, need.next_multiple_of(4096), "no more than needed");
        // They only size it: others may be queued.
        let mut output = Output::new(&session);
        while output.take().is_some() {}
        for len in [0, 7, bytes / 2, 1] {
            node.run(&format!("enqueue {len}"));
            assert_eq!(output.take().unwrap().bytes.len() as u64, len);
        }
    }
}

fn driver_entries_refused() {
    let limit = Session::bare().version().unwrap().max_queue_bytes;
    for (count, len, errno) in [
        (0, 8, Errno::INVAL),
        (u64::MAX, 0, Errno::OVERFLOW),
        (1 << 40, u32::MAX, Errno::OVERFLOW),
        (limit / 16 + 1, 8, Errno::TOOBIG),
    ] {
        let made = TestNode::publish(&format!("publish-entries spare {count} {len}"));
        assert_eq!(made.err(), Some(errno), "{count} of {len}");
    }
}

/// All that a process sees of an output queue but its counters.
fn picture(output: &Output) -> (u64, u64, u64, Vec<u8>) {
    let word = |offset| output.producer.word(offset).load(Relaxed);
    (
        word(producer::POS),
        word(producer::OLDEST),
        output.consumer.word(consumer::POS).load(Relaxed),
        output.data.read(0, output.data.len()),
    )
}

fn full_writes_nothing() {
    let node = TestNode::with("4096 -");
    let session = node.open();
    let mut output = Output::new(&session);
    // An odd position, and a gap of 24 bytes that the next entry of 24 does not fit into.
    node.run("enqueue 16");
    output.take().unwrap();
    node.run("fill 24");
    assert_eq!(node.value("count"), 4096 / 32);
    output.take().unwrap();
    node.run("enqueue 0");
    let before = picture(&output);
    for context in ["task", "softirq", "hardirq"] {
        node.fails(&format!("enqueue 24 {context}"), Errno::NOSPC);
        node.fails(&format!("enqueue 200 {context}"), Errno::NOSPC);
        assert!(picture(&output) == before, "{context}");
    }
    node.fails("reserve 24 commit", Errno::NOSPC);
    assert!(picture(&output) == before);
    // What fits still goes in.
    node.run("enqueue 16");
}

fn too_large_carries_max() {
    let node = TestNode::with("8192 -");
    let session = node.open();
    let mut output = Output::new(&session);
    let max = u64::from(session.queue(OUTPUT).max_entry_bytes);
    let before = picture(&output);
    for command in [
        "enqueue 8185",
        "reserve 8185 commit",
        "enqueue-wait 1000000",
    ] {
        node.fails(command, Errno::MSGSIZE);
        assert_eq!(node.value("max"), max);
    }
    assert!(picture(&output) == before);
    node.run(&format!("enqueue {max}"));
    assert_eq!(output.take().unwrap().bytes.len() as u64, max);
}

fn from(context: &str) {
    let node = TestNode::with("4096 -");
    let session = node.open();
    let mut output = Output::new(&session);
    for number in 0..100 {
        let len = (number * 37) % 257;
        node.run(&format!("enqueue {len} {context}"));
        let taken = output.take().unwrap();
        assert_eq!(taken.bytes, entry(number, len as usize));
        assert_eq!((taken.flags, taken.lost), (0, 0));
    }
    let counters = session.counters(OUTPUT);
    assert_eq!((counters.entries, counters.full), (100, 0));
}

/// Full, too large and not open are said there as well, and room is found again.
fn full_from(context: &str) {
    let node = TestNode::with("4096 -");
    let session = node.open();
    let mut output = Output::new(&session);
    node.run("fill 248");
    assert_eq!(node.value("count"), 16);
    let enqueue = format!("enqueue 248 {context}");
    for full in 1..=3 {
        node.fails(&enqueue, Errno::NOSPC);
        assert_eq!(session.counters(OUTPUT).full, 1 + full);
    }
    output.take().unwrap();
    node.run(&enqueue);
    node.fails(&enqueue, Errno::NOSPC);
    drop((session, output));
    node.fails(&enqueue, Errno::NOTCONN);
    SPARE.command("unpublish").unwrap();
    node.fails(&enqueue, Errno::NODEV);
}

fn report_lost() {
    const GAP: u16 = iostream_ring::uapi::IOSTREAM_ENTRY_GAP as u16;
    let node = TestNode::with("4096 -");
    let session = node.open();
    let mut output = Output::new(&session);
    let mut flags = |command: &str| {
        node.run(command);
        let entry = output.take().unwrap();
        (entry.flags, entry.lost)
    };
    assert_eq!(flags("enqueue 8"), (0, 0));
    node.run("lost 3");
    assert_eq!(flags("enqueue 8"), (GAP, 3));
    assert_eq!(flags("enqueue 8"), (0, 0), "said once");
    node.run("lost 1");
    node.run("lost 4");
    assert_eq!(flags("reserve 8 commit"), (GAP, 5), "added up");
    node.run("lost 2");
    node.run("reserve 8 discard");
    assert_eq!(flags("enqueue 0 hardirq"), (GAP, 2), "of the next one");
    assert_eq!(session.counters(OUTPUT).lost, 10);
}

fn report_lost_saturates() {
    let node = TestNode::with("4096 -");
    let session = node.open();
    let mut output = Output::new(&session);
    for (lost, said) in [(65_534, 65_534), (65_535, 65_535), (65_536, 65_535)] {
        node.run(&format!("lost {lost}"));
        node.run("enqueue 8");
        assert_eq!(output.take().unwrap().lost, said);
    }
    // The counter does not.
    assert_eq!(session.counters(OUTPUT).lost, 65_534 + 65_535 + 65_536);
    for _ in 0..2 {
        node.run(&format!("lost {}", u64::MAX));
    }
    node.run("enqueue 8");
    assert_eq!(output.take().unwrap().lost, 65_535);
    node.run("enqueue 8");
    assert_eq!(output.take().unwrap().lost, 0, "nothing is carried over");
}

fn kernel_can() {
    let node = TestNode::with("4096 -");
    let session = node.open();
    let mut output = Output::new(&session);
    let can = |len: u64, count: u64| {
        node.run(&format!("can {len} {count}"));
        node.value("count") == 1
    };
    assert!(can(24, 128) && !can(24, 129));
    assert!(can(4088, 1) && !can(4088, 2) && !can(4089, 1));
    assert!(can(0, 512) && !can(0, 513));
    assert!(can(u64::from(u32::MAX) + 1, 0) && !can(u64::from(u32::MAX) + 1, 1));
    assert!(!can(8, u64::MAX), "no overflow");
    node.run("fill 24");
    assert!(can(24, 0) && !can(0, 1));
    output.take().unwrap();
    output.take().unwrap();
    assert!(can(24, 2) && !can(24, 3) && can(56, 1) && !can(57, 1));
    // It only asks.
    assert_eq!(session.counters(OUTPUT).full, 1);
}

fn kernel_available() {
    let node = TestNode::with("- 4096");
    let session = node.open();
    let available = || {
        node.run("available");
        node.value("count")
    };
    assert_eq!(available(), 0);
    session.write_entry(&[1; 10]);
    assert_eq!(available(), 24);
    session.write_entry(b"");
    assert_eq!(available(), 32);
    node.run("release");
    assert_eq!(available(), 8);
    node.run("release");
    assert_eq!(available(), 0);
}
