// SPDX-License-Identifier: MIT OR Apache-2.0

//! queues for a number of bytes, or for a number of entries.

use iostream::{Error, OpenError, Setup};
use iostream_raw::{echo, page, sink, source, Output, Session, INPUT, OUTPUT};
use iostream_ring::uapi::iostream_setup;
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::driver::Driver;
use crate::support::memory::wait_for_no_pages;
use crate::support::user::obey_limits;

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-01/rounded-to-pages", rounded_to_pages),
    Clause::new("Q-01/overhead-included", overhead_included),
    Clause::new("Q-01/fixed-for-life", fixed_for_life),
    Clause::new("Q-01/zero-refused", zero_refused),
    Clause::new("Q-01/overflow-refused", overflow_refused),
    Clause::new("Q-01/above-limit-refused", above_limit_refused),
    Clause::new("Q-01/total-limit-refused", total_limit_refused),
    Clause::new("Q-02/entries-fit-at-once", entries_fit_at_once),
    Clause::new("Q-02/others-may-be-queued", others_may_be_queued),
    Clause::new("Q-02/overflow-refused", entries_overflow_refused),
    Clause::new("Q-02/driver-entries-fit", driver_entries_fit),
    Clause::new("Q-01/driver-capacity", driver_capacity),
];

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

/// The set-up fails with `error`, and a correct one of the same session succeeds afterwards.
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

/// Sessions are opened until the total is used up. Once they are closed, there is room again.
fn total_limit_refused() {
    obey_limits();
    let version = Session::bare().version().unwrap();
    let bytes = version.max_queue_bytes.min(version.max_total_bytes / 4);
    let mut sessions = Vec::new();
    loop {
        let session = Session::bare();
        match session.setup(echo(bytes)) {
            Ok(()) => sessions.push(session),
            Err(Errno::DQUOT) => break,
            // This machine has less memory than the module's limit.
            Err(Errno::NOMEM) => crate::clause::skip("too little memory for the total"),
            Err(error) => panic!("{error}"),
        }
        assert!(sessions.len() as u64 * bytes * 2 <= version.max_total_bytes);
    }
    assert!(!sessions.is_empty());
    sessions.clear();
    // A worker frees their pages, after a grace period.
    wait_for_no_pages();
    assert_eq!(Session::bare().setup(echo(bytes)), Ok(()));
}

const CASES: [(u64, u32); 8] = [
    (1, 0),
    (512, 0),
    (513, 0),
    (1, 4088),
    (1, 4089),
    (100, 33),
    (1000, 1500),
    (3, 100_000),
];

fn entries_fit_at_once() {
    for (entries, size) in CASES {
        let session = Setup::sink().input_entries(entries, size).open().unwrap();
        let mut producer = session.producer().unwrap();
        let entry = vec![1; size as usize];
        // All are published together, before the sink takes any.
        let mut batch = producer.batch();
        for i in 0..entries {
            assert_eq!(batch.enqueue(&entry), Ok(()), "{i} of {entries} x {size}");
        }
        drop(batch);
        // The queue has no page more than they need.
        let needed = entries * iostream::occupied_bytes(size);
        assert_eq!(producer.capacity_bytes(), needed.next_multiple_of(page()));
    }
}

fn others_may_be_queued() {
    let session = Setup::sink().input_entries(10, 400).open().unwrap();
    let mut producer = session.producer().unwrap();
    assert_eq!(producer.enqueue(&[1; 4000]), Ok(()));
    let mut batch = producer.batch();
    for _ in 0..512 {
        assert_eq!(batch.enqueue(b""), Ok(()));
    }
}

fn entries_overflow_refused() {
    let open = |entries, size| match Setup::sink().input_entries(entries, size).open() {
        Err(OpenError::Other(error)) => Some(error),
        opened => panic!("{opened:?}"),
    };
    assert_eq!(open(u64::MAX, 1), Some(Error::Overflow));
    assert_eq!(open(1 << 32, u32::MAX), Some(Error::Overflow));
    assert!(matches!(
        open(1 << 40, 8),
        Some(Error::LimitExceeded { .. })
    ));
    assert!(matches!(open(0, 8), Some(Error::InvalidArgument(_))));
}

fn driver_entries_fit() {
    for (entries, size) in CASES {
        let driver = Driver::unpublished();
        let command = format!("publish-entries selftest {entries} {size}");
        driver.tell(&command).unwrap();
        let session = driver.open();
        let fitted = driver.count(&format!("fill {size}"));
        assert!(fitted >= entries, "{fitted} of {entries} x {size}");
        let mut output = Output::new(&session);
        for _ in 0..fitted {
            assert_eq!(output.take().unwrap().bytes.len(), size as usize);
        }
        let data_bytes = session.queue(OUTPUT).data_bytes;
        let needed = entries * iostream::occupied_bytes(size);
        assert_eq!(data_bytes, needed.next_multiple_of(page()));
    }
}

fn driver_capacity() {
    let limit = Session::bare().version().unwrap().max_queue_bytes;
    for (asked, made) in [
        (1, page()),
        (page(), page()),
        (page() + 1, 2 * page()),
        (10 * page() - 960, 10 * page()),
        (limit, limit),
    ] {
        let driver = Driver::new(asked, 0);
        let queue = driver.open().queue(OUTPUT);
        assert_eq!(queue.data_bytes, made);
        assert_eq!(u64::from(queue.max_entry_bytes), made - 8);
    }
}
