// SPDX-License-Identifier: MIT OR Apache-2.0

//! Q-04 at the kernel's end: reservations, also when the queue goes away under them.

use rustix::io::{Errno, Result};

use crate::clause::Clause;
use crate::raw::{Output, Session, INPUT, OUTPUT};
use crate::support::driver::{self, Driver};
use crate::support::waiting::wait_until;

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-04/kernel-held-then-published", held_then_published),
    Clause::new("Q-04/kernel-held-across-close", held_across_close),
    Clause::new("Q-04/kernel-held-across-removal", held_across_removal),
    Clause::new("Q-19/kernel-handles-from-before-fail", handles_fail),
];

/// Has the driver hold a command half-way while `meanwhile` runs. Returns what the command did.
pub fn held(driver: &Driver, command: &str, meanwhile: impl FnOnce()) -> Result<()> {
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| driver.tell(command));
        wait_until("held", || driver.log("held") == 1 || holder.is_finished());
        meanwhile();
        driver.does("go");
        holder.join().expect("the thread that holds")
    })
}

fn held_then_published() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let mut output = Output::new(&session);
    let done = held(&driver, "reserve 50 hold", || {
        assert_eq!(output.available(), 0, "not yet");
    });
    assert_eq!(done, Ok(()));
    assert_eq!(output.take().unwrap().bytes, driver::entry(0, 50));
}

/// The next client gets nothing of what was meant for the last one.
fn held_across_close() {
    let driver = Driver::new(4096, 0);
    let mut session = Some(driver.open());
    let mut next = None;
    let done = held(&driver, "reserve 50 hold", || {
        session = None;
        next = Some(driver.open());
    });
    assert_eq!(done, Err(Errno::STALE));
    let next = next.unwrap();
    let mut output = Output::new(&next);
    assert_eq!(output.available(), 0);
    assert!(output.data.read(0, 8192).iter().all(|byte| *byte == 0));
    assert_eq!(next.counters(OUTPUT).entries, 0);
    driver.does("enqueue 9");
    assert_eq!(output.take().unwrap().bytes, driver::entry(1, 9));
    // And with nobody there.
    let done = held(&driver, "reserve 50 hold", || drop((next, output)));
    assert_eq!(done, Err(Errno::NOTCONN));
}

fn held_across_removal() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let output = Output::new(&session);
    let done = held(&driver, "reserve 50 hold", || driver.does("unpublish"));
    assert_eq!(done, Err(Errno::NODEV));
    assert_eq!(output.available(), 0);
}

/// An entry that was looked at before a reset is not the one that is removed after it.
fn handles_fail() {
    let driver = Driver::new(0, 4096);
    let session: Session = driver.open();
    session.write_entry(b"old");
    let done = held(&driver, "release hold", || {
        session.reset(INPUT).unwrap();
        session.write_entry(b"fresh");
    });
    assert_eq!(done, Err(Errno::STALE));
    driver.does("peek");
    assert_eq!(driver.log("len"), 5, "it is still there");
    let done = held(&driver, "release hold", || {
        assert_eq!(session.queue(INPUT).generation, 2);
    });
    assert_eq!(done, Ok(()));
    driver.fails("peek", Errno::NODATA);
}
