// SPDX-License-Identifier: MIT OR Apache-2.0

//! whether n entries of a size fit now.

use iostream::Setup;

use crate::clause::Clause;
use crate::raw::Output;
use crate::support::driver::Driver;

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-15/user", user),
    Clause::new("Q-15/driver", driver),
];

/// Size, count, and whether they fit into 4096 bytes that are free.
const EMPTY: [(usize, u64, bool); 9] = [
    (0, 512, true),
    (0, 513, false),
    (8, 256, true),
    (8, 257, false),
    (9, 170, true),
    (9, 171, false),
    (4088, 1, true),
    (4088, 2, false),
    (4089, 1, false),
];

fn user() {
    let session = Setup::sink().input_bytes(4096).open().unwrap();
    let mut producer = session.producer().unwrap();
    for (len, count, fits) in EMPTY {
        assert_eq!(
            producer.can_enqueue(len, count),
            Ok(fits),
            "{count} of {len}"
        );
    }
    assert_eq!(producer.can_enqueue(8, u64::MAX), Ok(false));
    assert_eq!(producer.can_enqueue(usize::MAX, 1), Ok(false));
    // Committed and not shown counts as well.
    let mut batch = producer.batch();
    batch.enqueue(&[0; 4000]).unwrap();
    assert_eq!(batch.room_bytes(), Ok(88));
}

fn driver() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let can = |len: usize, count: u64| driver.count(&format!("can {len} {count}")) == 1;
    for (len, count, fits) in EMPTY {
        assert_eq!(can(len, count), fits, "{count} of {len}");
    }
    assert!(!can(8, u64::MAX));
    driver.tell("enqueue 4000").unwrap();
    assert!(can(80, 1) && can(0, 11));
    assert!(!can(81, 1) && !can(0, 12));
    let mut output = Output::new(&session);
    output.take().unwrap();
    assert!(can(4088, 1));
}
