// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-07: the state as a writable sysfs attribute.

use std::fs::{metadata, write};
use std::os::unix::fs::PermissionsExt;

use iostream_ring::uapi::*;
use rustix::io::Errno;

use crate::clause::{count, Clause};
use crate::support::driver::Driver;
use crate::support::waiting::{wait_until, woken_by};

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-07/sysfs-shows-the-state", shows_the_state),
    Clause::new("S-07/sysfs-changes-the-state", changes_the_state),
    Clause::new("S-07/sysfs-root-alone", root_alone),
    Clause::new("S-07/sysfs-nobody-there", nobody_there),
    Clause::new("S-07/sysfs-bad-words", bad_words),
    Clause::new("S-07/sysfs-errors", errors),
    Clause::new("S-07/sysfs-drains", drains),
    Clause::new("S-07/sysfs-drain-and-removal", drain_and_removal),
    Clause::new("S-07/sysfs-all-clients", all_clients),
    Clause::new("S-07/sysfs-one-client-errs", one_client_errs),
    Clause::new("S-07/sysfs-while-sessions-end", while_sessions_end),
    Clause::new("S-07/sysfs-where-buffers-are", where_buffers_are),
];

fn set(driver: &Driver, word: &str) -> Result<(), Errno> {
    let done = write(driver.sysfs().join("state"), word);
    done.map_err(|error| Errno::from_io_error(&error).expect("an errno"))
}

fn shows_the_state() {
    let driver = Driver::stream("output 2 64");
    assert_eq!(driver.shown("state"), "stopped");
    let session = driver.open();
    assert_eq!(driver.shown("state"), "stopped");
    session.start().unwrap();
    assert_eq!(driver.shown("state"), "running");
    session.suspend().unwrap();
    assert_eq!(driver.shown("state"), "suspended");
    session.stop().unwrap();
    assert_eq!(driver.shown("state"), "stopped");
    session.start().unwrap();
    drop(session);
    assert_eq!(driver.shown("state"), "stopped");
}

/// Words change the state while a client has the stream open, with or without a line end.
fn changes_the_state() {
    let driver = Driver::stream("output 2 64");
    let stream = driver.open_stream();
    driver.command("behave");
    for (word, state) in [
        ("running", IOSTREAM_STATE_RUNNING),
        ("suspended\n", IOSTREAM_STATE_SUSPENDED),
        ("running\n", IOSTREAM_STATE_RUNNING),
        ("stopped", IOSTREAM_STATE_STOPPED),
        ("running", IOSTREAM_STATE_RUNNING),
        ("drained\n", IOSTREAM_STATE_STOPPED),
    ] {
        assert_eq!(set(&driver, word), Ok(()));
        assert_eq!(stream.session.stream().state, state);
    }
    let calls = driver.text("order").replace(['D', 'R'], "");
    assert_eq!(calls, "spsxsd");
}

fn root_alone() {
    let driver = Driver::stream("output 2 64");
    let mode = metadata(driver.sysfs().join("state"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o644);
}

fn nobody_there() {
    let driver = Driver::stream("output 2 64");
    for word in ["running", "suspended", "stopped", "drained"] {
        assert_eq!(set(&driver, word), Err(Errno::NOTCONN), "{word}");
    }
}

fn bad_words() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open();
    for word in [
        "",
        "\n",
        "run",
        "runnings",
        "Running",
        "running running",
        "\0",
        "1",
    ] {
        // sysfs does not pass an empty write on.
        if !word.is_empty() {
            assert_eq!(set(&driver, word), Err(Errno::INVAL), "{word:?}");
        }
    }
    assert_eq!(session.stream().state, IOSTREAM_STATE_STOPPED);
}

