// SPDX-License-Identifier: MIT OR Apache-2.0

//! room again, after a failed enqueue.

use std::os::fd::AsRawFd;

use iostream_raw::{page_len, wait_for, Input, Output, INPUT, OUTPUT};
use rustix::event::{eventfd, EventfdFlags, PollFlags};
use rustix::fs::{fcntl_getfl, fcntl_setfl, OFlags};
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::driver::Driver;
use crate::support::echo::stuck_echo;

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-13/user-by-poll", user_by_poll),
    Clause::new("Q-13/user-by-eventfd", user_by_eventfd),
    Clause::new("Q-13/driver-by-callback", driver_by_callback),
    Clause::new("Q-13/mapped-end-asks-for-itself", mapped_end_asks),
];

fn user_by_poll() {
    let (session, mut input, mut output) = stuck_echo();
    assert!(!input.push(&session, &[1; 24]));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| session.poll(PollFlags::OUT, -1));
        output.take().unwrap();
        session.notify(OUTPUT).unwrap();
        assert_eq!(waiter.join().unwrap(), PollFlags::OUT);
    });
    assert!(input.push(&session, &[1; 24]));
}

fn user_by_eventfd() {
    let (session, mut input, mut output) = stuck_echo();
    let event = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
    session.eventfd(INPUT, event.as_raw_fd()).unwrap();
    assert!(!input.push(&session, &[1; 24]));
    assert!(!input.arm(32));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| wait_for(&event, PollFlags::IN, -1));
        output.take().unwrap();
        session.notify(OUTPUT).unwrap();
        assert_eq!(waiter.join().unwrap(), PollFlags::IN);
    });
    assert!(input.push(&session, &[1; 24]));
}

/// The driver's callback runs once the process has made room, and only if the driver had found the
/// queue full.
fn driver_by_callback() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let mut output = Output::new(&session);
    driver.tell("enqueue 100").unwrap();
    let before = driver.log("room_callbacks");
    assert!(output.take().is_some());
    assert!(!output.must_notify(), "the driver waits for nothing");
    driver.count("fill 100");
    assert_eq!(driver.tell("enqueue 100"), Err(Errno::NOSPC));
    assert_eq!(driver.log("room_callbacks"), before);
    assert!(
        output.take_and_notify(&session).is_some(),
        "the driver waits"
    );
    assert_eq!(driver.log("room_callbacks"), before + 1);
    assert_eq!(driver.tell("enqueue 100"), Ok(()));
    // By read(2), too, which needs no call to notify.
    drop(output);
    drop(session);
    let session = driver.open();
    driver.count("fill 100");
    let before = driver.log("room_callbacks");
    session.read_entry();
    assert_eq!(driver.log("room_callbacks"), before + 1);
}

/// The room that a write(2) has found missing is no matter to a process that then maps its end.
fn mapped_end_asks() {
    let driver = Driver::new(0, 4096);
    let session = driver.open();
    session.write_entry(&vec![1; page_len() * 3 / 4]);
    let flags = fcntl_getfl(&session).unwrap();
    fcntl_setfl(&session, flags | OFlags::NONBLOCK).unwrap();
    assert_eq!(session.write(&vec![1; page_len() / 2]), Err(Errno::AGAIN));
    assert_eq!(session.poll(PollFlags::OUT, 0), PollFlags::empty());
    let mut input = Input::new(&session);
    assert_eq!(session.poll(PollFlags::OUT, 0), PollFlags::OUT);
    assert!(input.push(&session, &[1; 100]));
}
