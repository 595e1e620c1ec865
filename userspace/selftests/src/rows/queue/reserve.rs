// SPDX-License-Identifier: MIT OR Apache-2.0

//! reserve in place, fill, commit or discard.

use iostream::Setup;
use iostream_raw::{page_len, Output, OUTPUT};
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::driver::{self, Driver};

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-04/commit", commit),
    Clause::new("Q-04/commit-shorter", commit_shorter),
    Clause::new("Q-04/discarded-dropped-leaked", discarded_dropped_leaked),
    Clause::new("Q-04/driver-commit", driver_commit),
    Clause::new(
        "Q-04/driver-discarded-and-leaked",
        driver_discarded_and_leaked,
    ),
    Clause::new(
        "Q-04/driver-reservation-across-reset",
        driver_reservation_across_reset,
    ),
    Clause::new("Q-04/kernel-held-then-published", held_then_published),
    Clause::new("Q-04/kernel-held-across-close", held_across_close),
    Clause::new("Q-04/kernel-held-across-removal", held_across_removal),
];

fn commit() {
    let session = Setup::echo().open().unwrap();
    let (mut producer, mut consumer) = (session.producer().unwrap(), session.consumer().unwrap());
    for len in [0, 1, 8, 100, 5000] {
        let mut entry = producer.reserve(len).unwrap();
        assert_eq!(entry.len(), len);
        entry.fill(len as u8);
        entry.commit().unwrap();
        assert_eq!(
            consumer.dequeue_wait(None).unwrap()[..],
            vec![len as u8; len]
        );
    }
}

fn commit_shorter() {
    let session = Setup::echo().open().unwrap();
    let (mut producer, mut consumer) = (session.producer().unwrap(), session.consumer().unwrap());
    for len in [0, 1, 50, 99, 100] {
        let mut entry = producer.reserve(100).unwrap();
        entry.fill(9);
        entry.commit_len(len).unwrap();
        assert_eq!(consumer.dequeue_wait(None).unwrap()[..], vec![9; len]);
    }
    assert!(producer.reserve(100).unwrap().commit_len(101).is_err());
}

fn discarded_dropped_leaked() {
    let session = Setup::echo().open().unwrap();
    let (mut producer, mut consumer) = (session.producer().unwrap(), session.consumer().unwrap());
    let room = producer.room_bytes().unwrap();
    for way in 0..3 {
        let mut entry = producer.reserve(1000).unwrap();
        entry.fill(0xff);
        match way {
            0 => entry.discard(),
            1 => {}
            // A forgotten box is never dropped.
            _ => std::mem::forget(Box::new(entry)),
        }
        assert_eq!(producer.room_bytes(), Ok(room));
        assert!(!consumer.is_ready().unwrap());
        producer.enqueue(b"next").unwrap();
        assert_eq!(&*consumer.dequeue_wait(None).unwrap(), b"next");
    }
}

fn driver_commit() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let mut output = Output::new(&session);
    driver.tell("reserve 100 commit").unwrap();
    assert_eq!(output.take().unwrap().bytes, driver::entry(0, 100));
    driver.tell("reserve 100 commit-short").unwrap();
    assert_eq!(output.take().unwrap().bytes, driver::entry(1, 50));
}

fn driver_discarded_and_leaked() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let mut output = Output::new(&session);
    for (i, way) in ["discard", "leak"].into_iter().enumerate() {
        let before = session.counters(OUTPUT);
        driver.tell(&format!("reserve 4088 {way}")).unwrap();
        let after = session.counters(OUTPUT);
        assert_eq!((after.entries, after.bytes), (before.entries, before.bytes));
        assert_eq!(output.take(), None);
        driver.tell("enqueue 4000").unwrap();
        let expected = driver::entry(2 * i as u64 + 1, 4000);
        assert_eq!(output.take().unwrap().bytes, expected);
    }
}

/// A reservation from before a reset, or from an ended session, cannot be committed.
fn driver_reservation_across_reset() {
    let driver = Driver::new(4096, 0);
    for reset in [true, false] {
        let session = driver.open();
        std::thread::scope(|scope| {
            let holder = scope.spawn(|| driver.tell("reserve 100 hold"));
            driver.wait_for("held", |held| held == 1);
            if reset {
                session.reset(OUTPUT).unwrap();
                driver.tell("go").unwrap();
                assert_eq!(holder.join().unwrap(), Err(Errno::STALE));
                let mut output = Output::new(&session);
                assert_eq!(output.take(), None);
                driver.tell("enqueue 10").unwrap();
                assert_eq!(output.take().unwrap().bytes.len(), 10);
            } else {
                drop(session);
                driver.tell("go").unwrap();
                let refused = holder.join().unwrap();
                assert!(
                    matches!(refused, Err(Errno::STALE | Errno::NOTCONN)),
                    "{refused:?}"
                );
            }
        });
    }
}

fn held_then_published() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let mut output = Output::new(&session);
    let done = driver.held("reserve 50 hold", || {
        assert_eq!(output.available(), 0, "not yet");
    });
    assert_eq!(done, Ok(()));
    assert_eq!(output.take().unwrap().bytes, driver::entry(0, 50));
}

/// The next client gets nothing that was meant for the previous one.
fn held_across_close() {
    let driver = Driver::new(4096, 0);
    let mut session = Some(driver.open());
    let mut next = None;
    let done = driver.held("reserve 50 hold", || {
        session = None;
        next = Some(driver.open());
    });
    assert_eq!(done, Err(Errno::STALE));
    let next = next.unwrap();
    let mut output = Output::new(&next);
    assert_eq!(output.available(), 0);
    assert!(output
        .data
        .read(0, 2 * page_len())
        .iter()
        .all(|byte| *byte == 0));
    assert_eq!(next.counters(OUTPUT).entries, 0);
    driver.command("enqueue 9");
    assert_eq!(output.take().unwrap().bytes, driver::entry(1, 9));
    // The same with no client.
    let done = driver.held("reserve 50 hold", || drop((next, output)));
    assert_eq!(done, Err(Errno::NOTCONN));
}

fn held_across_removal() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let output = Output::new(&session);
    let done = driver.held("reserve 50 hold", || driver.unpublish());
    assert_eq!(done, Err(Errno::NODEV));
    assert_eq!(output.available(), 0);
}
