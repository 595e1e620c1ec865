// SPDX-License-Identifier: MIT OR Apache-2.0

//! Q-04 at the kernel's end: reservations, also when the queue goes away under them.

use std::sync::atomic::Ordering::Relaxed;

use rustix::io::{Errno, Result};

use super::kernel_queue::entry;
use crate::clause::Clause;
use crate::raw::{producer, Output, Session, INPUT, OUTPUT};
use crate::testnode::{named, wait_until, TestNode};

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-04/kernel-commit", commit),
    Clause::new("Q-04/kernel-commit-short", commit_short),
    Clause::new("Q-04/kernel-discard", || changes_nothing("discard")),
    Clause::new("Q-04/kernel-leak", || changes_nothing("leak")),
    Clause::new("Q-04/kernel-held-then-published", held_then_published),
    Clause::new("Q-04/kernel-held-across-close", held_across_close),
    Clause::new("Q-04/kernel-held-across-reset", held_across_reset),
    Clause::new("Q-04/kernel-held-across-removal", held_across_removal),
    Clause::new("Q-19/kernel-handles-from-before-fail", handles_fail),
];

fn commit() {
    let node = TestNode::with("4096 -");
    let session = node.open();
    let mut output = Output::new(&session);
    for number in 0..200 {
        let len = (number * 53) % 400;
        node.run(&format!("reserve {len} commit"));
        assert_eq!(output.take().unwrap().bytes, entry(number, len as usize));
        assert_eq!(output.available(), 0);
    }
    assert_eq!(session.counters(OUTPUT).entries, 200);
}

/// Half of what was reserved; the rest is free for the next one.
fn commit_short() {
    let node = TestNode::with("4096 -");
    let session = node.open();
    let mut output = Output::new(&session);
    node.run("reserve 4088 commit-short");
    assert_eq!(output.available(), 8 + 2048 - 4);
    node.run("reserve 2000 commit-short");
    node.run("enqueue 1000");
    for (number, len) in [(0, 2044), (1, 1000), (2, 1000)] {
        assert_eq!(output.take().unwrap().bytes, entry(number, len));
    }
    let counters = session.counters(OUTPUT);
    assert_eq!((counters.entries, counters.bytes), (3, 4044));
}

fn changes_nothing(then: &str) {
    let node = TestNode::with("4096 -");
    let session = node.open();
    let mut output = Output::new(&session);
    node.run("enqueue 8");
    output.take().unwrap();
    let before = named(&session.counters(OUTPUT));
    for len in [0, 24, 4088] {
        node.run(&format!("reserve {len} {then}"));
        let head = output.producer.word(producer::POS).load(Relaxed);
        assert_eq!(head, 16);
        assert_eq!(output.available(), 0);
    }
    assert_eq!(named(&session.counters(OUTPUT)), before);
    // All of the room is there still.
    node.run("can 4088 1");
    assert_eq!(node.value("count"), 1);
    node.run("sequence 7");
    node.run("enqueue 100");
    assert_eq!(output.take().unwrap().bytes, entry(7, 100));
}

/// Has the driver hold a command half-way while `meanwhile` runs. Returns what the command did.
pub fn held(node: &TestNode, command: &str, meanwhile: impl FnOnce()) -> Result<()> {
    let control = node.control();
    std::thread::scope(|scope| {
        let holder = scope.spawn(move || control.command(command));
        wait_until("held", || node.value("held") == 1 || holder.is_finished());
        meanwhile();
        node.run("go");
        holder.join().expect("the thread that holds")
    })
}

fn held_then_published() {
    let node = TestNode::with("4096 -");
    let session = node.open();
    let mut output = Output::new(&session);
    let done = held(&node, "reserve 50 hold", || {
        assert_eq!(output.available(), 0, "not yet");
    });
    assert_eq!(done, Ok(()));
    assert_eq!(output.take().unwrap().bytes, entry(0, 50));
}

/// The next client gets nothing of what was meant for the last one.
fn held_across_close() {
    let node = TestNode::with("4096 -");
    let mut session = Some(node.open());
    let mut next = None;
    let done = held(&node, "reserve 50 hold", || {
        session = None;
        next = Some(node.open());
    });
    assert_eq!(done, Err(Errno::STALE));
    let next = next.unwrap();
    let mut output = Output::new(&next);
    assert_eq!(output.available(), 0);
    assert!(output.data.read(0, 8192).iter().all(|byte| *byte == 0));
    assert_eq!(next.counters(OUTPUT).entries, 0);
    node.run("enqueue 9");
    assert_eq!(output.take().unwrap().bytes, entry(1, 9));
    // And with nobody there.
    let done = held(&node, "reserve 50 hold", || drop((next, output)));
    assert_eq!(done, Err(Errno::NOTCONN));
}

fn held_across_reset() {
    let node = TestNode::with("4096 -");
    let session = node.open();
    let mut output = Output::new(&session);
    node.run("enqueue 30");
    output.take().unwrap();
    let before = named(&session.counters(OUTPUT));
    let done = held(&node, "reserve 50 hold", || session.reset(OUTPUT).unwrap());
    assert_eq!(done, Err(Errno::STALE));
    assert_eq!(output.producer.word(producer::POS).load(Relaxed), 0);
    assert_eq!(named(&session.counters(OUTPUT)), before);
    assert_eq!(session.queue(OUTPUT).generation, 2);
    output.pos = 0;
    node.run("enqueue 9");
    assert_eq!(output.take().unwrap().bytes, entry(2, 9));
}

fn held_across_removal() {
    let node = TestNode::with("4096 -");
    let session = node.open();
    let output = Output::new(&session);
    let done = held(&node, "reserve 50 hold", || node.run("unpublish"));
    assert_eq!(done, Err(Errno::NODEV));
    assert_eq!(output.available(), 0);
}

/// An entry that was looked at before a reset is not the one that is removed after it.
fn handles_fail() {
    let node = TestNode::with("- 4096");
    let session: Session = node.open();
    session.write_entry(b"old");
    let done = held(&node, "release hold", || {
        session.reset(INPUT).unwrap();
        session.write_entry(b"fresh");
    });
    assert_eq!(done, Err(Errno::STALE));
    node.run("peek");
    assert_eq!(node.value("len"), 5, "it is still there");
    let done = held(&node, "release hold", || {
        assert_eq!(session.queue(INPUT).generation, 2);
    });
    assert_eq!(done, Ok(()));
    node.fails("peek", Errno::NODATA);
}
