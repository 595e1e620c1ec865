// SPDX-License-Identifier: MIT OR Apache-2.0

//! a driver's callbacks are called, disabled, enabled and cancelled.

use std::fs::read_to_string;
use std::sync::atomic::{AtomicBool, Ordering::*};
use std::sync::OnceLock;

use iostream_raw::{Input, INPUT};
use rustix::io::Errno;

use crate::clause::{count, Clause};
use crate::support::driver::Driver;
use crate::support::waiting::{this_thread, wait_until, woken_by, HOUR_MS};

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-21/disabled-none-is-called", disabled_none_is_called),
    Clause::new("Q-21/disable-waits-for-it", || waits_for_it("disable")),
    Clause::new("Q-21/cancel-waits-for-it", || waits_for_it("cancel")),
    Clause::new("Q-21/removal-waits-for-it", || waits_for_it("unpublish")),
    Clause::new("Q-21/cancelled-for-ever", cancelled_for_ever),
    Clause::slow("Q-21/toggled-while-called", 120, toggled_while_called),
    Clause::new("Q-13/kernel-data-callback", data_callback),
    Clause::new("Q-21/disabled-ends-still-move", disabled_ends_still_move),
];

fn disabled_none_is_called() {
    let driver = Driver::new(0, 4096);
    let session = driver.open();
    let calls = || driver.log("data_callbacks");
    let before = calls();
    session.notify(INPUT).unwrap();
    assert_eq!(calls(), before + 1);
    driver.tell("disable").unwrap();
    for _ in 0..5 {
        session.notify(INPUT).unwrap();
    }
    assert_eq!(calls(), before + 1);
    // The call that was due meanwhile is made once.
    driver.tell("enable").unwrap();
    assert_eq!(calls(), before + 2);
    session.notify(INPUT).unwrap();
    assert_eq!(calls(), before + 3);
}

/// The command waits for the callback that runs: when it returns, none does.
fn waits_for_it(command: &str) {
    let driver = Driver::new(0, 4096);
    let session = driver.open();
    for _ in 0..3 {
        std::thread::scope(|scope| {
            let callback = driver.hold_callbacks();
            scope.spawn(|| session.notify(INPUT));
            callback.wait_running(1);
            let (task, returned) = (OnceLock::new(), AtomicBool::new(false));
            let done = || {
                task.set(this_thread()).expect("the only thread");
                driver.command(command);
                returned.store(true, Release);
                driver.log("in_callback")
            };
            // The command may also sleep for something that needs no callback to end.
            let release = || {
                let stack = task.get().expect("it sleeps").join("stack");
                wait_until("waits for the callback", || {
                    assert!(!returned.load(Acquire), "{command} does not wait");
                    let stack = read_to_string(&stack).unwrap_or_default();
                    stack.contains("synchronize_srcu")
                });
                callback.release();
            };
            let running = woken_by(libc::SYS_write, done, release);
            assert_eq!(running, 0, "when {command} returns");
        });
        if command != "disable" {
            break;
        }
        driver.command("enable");
    }
}

fn cancelled_for_ever() {
    let driver = Driver::new(0, 4096);
    let session = driver.open();
    let before = driver.log("data_callbacks");
    driver.tell("cancel").unwrap();
    session.notify(INPUT).unwrap();
    driver.tell("enable").unwrap();
    session.notify(INPUT).unwrap();
    assert_eq!(driver.log("data_callbacks"), before);
    // The queue works without callbacks.
    session.write_entry(b"entry");
    assert_eq!(driver.tell("dequeue 10"), Ok(()));
}

fn toggled_while_called() {
    let driver = Driver::new(0, 4096);
    let session = driver.open();
    let total = count(5000);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..total {
                    session.notify(INPUT).unwrap();
                }
            });
        }
        for _ in 0..total / 10 {
            driver.tell("disable").unwrap();
            let calls = driver.log("data_callbacks");
            assert_eq!(driver.log("in_callback"), 0);
            assert_eq!(driver.log("data_callbacks"), calls);
            driver.tell("enable").unwrap();
        }
    });
    let before = driver.log("data_callbacks");
    session.notify(INPUT).unwrap();
    assert_eq!(driver.log("data_callbacks"), before + 1);
}

/// The driver's callback runs only if the driver had found the queue empty.
fn data_callback() {
    let driver = Driver::new(0, 4096);
    let before = driver.log("data_callbacks");
    let calls = || driver.log("data_callbacks") - before;
    let session = driver.open();
    let mut input = Input::new(&session);
    for round in 1..=5 {
        assert!(input.push(&session, b"first"));
        assert_eq!(calls(), round, "armed from the start");
        for _ in 0..3 {
            assert!(input.push(&session, b"more"));
        }
        assert_eq!(calls(), round, "it knows");
        driver.command("drain 10");
        assert_eq!(driver.log("count"), 4);
        driver.fails("dequeue 10", Errno::NODATA);
    }
    assert_eq!(session.counters(INPUT).notifications, 5);
}

/// With callbacks disabled, entries still move and sleepers are woken.
fn disabled_ends_still_move() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    driver.command("disable");
    driver.command("enqueue 7");
    assert_eq!(session.read_entry().len(), 7);
    let done = woken_by(
        libc::SYS_write,
        || driver.tell(&format!("dequeue-wait 10 {HOUR_MS}")),
        || session.write_entry(b"0123456789"),
    );
    assert_eq!((done, driver.log("len")), (Ok(()), 10));
}
