// SPDX-License-Identifier: MIT OR Apache-2.0

//! F-06: a change of the reading mode ends each wait for what only the new mode has to read, or to
//! fill.

use iostream_raw::Session;
use iostream_ring::uapi::*;
use rustix::event::PollFlags;

use crate::clause::Clause;
use crate::support::driver::Driver;
use crate::support::waiting::woken_by;

pub const CLAUSES: &[Clause] = &[
    Clause::new("F-06/mode-change-ends-a-poll", ends_a_poll),
    Clause::new("F-06/mode-change-ends-a-write", ends_a_write),
];

/// All sets of flags.
fn modes() -> impl Iterator<Item = u32> {
    (0..=IOSTREAM_READ_FLAGS).filter(|flags| flags & !IOSTREAM_READ_FLAGS == 0)
}

fn set_mode(session: &Session, flags: u32) {
    let set = session.pass_number(IOSTREAM_IOC_READ_MODE, flags as usize);
    set.expect("IOSTREAM_IOC_READ_MODE");
}

fn started(driver: &Driver) -> Session {
    let session = driver.open();
    session.start().expect("start");
    session
}

/// An entry without data, after a loss.
fn enqueue_empty(driver: &Driver) {
    driver.command("lost 3");
    driver.command("enqueue 0");
}

/// A buffer without data, after a loss.
fn send_empty(driver: &Driver) {
    driver.command("lost 3");
    driver.send_buffer(0);
}

/// Each change after which there is something to read, or to fill, where nothing was before.
fn ends_a_poll() {
    for publish in [|| Driver::new(4096, 0), || Driver::overwriting(4096)] {
        let driver = publish();
        let session = driver.open();
        enqueue_empty(&driver);
        poll_over_each_change(&session, PollFlags::IN);
    }
    for (spec, events) in [
        ("output 3 64", PollFlags::IN),
        ("input-output 3 64 drain=1", PollFlags::IN),
        ("input-output 3 64 drain=1", PollFlags::OUT),
    ] {
        let driver = Driver::stream(spec);
        let session = started(&driver);
        send_empty(&driver);
        poll_over_each_change(&session, events);
    }
}

#[track_caller]
fn poll_over_each_change(session: &Session, events: PollFlags) {
    let ready = |flags| {
        set_mode(session, flags);
        !session.poll(events, 0).is_empty()
    };
    let mut waits = 0;
    for (from, to) in modes().flat_map(|from| modes().map(move |to| (from, to))) {
        if !ready(to) || ready(from) {
            continue;
        }
        let poll = || session.poll(events, -1);
        let said = woken_by(libc::SYS_ppoll, poll, || set_mode(session, to));
        assert_eq!(said, events, "from {from} to {to}");
        waits += 1;
    }
    assert_ne!(waits, 0, "no change makes it ready");
}

/// write(2) fills an empty buffer once the loss before it need not be told.
fn ends_a_write() {
    let driver = Driver::stream("input-output 3 64 drain=1");
    let session = started(&driver);
    set_mode(&session, IOSTREAM_READ_LOSS);
    send_empty(&driver);
    let write = || session.write(b"x");
    let written = woken_by(libc::SYS_write, write, || set_mode(&session, 0));
    assert_eq!(written, Ok(1));
}
