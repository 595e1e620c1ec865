// SPDX-License-Identifier: MIT OR Apache-2.0

//! F-02, F-03, F-04: a driver takes its time to change its stream. Meanwhile a call that would change
//! or start the stream, too, can be killed; one that must not wait does not; and whoever polls hears
//! of the change's end.

use std::fs::write;
use std::io::{IoSlice, IoSliceMut};

use iostream_raw::Session;
use iostream_ring::uapi::*;
use rustix::event::PollFlags;
use rustix::fs::{fcntl_getfl, fcntl_setfl, OFlags};
use rustix::io::{preadv2, pwritev2, Errno, ReadWriteFlags, Result};

use crate::clause::Clause;
use crate::support::driver::Driver;
use crate::support::process::kill_asleep;
use crate::support::waiting::woken_by;

pub const CLAUSES: &[Clause] = &[
    Clause::new("F-04/killed-behind-a-change", killed),
    Clause::new("F-03/behind-a-change", nonblocking),
    Clause::new("F-02/poll-behind-a-change", poll_is_woken),
    Clause::new("F-02/poll-behind-a-failing-start", poll_is_told),
];

/// A change of a stream, and whether the stream runs before it.
struct Change {
    what: &'static str,
    runs: bool,
    make: fn(&Session) -> Result<()>,
}

const CHANGES: &[Change] = &[
    Change {
        what: "start",
        runs: false,
        make: Session::start,
    },
    Change {
        what: "mode",
        runs: false,
        make: |session| session.set_mode(IOSTREAM_MODE_OUTPUT),
    },
    Change {
        what: "suspend",
        runs: true,
        make: Session::suspend,
    },
    Change {
        what: "stop",
        runs: true,
        make: |session| session.stop().map(drop),
    },
];

/// A call that waits for another change.
struct Call {
    what: &'static str,
    number: libc::c_long,
    /// Whether it changes a stream that never ran alone.
    starts: bool,
    make: fn(&Session, &Driver) -> Result<()>,
}

const CALLS: &[Call] = &[
    Call {
        what: "start",
        number: libc::SYS_ioctl,
        starts: false,
        make: |session, _| session.start(),
    },
    Call {
        what: "suspend",
        number: libc::SYS_ioctl,
        starts: false,
        make: |session, _| session.suspend(),
    },
    Call {
        what: "stop",
        number: libc::SYS_ioctl,
        starts: false,
        make: |session, _| session.stop().map(drop),
    },
    Call {
        what: "mode",
        number: libc::SYS_ioctl,
        starts: false,
        make: |session, _| session.set_mode(IOSTREAM_MODE_INPUT),
    },
    Call {
        what: "state in sysfs",
        number: libc::SYS_write,
        starts: false,
        make: |_, driver| {
            let written = write(driver.sysfs().join("state"), "running");
            written.map_err(|error| Errno::from_io_error(&error).expect("an errno"))
        },
    },
    Call {
        what: "read",
        number: libc::SYS_read,
        starts: true,
        make: |session, _| session.read(&mut [0; 64]).map(drop),
    },
    Call {
        what: "write",
        number: libc::SYS_write,
        starts: true,
        make: |session, _| session.write(&[0; 64]).map(drop),
    },
];

/// A stream that can be read and written, before a change.
fn prepared(change: &Change) -> (Driver, Session) {
    let driver = Driver::stream("input-output 2 64");
    let session = driver.open();
    if change.runs {
        session.start().unwrap();
    }
    (driver, session)
}

/// Runs `f` while the driver is held in the callback for a change.
fn during(change: &Change, driver: &Driver, session: &Session, f: impl FnOnce()) -> Result<()> {
    std::thread::scope(|scope| {
        let held = driver.hold_callbacks();
        let changer = scope.spawn(|| (change.make)(session));
        driver.wait_for("in_callback", |count| count == 1);
        f();
        drop(held);
        changer.join().expect("the thread that changes")
    })
}

fn killed() {
    for change in CHANGES {
        for call in CALLS {
            if call.starts && change.runs {
                continue;
            }
            println!("# {} during {}", call.what, change.what);
            let (driver, session) = prepared(change);
            let done = during(change, &driver, &session, || {
                kill_asleep(call.number, || (call.make)(&session, &driver));
            });
            assert_eq!(done, Ok(()));
        }
    }
}

/// The offset that means the file's own position.
const HERE: u64 = u64::MAX;

fn nonblocking() {
    for change in CHANGES {
        println!("# during {}", change.what);
        let (driver, session) = prepared(change);
        let done = during(change, &driver, &session, || {
            assert_eq!(session.poll(PollFlags::IN, 0), PollFlags::empty());
            let mut bytes = [0; 64];
            let mut into = [IoSliceMut::new(&mut bytes)];
            let read = preadv2(&session, &mut into, HERE, ReadWriteFlags::NOWAIT);
            let from = [IoSlice::new(&[0; 64])];
            let written = pwritev2(&session, &from, HERE, ReadWriteFlags::NOWAIT);
            let flags = fcntl_getfl(&session).unwrap();
            fcntl_setfl(&session, flags | OFlags::NONBLOCK).unwrap();
            let calls = [
                read,
                session.read(&mut [0; 64]),
                written,
                session.write(&[0; 64]),
            ];
            fcntl_setfl(&session, flags).unwrap();
            assert_eq!(calls, [Err(Errno::AGAIN); 4]);
        });
        assert_eq!(done, Ok(()));
    }
}

/// Whoever polls would start the stream, and does so when the change is over.
fn poll_is_woken() {
    let change = &CHANGES[1];
    let (driver, session) = prepared(change);
    driver.command("auto produce 8");
    let seen = while_polled(change, &driver, &session, Ok(()));
    assert_eq!(seen, PollFlags::IN);
}

/// Runs a change that is over once somebody polls. Returns what poll finds.
fn while_polled(
    change: &Change,
    driver: &Driver,
    session: &Session,
    result: Result<()>,
) -> PollFlags {
    std::thread::scope(|scope| {
        let held = driver.hold_callbacks();
        let changer = scope.spawn(|| (change.make)(session));
        driver.wait_for("in_callback", |count| count == 1);
        let poll = || session.poll(PollFlags::IN, -1);
        let seen = woken_by(libc::SYS_ppoll, poll, || drop(held));
        assert_eq!(changer.join().expect("the thread that changes"), result);
        seen
    })
}

/// Whoever polls while a start is under way that fails tries to start the stream himself, and learns
/// that a read would fail.
fn poll_is_told() {
    let change = &CHANGES[0];
    let (driver, session) = prepared(change);
    driver.command("fail start 5");
    let told = while_polled(change, &driver, &session, Err(Errno::IO));
    assert!(told.contains(PollFlags::ERR), "{told:?}");
}
