// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-04: buffers are removed while nobody has the stream open.

use rustix::io::Errno;

use crate::clause::Clause;
use crate::raw::Prot;
use crate::support::driver::Driver;

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-04/by-id", by_id),
    Clause::new("S-04/by-object", by_object),
    Clause::new("S-04/all", all),
    Clause::new("S-04/while-open-refused", while_open_refused),
    Clause::new("S-04/while-mapped-refused", while_mapped_refused),
    Clause::new("S-04/after-close", after_close),
    Clause::new("S-04/bad-id", bad_id),
    Clause::new("S-04/foreign-object", foreign_object),
];

/// A stream whose buffers have the values 10, 11, 12 ...
fn numbered(buffers: u64) -> Driver {
    let driver = Driver::stream(&format!("output {buffers} 64"));
    for id in 0..buffers {
        driver.does(&format!("set-value {id} {}", 10 + id));
    }
    driver
}

fn values(driver: &Driver) -> Vec<u64> {
    let count = driver.count("count");
    (0..count)
        .map(|id| driver.count(&format!("value {id}")))
        .collect()
}

/// Those after it move up: ids stay 0 to count - 1.
fn by_id() {
    let driver = numbered(5);
    driver.does("remove 1");
    assert_eq!(values(&driver), [10, 12, 13, 14]);
    driver.does("remove 3");
    assert_eq!(values(&driver), [10, 12, 13]);
    driver.does("remove 0");
    assert_eq!(values(&driver), [12, 13]);
    assert_eq!(driver.open().stream().buffers, 2);
}

fn by_object() {
    let driver = numbered(4);
    driver.does("keep-record 2");
    // It is the object that goes, whatever its number is by then.
    driver.does("remove 0");
    driver.does("remove-kept");
    assert_eq!(values(&driver), [11, 13]);
    driver.fails("remove-kept", Errno::INVAL);
}

fn all() {
    let driver = numbered(4);
    driver.does("remove-all");
    assert_eq!(driver.count("count"), 0);
    let session = driver.open();
    assert_eq!(session.stream().buffers, 0);
    session.start().unwrap();
    driver.fails("take", Errno::NOSPC);
    drop(session);
    driver.does("add 2");
    assert_eq!(driver.open().stream().buffers, 2);
}

fn while_open_refused() {
    let driver = numbered(3);
    driver.does("keep-record 1");
    let session = driver.open();
    for command in ["remove 0", "remove-kept", "remove-all"] {
        driver.fails(command, Errno::BUSY);
    }
    assert_eq!(session.stream().buffers, 3);
    assert_eq!(values(&driver), [10, 11, 12]);
}

/// The session lasts as long as its last mapping.
fn while_mapped_refused() {
    let driver = numbered(3);
    let session = driver.open();
    let map = session.try_map_buffers(0..1, Prot::READ).unwrap();
    drop(session);
    driver.fails("remove 0", Errno::BUSY);
    drop(map);
    driver.does("remove 0");
}

fn after_close() {
    let driver = numbered(3);
    for left in [2, 1] {
        let session = driver.open();
        driver.fails("remove 0", Errno::BUSY);
        drop(session);
        driver.does("remove 0");
        let stream = driver.open().stream();
        assert_eq!((stream.buffers, stream.max_buffers), (left, left));
    }
}

fn bad_id() {
    let driver = numbered(3);
    for id in [3, 4, u32::MAX] {
        driver.fails(&format!("remove {id}"), Errno::INVAL);
    }
    assert_eq!(values(&driver), [10, 11, 12]);
}

/// A record of another stream, or of a buffer that was removed, is none of this one's.
fn foreign_object() {
    let driver = numbered(3);
    driver.does("keep-record 1");
    driver.does("unpublish");
    driver.does("publish selftest output 3 64");
    driver.fails("remove-kept", Errno::INVAL);
    assert_eq!(driver.count("count"), 3);
}
