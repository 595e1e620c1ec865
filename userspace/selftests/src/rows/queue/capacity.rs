// SPDX-License-Identifier: MIT OR Apache-2.0

//! queues of a byte capacity.

use iostream_ring::uapi::iostream_setup;
use rustix::io::Errno;

use crate::clause::Clause;
use crate::raw::{echo, sink, source, Session, INPUT, OUTPUT};

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-01/rounded-to-pages", rounded_to_pages),
    Clause::new("Q-01/overhead-included", overhead_included),
    Clause::new("Q-01/fixed-for-life", fixed_for_life),
    Clause::new("Q-01/zero-refused", zero_refused),
    Clause::new("Q-01/overflow-refused", overflow_refused),
    Clause::new("Q-01/above-limit-refused", above_limit_refused),
    Clause::new("Q-01/total-limit-refused", total_limit_refused),
];

fn page() -> u64 {
    rustix::param::page_size() as u64
}

fn rounded_to_pages() {
    for bytes in [
        1,
        8,
        page() - 1,
        page(),
        page() + 1,
        3 * page(),
        100 * page() - 7,
    ] {
        let session = Session::new(iostream_setup {
            output_bytes: 2 * bytes,
            ..echo(bytes)
        });
        let input = session.queue(INPUT);
        assert_eq!(input.data_bytes, bytes.next_multiple_of(page()));
        assert_eq!(u64::from(input.page_bytes), page());
        let output = session.queue(OUTPUT);
        assert_eq!(output.data_bytes, (2 * bytes).next_multiple_of(page()));
    }
}

/// The longest entry and its header fill the queue.
fn overhead_included() {
    for pages in [1, 2, 7] {
        let session = Session::new(echo(pages * page()));
        for direction in [OUTPUT, INPUT] {
            let queue = session.queue(direction);
            assert_eq!(u64::from(queue.max_entry_bytes), pages * page() - 8);
        }
        let entry = vec![7; (pages * page() - 8) as usize];
        session.write_entry(&entry);
        assert_eq!(session.read_entry(), entry);
    }
}

fn fixed_for_life() {
    let session = Session::new(echo(page()));
    let before = session.queue(OUTPUT);
    assert_eq!(session.setup(echo(2 * page())), Err(Errno::ALREADY));
    assert_eq!(session.setup(echo(page())), Err(Errno::ALREADY));
    session.write_entry(b"still works");
    assert_eq!(session.read_entry(), b"still works");
    let after = session.queue(OUTPUT);
    assert_eq!(after.data_bytes, before.data_bytes);
    assert_eq!(after.max_entry_bytes, before.max_entry_bytes);
}

/// Refused with `error`, and the same session can be set up rightly after it.
fn refused(setup: iostream_setup, error: Errno) {
    let session = Session::bare();
    assert_eq!(session.setup(setup), Err(error), "{setup:?}");
    assert_eq!(session.setup(echo(page())), Ok(()));
    session.write_entry(b"works");
    assert_eq!(session.read_entry(), b"works");
}

fn either(bytes: u64, error: Errno) {
    let good = echo(page());
    refused(source(bytes, 16, 16, 0), error);
    refused(sink(bytes), error);
    refused(
        iostream_setup {
            output_bytes: bytes,
            ..good
        },
        error,
    );
    refused(
        iostream_setup {
            input_bytes: bytes,
            ..good
        },
        error,
    );
}

fn zero_refused() {
    either(0, Errno::INVAL);
}

fn overflow_refused() {
    for bytes in [u64::MAX, u64::MAX - 1, u64::MAX - page() + 2] {
        either(bytes, Errno::OVERFLOW);
    }
}

fn above_limit_refused() {
    let limit = Session::bare().version().unwrap().max_queue_bytes;
    for bytes in [
        limit + 1,
        limit + page(),
        1 << 32,
        1 << 40,
        u64::MAX - page() + 1,
    ] {
        either(bytes, Errno::TOOBIG);
    }
}

/// Sessions are opened until the total is used up; when they are gone, there is room again.
fn total_limit_refused() {
    let version = Session::bare().version().unwrap();
    let bytes = version.max_queue_bytes.min(version.max_total_bytes / 4);
    let mut sessions = Vec::new();
    loop {
        let session = Session::bare();
        match session.setup(echo(bytes)) {
            Ok(()) => sessions.push(session),
            Err(Errno::DQUOT) => break,
            // This machine has less memory than the module may take.
            Err(Errno::NOMEM) => crate::clause::skip("too little memory for the total"),
            Err(error) => panic!("{error}"),
        }
        assert!(sessions.len() as u64 * bytes * 2 <= version.max_total_bytes);
    }
    assert!(!sessions.is_empty());
    sessions.clear();
    assert_eq!(Session::bare().setup(echo(bytes)), Ok(()));
}
