// SPDX-License-Identifier: MIT OR Apache-2.0

//! queues for a number of entries.

use iostream::{Error, Setup};

use crate::clause::Clause;
use crate::raw::{Output, OUTPUT};
use crate::support::driver::Driver;

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-02/entries-fit-at-once", entries_fit_at_once),
    Clause::new("Q-02/others-may-be-queued", others_may_be_queued),
    Clause::new("Q-02/overflow-refused", overflow_refused),
    Clause::new("Q-02/driver-entries-fit", driver_entries_fit),
];

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
        // Together, before the sink takes any out.
        let mut batch = producer.batch();
        for i in 0..entries {
            assert_eq!(batch.enqueue(&entry), Ok(()), "{i} of {entries} x {size}");
        }
        drop(batch);
        // And not a page more than it takes.
        let needed = entries * iostream::occupied_bytes(size);
        assert_eq!(producer.capacity_bytes(), needed.next_multiple_of(4096));
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

fn overflow_refused() {
    let open = |entries, size| Setup::sink().input_entries(entries, size).open().err();
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
        assert_eq!(data_bytes, needed.next_multiple_of(4096));
    }
}
