// SPDX-License-Identifier: MIT OR Apache-2.0

//! a driver's callbacks, and how it stops them.

use rustix::io::Errno;

use crate::clause::Clause;
use crate::raw::{Input, Output, Session, INPUT, OUTPUT};
use crate::testnode::{wait_until, TestNode};

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-13/kernel-room-callback", room_callback),
    Clause::new("Q-13/kernel-room-callback-by-read", room_callback_by_read),
    Clause::new("Q-13/kernel-data-callback", data_callback),
    Clause::new("Q-21/disabled-not-called", disabled_not_called),
    Clause::new("Q-21/pending-at-enable", pending_at_enable),
    Clause::new("Q-21/disable-waits", || waits("disable")),
    Clause::new("Q-21/cancel-waits", || waits("cancel")),
    Clause::new("Q-21/removal-waits", || waits("unpublish")),
    Clause::new("Q-21/cancelled-for-good", cancelled_for_good),
    Clause::new("Q-21/disabled-ends-still-move", disabled_ends_still_move),
];

/// Calls of a callback since this was made.
struct Calls<'a> {
    node: &'a TestNode,
    key: &'static str,
    before: u64,
}

impl<'a> Calls<'a> {
    fn of(node: &'a TestNode, key: &'static str) -> Self {
        let before = node.value(key);
        Self { node, key, before }
    }

    fn count(&self) -> u64 {
        self.node.value(self.key) - self.before
    }
}

/// After an enqueue that failed the driver is told of the room that it asked for, once.
fn room_callback() {
    let node = TestNode::with("4096 -");
    let calls = Calls::of(&node, "room_callbacks");
    let session = node.open();
    let mut output = Output::new(&session);
    for round in 1..=5 {
        node.run("fill 24");
        node.fails("enqueue 100", Errno::NOSPC);
        // Room for 112 bytes: three entries of 32 are too little.
        for _ in 0..3 {
            output.take_and_notify(&session).unwrap();
            assert_eq!(calls.count(), round - 1, "not enough yet");
        }
        output.take_and_notify(&session).unwrap();
        assert_eq!(calls.count(), round);
        node.run("enqueue 100");
        while output.take_and_notify(&session).is_some() {}
        assert_eq!(calls.count(), round, "nobody asked");
    }
    assert_eq!(session.counters(OUTPUT).notifications, 5);
}

fn room_callback_by_read() {
    let node = TestNode::with("4096 -");
    let calls = Calls::of(&node, "room_callbacks");
    let session = node.open();
    node.run("fill 248");
    session.read_entry();
    assert_eq!(calls.count(), 1);
    session.read_entry();
    assert_eq!(calls.count(), 1, "nobody asked");
    node.run("enqueue 248");
}

/// The driver is told of entries only if it found the queue empty.
fn data_callback() {
    let node = TestNode::with("- 4096");
    let calls = Calls::of(&node, "data_callbacks");
    let session = node.open();
    let mut input = Input::new(&session);
    for round in 1..=5 {
        assert!(input.push(&session, b"first"));
        assert_eq!(calls.count(), round, "armed from the start");
        for _ in 0..3 {
            assert!(input.push(&session, b"more"));
        }
        assert_eq!(calls.count(), round, "it knows");
        node.run("drain 10");
        assert_eq!(node.value("count"), 4);
        node.fails("dequeue 10", Errno::NODATA);
    }
    assert_eq!(session.counters(INPUT).notifications, 5);
}

fn disabled_not_called() {
    let node = TestNode::with("4096 4096");
    let calls = [
        Calls::of(&node, "data_callbacks"),
        Calls::of(&node, "room_callbacks"),
    ];
    let session = node.open();
    let both = || [calls[0].count(), calls[1].count()];
    node.run("disable");
    for direction in [INPUT, OUTPUT] {
        for _ in 0..3 {
            session.notify(direction).unwrap();
        }
    }
    assert_eq!(both(), [0, 0]);
    node.run("enable");
    session.notify(INPUT).unwrap();
    session.notify(OUTPUT).unwrap();
    assert_eq!(both(), [2, 2], "those that waited, and the new ones");
}

/// What came meanwhile is made up for, once each, in the call that enables.
fn pending_at_enable() {
    let node = TestNode::with("4096 4096");
    let data = Calls::of(&node, "data_callbacks");
    let room = Calls::of(&node, "room_callbacks");
    let session = node.open();
    node.run("disable");
    node.run("enable");
    assert_eq!((data.count(), room.count()), (0, 0), "nothing came");
    for _ in 0..2 {
        node.run("disable");
        session.write_entry(b"x");
        session.notify(INPUT).unwrap();
    }
    assert_eq!(data.count(), 0);
    node.run("enable");
    assert_eq!((data.count(), room.count()), (1, 0));
    node.run("enable");
    assert_eq!(data.count(), 1);
}

/// A slow callback runs; when `command` returns it does not any more.
fn waits(command: &str) {
    let node = TestNode::with("4096 4096");
    let calls = Calls::of(&node, "data_callbacks");
    let session = node.open();
    for direction in [INPUT, OUTPUT] {
        node.run("slow 300");
        std::thread::scope(|scope| {
            let notifier = scope.spawn(|| session.notify(direction));
            wait_until("the callback runs", || node.value("in_callback") == 1);
            node.run(command);
            assert_eq!(node.value("in_callback"), 0, "{command} has returned");
            notifier.join().unwrap().unwrap();
        });
        node.run("slow 0");
        match command {
            "disable" => node.run("enable"),
            _ => break,
        }
    }
    assert_eq!(calls.count(), 1);
}

fn cancelled_for_good() {
    let node = TestNode::with("4096 4096");
    let calls = Calls::of(&node, "data_callbacks");
    let session = node.open();
    let notify = |session: &Session| session.notify(INPUT).unwrap();
    notify(&session);
    assert_eq!(calls.count(), 1);
    node.run("cancel");
    notify(&session);
    for command in ["enable", "disable", "enable"] {
        node.run(command);
        notify(&session);
        assert_eq!(calls.count(), 1, "after {command}");
    }
    // For the next client, too.
    drop(session);
    notify(&node.open());
    assert_eq!(calls.count(), 1);
}

/// Entries move, and who sleeps is woken, without callbacks.
fn disabled_ends_still_move() {
    let node = TestNode::with("4096 4096");
    let session = node.open();
    node.run("disable");
    node.run("enqueue 7");
    assert_eq!(session.read_entry().len(), 7);
    let done = crate::testnode::woken_by(
        libc::SYS_write,
        || node.control().command("dequeue-wait 10 60000"),
        || session.write_entry(b"0123456789"),
    );
    assert_eq!((done, node.value("len")), (Ok(()), 10));
}