/// Writes fail with the same errors as the calls.
fn errors() {
    let driver = Driver::stream("output 2 64");
    let _session = driver.open();
    assert_eq!(set(&driver, "suspended"), Err(Errno::BADFD));
    assert_eq!(set(&driver, "stopped"), Err(Errno::ALREADY));
    driver.command("fail start 5");
    assert_eq!(set(&driver, "running"), Err(Errno::IO));
    assert_eq!(driver.shown("state"), "stopped");
    driver.command("fail start 0");
    assert_eq!(set(&driver, "running"), Ok(()));
    assert_eq!(set(&driver, "running"), Err(Errno::ALREADY));
}

fn drains() {
    let driver = Driver::stream("input 2 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    stream.send_buffer(0, 1);
    let drain = || set(&driver, "drained");
    let took = || driver.command("consume 1");
    assert_eq!(woken_by(libc::SYS_write, drain, took), Ok(()));
    assert_eq!(stream.counters().discarded, 0);
}

/// A drain that waits in the write does not delay the removal.
fn drain_and_removal() {
    let driver = Driver::stream("input 2 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    stream.send_buffer(0, 1);
    let drain = || set(&driver, "drained");
    let removed = || driver.unpublish();
    assert_eq!(woken_by(libc::SYS_write, drain, removed), Err(Errno::NODEV));
}

fn all_clients() {
    let driver = Driver::stream("output 2 64 clients=3");
    let sessions = [driver.open(), driver.open()];
    assert_eq!(set(&driver, "running"), Ok(()));
    for session in &sessions {
        assert_eq!(session.stream().state, IOSTREAM_STATE_RUNNING);
    }
}

/// What one client cannot do does not keep it from the others; the error is still returned.
fn one_client_errs() {
    let driver = Driver::stream("output 2 64 clients=3");
    let sessions = [driver.open(), driver.open(), driver.open()];
    let states = || [0, 1, 2].map(|i: usize| sessions[i].stream().state);
    sessions[0].start().unwrap();
    assert_eq!(set(&driver, "running"), Err(Errno::ALREADY));
    assert_eq!(states(), [IOSTREAM_STATE_RUNNING; 3]);
    sessions[1].stop().unwrap();
    assert_eq!(set(&driver, "suspended"), Err(Errno::BADFD));
    let suspended = IOSTREAM_STATE_SUSPENDED;
    assert_eq!(states(), [suspended, IOSTREAM_STATE_STOPPED, suspended]);
    assert_eq!(set(&driver, "stopped"), Err(Errno::ALREADY));
    assert_eq!(states(), [IOSTREAM_STATE_STOPPED; 3]);
}

/// A stream that was started is stopped before its session ends, even while others write to the
/// attribute.
fn while_sessions_end() {
    let driver = Driver::stream("output 2 64");
    let state = driver.sysfs().join("state");
    let done = std::sync::atomic::AtomicBool::new(false);
    let balance = || {
        let stops = driver.log("stops_discard") + driver.log("stops_drain");
        (driver.log("starts"), stops)
    };
    let before = balance();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = write(&state, "running");
            }
        });
        driver.command("slow 1");
        for _ in 0..count(2000) {
            let session = driver.open();
            let starts = driver.log("starts");
            wait_until("it is started", || {
                driver.log("starts") > starts || {
                    session.stream().state == IOSTREAM_STATE_RUNNING
                }
            });
            drop(session);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let after = balance();
    assert!(after.0 - before.0 >= count(2000));
    assert_eq!(after.0 - before.0, after.1 - before.1, "starts and stops");
}

fn where_buffers_are() {
    let driver = Driver::stream("output 4 64");
    assert_eq!(driver.shown("buffers_where"), "");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    assert_eq!(driver.shown("buffers_where"), "ffff");
    driver.command("take");
    assert_eq!(driver.shown("buffers_where"), "hfff");
    driver.command("send 0");
    assert_eq!(driver.shown("buffers_where"), "cfff");
    stream.take().unwrap();
    stream.give_back(0);
    assert_eq!(
        driver.shown("buffers_where"),
        "cfff",
        "until the driver looks"
    );
    for _ in 0..4 {
        driver.command("take");
    }
    assert_eq!(driver.shown("buffers_where"), "hhhh");
}
