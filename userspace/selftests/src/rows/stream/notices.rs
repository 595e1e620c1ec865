// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-15 and S-16: the client's notices, with a token.

use iostream_raw::ioctl;
use iostream_ring::uapi::{IOSTREAM_IOC_INPUT, IOSTREAM_IOC_INPUT_SYNC};
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::driver::Driver;
use crate::support::waiting::woken_by;

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-15/token-reaches-the-callback", token),
    Clause::new("S-15/callback-runs-in-a-worker", in_a_worker),
    Clause::new("S-15/each-call-is-one-callback", one_each),
    Clause::new("S-15/too-many", too_many),
    Clause::new("S-15/whatever-the-state", whatever_the_state),
    Clause::new("S-15/disabled-callbacks-wait", disabled),
    Clause::new("S-15/not-for-the-next-client", not_for_the_next),
    Clause::new("S-15/wrong-argument", || wrong_argument(IOSTREAM_IOC_INPUT)),
    Clause::new("S-15/gone", gone),
    Clause::new("S-16/done-when-the-call-returns", done_when_returned),
    Clause::new("S-16/result-of-the-callback", result),
    Clause::new("S-16/in-the-callers-own-thread", own_thread),
    Clause::new("S-16/wrong-argument", || {
        wrong_argument(IOSTREAM_IOC_INPUT_SYNC)
    }),
    Clause::new("S-16/gone", gone_sync),
];

fn token() {
    let driver = Driver::stream("input 4 4096");
    let session = driver.open();
    for (i, token) in [0, 1, 0x8000_0000, u32::MAX].into_iter().enumerate() {
        let before = driver.log("inputs");
        session.notice(token).unwrap();
        driver.wait_for("inputs", |inputs| inputs == before + 1);
        assert_eq!(driver.log("last_token"), token.into(), "notice {i}");
    }
}

/// The call returns while the callback still runs.
fn in_a_worker() {
    let driver = Driver::stream("input 4 4096");
    let session = driver.open();
    let before = driver.log("inputs");
    let callback = driver.hold_callbacks();
    session.notice(7).unwrap();
    callback.wait_running(1);
    assert_eq!(driver.log("inputs"), before);
    callback.release();
    driver.wait_for("inputs", |inputs| inputs == before + 1);
}

fn one_each() {
    let driver = Driver::stream("input 4 4096");
    let session = driver.open();
    let before = driver.log("inputs");
    for token in 1..=50 {
        session.notice(token).unwrap();
    }
    driver.wait_for("inputs", |inputs| inputs == before + 50);
    assert_eq!(driver.log("last_token"), 50, "in order");
}

/// While one callback runs, up to 64 notices wait.
fn too_many() {
    let driver = Driver::stream("input 4 4096");
    let session = driver.open();
    let before = driver.log("inputs");
    driver.command("disable");
    for token in 1..=64 {
        session.notice(token).unwrap();
    }
    assert_eq!(session.notice(65), Err(Errno::AGAIN));
    driver.command("enable");
    driver.wait_for("inputs", |inputs| inputs == before + 64);
    assert_eq!(driver.log("last_token"), 64);
    session.notice(66).unwrap();
    driver.wait_for("last_token", |token| token == 66);
}

fn whatever_the_state() {
    let driver = Driver::stream("input 4 4096");
    let session = driver.open();
    let steps: [fn(&iostream_raw::Session); 4] = [
        |_| {},
        |session| session.start().unwrap(),
        |session| session.suspend().unwrap(),
        |session| {
            session.stop().unwrap();
        },
    ];
    for (token, step) in (1..).zip(steps) {
        step(&session);
        session.notice(token).unwrap();
        driver.wait_for("last_token", |last| last == token.into());
        assert_eq!(session.notice_sync(token + 100), Ok(()));
        assert_eq!(driver.log("last_token"), u64::from(token) + 100);
    }
}

fn disabled() {
    let driver = Driver::stream("input 4 4096");
    let session = driver.open();
    let before = driver.log("inputs");
    driver.command("disable");
    session.notice(5).unwrap();
    // A synchronous notice is not affected: its caller waits for the callback.
    session.notice_sync(6).unwrap();
    assert_eq!(driver.log("inputs"), before);
    driver.command("enable");
    driver.wait_for("inputs", |inputs| inputs == before + 1);
    assert_eq!(driver.log("last_token"), 5);
}

/// Notices that wait when the session ends are dropped.
fn not_for_the_next() {
    let driver = Driver::stream("input 4 4096");
    let session = driver.open();
    let before = driver.log("inputs");
    driver.command("disable");
    for token in 1..=10 {
        session.notice(token).unwrap();
    }
    drop(session);
    driver.command("enable");
    let next = driver.open();
    next.notice(99).unwrap();
    driver.wait_for("last_token", |token| token == 99);
    assert_eq!(driver.log("inputs"), before + 1);
}

/// A token has 32 bits, and a node without a stream takes no notices.
fn wrong_argument(call: u32) {
    let driver = Driver::stream("input 4 4096");
    let session = driver.open();
    let argument = std::ptr::without_provenance_mut(1 << 32);
    assert_eq!(ioctl(&session, call, argument), Err(Errno::INVAL));
    drop((session, driver));
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    let argument = std::ptr::without_provenance_mut(1);
    assert_eq!(ioctl(&session, call, argument), Err(Errno::NOTTY));
}

fn gone() {
    let driver = Driver::stream("input 4 4096");
    let session = driver.open();
    let callback = driver.hold_callbacks();
    session.notice(1).unwrap();
    callback.wait_running(1);
    // The removal waits for the running callback.
    let removed = || {
        driver.unpublish();
        driver.log("in_callback")
    };
    let running = woken_by(libc::SYS_write, removed, || callback.release());
    assert_eq!(running, 0);
    assert_eq!(session.notice(2), Err(Errno::NODEV));
}

fn done_when_returned() {
    let driver = Driver::stream("input 4 4096");
    let session = driver.open();
    let before = driver.log("syncs");
    for token in 1..=3 {
        let callback = driver.hold_callbacks();
        let call = || {
            session.notice_sync(token).unwrap();
            driver.log("syncs")
        };
        let syncs = woken_by(libc::SYS_ioctl, call, || callback.release());
        assert_eq!(syncs, before + u64::from(token));
        assert_eq!(driver.log("last_token"), token.into());
    }
}

fn result() {
    let driver = Driver::stream("input 4 4096");
    let session = driver.open();
    driver.command("fail sync 71");
    assert_eq!(session.notice_sync(1), Err(Errno::PROTO));
    driver.command("fail sync 0");
    assert_eq!(session.notice_sync(1), Ok(()));
}

/// Two callers run two callbacks at the same time, and neither waits for the worker's.
fn own_thread() {
    let driver = Driver::stream("input 4 4096");
    let session = driver.open();
    std::thread::scope(|scope| {
        let callbacks = driver.hold_callbacks();
        session.notice(1).unwrap();
        for token in 2..=3 {
            let session = &session;
            scope.spawn(move || session.notice_sync(token).unwrap());
        }
        callbacks.wait_running(3);
    });
}

fn gone_sync() {
    let driver = Driver::stream("input 4 4096");
    let session = driver.open();
    driver.unpublish();
    assert_eq!(session.notice_sync(1), Err(Errno::NODEV));
}
