// SPDX-License-Identifier: MIT OR Apache-2.0

//! B-03 and S-21: kernel threads of drivers that wait. Whoever stops such a thread waits for its
//! end, so each wait has to end; and a client that resets its queue must not end any.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use iostream_raw::{Input, Output, Session, INPUT, OUTPUT};
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::driver::Driver;
use crate::support::kthread::KernelThread;
use crate::support::waiting::HOUR_MS;

pub const CLAUSES: &[Clause] = &[
    Clause::new("B-03/waits-end-by-kthread-stop", end_by_kthread_stop),
    Clause::new("B-03/waits-outlive-resets", outlive_resets),
    Clause::new(
        "S-21/waits-end-by-kthread-stop",
        client_ends_by_kthread_stop,
    ),
];

/// The time-outs of a wait, and the signals that end it.
fn variants(command: &str, killable_only: bool) -> Vec<String> {
    let mut all = Vec::new();
    for timeout in [HOUR_MS.to_string(), "never".to_string()] {
        all.push(format!("{command} {timeout}"));
        if !killable_only {
            all.push(format!("{command} {timeout} killable"));
        }
    }
    all
}

/// The waits for an entry, with the watermark that the driver sets before.
fn waits_for_entry() -> impl Iterator<Item = (u64, String)> {
    [0, 96].into_iter().flat_map(|watermark| {
        let all = variants("dequeue-wait 24", false);
        all.into_iter().map(move |wait| (watermark, wait))
    })
}

/// The waits for room.
fn waits_for_room() -> Vec<String> {
    let mut all = variants("enqueue-wait 100", true);
    all.extend(variants("wait-room 100", false));
    all
}

/// A driver with an input queue, of which one entry waits below the watermark, if there is one.
fn with_input(watermark: u64) -> (Driver, Session, Input) {
    let driver = Driver::new(0, 4096);
    driver.command(&format!("watermark {watermark} 0"));
    let session = driver.open();
    let mut input = Input::new(&session);
    if watermark != 0 {
        assert!(input.push(&session, &[1; 24]));
    }
    (driver, session, input)
}

/// A driver with a full output queue.
fn with_full_output() -> (Driver, Session, Output) {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    driver.command("fill 248");
    let output = Output::new(&session);
    (driver, session, output)
}

fn end_by_kthread_stop() {
    for (watermark, wait) in waits_for_entry() {
        let (driver, session, mut input) = with_input(watermark);
        let thread = KernelThread::start("spare", &wait);
        thread.wait_asleep();
        assert_eq!(thread.stop(), Err(Errno::INTR), "{wait}, {watermark}");
        // The driver's end can still be used.
        assert!(input.push(&session, &[1; 24]));
        driver.command("dequeue 24");
    }
    for wait in waits_for_room() {
        let (driver, _session, mut output) = with_full_output();
        let thread = KernelThread::start("spare", &wait);
        thread.wait_asleep();
        assert_eq!(thread.stop(), Err(Errno::INTR), "{wait}");
        while output.take().is_some() {}
        driver.command("enqueue 100");
    }
}

/// Resets a queue while the client notifies all the while: so the thread that waits looks at the
/// queue also in the moment in which it is taken away.
fn reset(session: &Session, direction: u32, times: usize) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                session.notify(OUTPUT).unwrap();
            }
        });
        for _ in 0..times {
            session.reset(direction).unwrap();
        }
        done.store(true, Relaxed);
    });
}

/// A reset empties the queue. A wait goes on until it has what it waits for.
fn outlive_resets() {
    for (watermark, wait) in waits_for_entry() {
        let driver = Driver::new(4096, 4096);
        driver.command(&format!("watermark {watermark} 0"));
        let session = driver.open();
        let mut input = Input::new(&session);
        let thread = KernelThread::start("spare", &wait);
        thread.wait_asleep();
        reset(&session, INPUT, 20);
        thread.wait_asleep();
        for _ in 0..3 {
            assert!(input.push(&session, &[1; 24]));
        }
        done(thread, &wait);
    }
    for wait in waits_for_room() {
        let driver = Driver::new(4096, 4096);
        let session = driver.open();
        driver.command("fill 248");
        let thread = KernelThread::start("spare", &wait);
        thread.wait_asleep();
        // Room in another queue is no room.
        reset(&session, INPUT, 20);
        thread.wait_asleep();
        reset(&session, OUTPUT, 1);
        done(thread, &wait);
    }
}

/// The command of the thread succeeds without being told to stop.
fn done(thread: KernelThread, wait: &str) {
    thread.wait_ended();
    assert_eq!(thread.stop(), Ok(()), "{wait}");
}

fn client_ends_by_kthread_stop() {
    let driver = Driver::stream("output 2 64");
    let client = Driver::client();
    client.command("open selftest");
    client.command("start");
    for wait in variants("wait", false) {
        let thread = KernelThread::start("client", &wait);
        thread.wait_asleep();
        assert_eq!(thread.stop(), Err(Errno::INTR), "{wait}");
    }
    driver.command("produce 1 10");
    client.command("receive");
    drop((driver, client));

    let driver = Driver::stream("input 2 64");
    let client = Driver::client();
    client.command("open selftest");
    client.command("start");
    client.command("take");
    client.command("send");
    for drain in variants("drain", true) {
        let thread = KernelThread::start("client", &drain);
        thread.wait_asleep();
        assert_eq!(thread.stop(), Err(Errno::INTR), "{drain}");
    }
    // The stream still runs.
    driver.command("receive");
    client.command(&format!("drain {HOUR_MS}"));
}
