// SPDX-License-Identifier: MIT OR Apache-2.0

//! enqueue by copy.

use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::clause::{count, Clause};
use crate::raw::{check_record, echo, source, wait_for, Input, Output, Session, INPUT, OUTPUT};

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-03/each-size-by-copy", each_size_by_copy),
    Clause::new("Q-03/max-fits-exactly", max_fits_exactly),
    Clause::new("Q-03/full-writes-nothing", full_writes_nothing),
    Clause::new("Q-03/too-large-refused", too_large_refused),
    Clause::new("Q-03/from-timer-interrupt", from_timer_interrupt),
];

fn each_size_by_copy() {
    let session = Session::new(echo(4096));
    for len in (0..=4088).step_by(if crate::clause::long() { 1 } else { 7 }) {
        let entry: Vec<u8> = (0..len).map(|i| (i * 31 + len) as u8).collect();
        session.write_entry(&entry);
        assert_eq!(session.read_entry(), entry, "{len} bytes");
    }
}

fn max_fits_exactly() {
    let session = Session::new(echo(4096));
    let (mut input, mut output) = (Input::new(&session), Output::new(&session));
    for i in 0..10 {
        assert!(input.push(&session, &[i; 4088]));
        assert_eq!(output.take_and_notify(&session).unwrap().bytes, [i; 4088]);
        // So that the next one begins elsewhere.
        assert!(input.push(&session, b""));
        assert_eq!(output.take_and_notify(&session).unwrap().bytes, b"");
    }
}

/// The kernel's producer finds the queue full: nothing but its counters changes.
fn full_writes_nothing() {
    let session = Session::new(source(4096, 100, 100, 0));
    let mut output = Output::new(&session);
    let (made, result) = session.run_with(iostream_ring::uapi::iostream_run {
        entries: 0,
        timeout_ns: 1,
        ..Default::default()
    });
    assert_eq!((made, result), (4096 / 112, Err(Errno::TIMEDOUT)));
    let before = (output.data.read(0, 4096), output.producer.read(0, 64));
    let full = session.counters(OUTPUT).full;
    let (made, _) = session.run_with(iostream_ring::uapi::iostream_run {
        entries: 5,
        timeout_ns: 1,
        ..Default::default()
    });
    assert_eq!(made, 0);
    assert!(session.counters(OUTPUT).full > full);
    assert_eq!(
        (output.data.read(0, 4096), output.producer.read(0, 64)),
        before
    );
    for i in 0..4096 / 112 {
        assert_eq!(check_record(&output.take().unwrap().bytes), i);
    }
    assert_eq!(output.take(), None);
}

fn too_large_refused() {
    let session = Session::new(echo(4096));
    for len in [4089, 4096, 8192, 1 << 20] {
        assert_eq!(session.write(&vec![0; len]), Err(Errno::MSGSIZE));
    }
    assert_eq!(session.counters(INPUT).entries, 0);
    session.write_entry(&[1; 4088]);
    assert_eq!(session.read_entry(), [1; 4088]);
}

/// A source by timer produces in hard interrupt context: numbered, whole, in order.
fn from_timer_interrupt() {
    let session = Session::new(source(1 << 18, 16, 200, 20_000));
    let mut output = Output::new(&session);
    let mut next = 0;
    while next < count(40_000) {
        let Some(entry) = output.take_and_notify(&session) else {
            wait_for(&session, PollFlags::IN, -1);
            continue;
        };
        let sequence = check_record(&entry.bytes);
        assert_eq!(
            sequence,
            next + u64::from(entry.lost),
            "in order, but for what is told"
        );
        next = sequence + 1;
    }
}
