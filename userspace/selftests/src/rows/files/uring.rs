// SPDX-License-Identifier: MIT OR Apache-2.0

//! F-03: io_uring reads and writes: a request that would have to wait keeps nobody else waiting, and
//! completes when it can.

use iostream_raw::{echo, page_len, Session};

use crate::clause::Clause;
use crate::support::driver::Driver;
use crate::support::uring::{Completion, Request, Uring};

pub const CLAUSES: &[Clause] = &[
    Clause::new("F-03/io-uring", || each_case(Uring::new)),
    Clause::new("F-03/io-uring-with-a-thread", || {
        each_case(Uring::with_a_thread)
    }),
];

/// A request that has to wait, and what it waits for.
struct Case {
    what: &'static str,
    node: fn() -> Driver,
    /// What the session does first, so that the request has to wait.
    first: fn(&Driver, &Session),
    request: fn() -> Request,
    /// What lets the request go on.
    then: fn(&Driver),
    /// What the request returns.
    result: i32,
}

fn read() -> Request {
    Request::read(vec![0; 4096].leak())
}

fn nothing(_: &Driver, _: &Session) {}

/// The driver sends a buffer without data, for the client to fill.
fn send_empty(driver: &Driver) {
    driver.send_buffer(0);
}

const CASES: &[Case] = &[
    Case {
        what: "read of an empty queue",
        node: || Driver::new(4096, 4096),
        first: nothing,
        request: read,
        then: |driver| driver.command("enqueue 24"),
        result: 24,
    },
    Case {
        what: "read of an empty queue that overwrites",
        node: || Driver::overwriting(4096),
        first: nothing,
        request: read,
        then: |driver| driver.command("enqueue 24"),
        result: 24,
    },
    Case {
        what: "write of an entry longer than the room",
        node: || Driver::new(4096, 4096),
        first: |_, session| session.write_entry(&vec![1; page_len() - 1096]),
        request: || Request::write(&[1; 2000]),
        then: |driver| driver.command("drain 1"),
        result: 2000,
    },
    // Nobody has started it: the request does.
    Case {
        what: "read of a new output stream",
        node: || Driver::stream("output 2 64"),
        first: nothing,
        request: read,
        then: |driver| driver.command("produce 1 24"),
        result: 24,
    },
    Case {
        what: "read of a new input-output stream",
        node: || Driver::stream("input-output 2 64"),
        first: nothing,
        request: read,
        then: |driver| driver.command("produce 1 24"),
        result: 24,
    },
    Case {
        what: "read of an input-output stream with a buffer to fill",
        node: || Driver::stream("input-output 2 64"),
        first: |driver, session| {
            session.start().unwrap();
            send_empty(driver);
        },
        request: read,
        then: |driver| driver.command("produce 1 24"),
        result: 24,
    },
    Case {
        what: "write to a new input-output stream",
        node: || Driver::stream("input-output 2 64"),
        first: nothing,
        request: || Request::write(&[1; 64]),
        then: send_empty,
        result: 64,
    },
    Case {
        what: "write to an input stream that has sent all buffers",
        node: || Driver::stream("input 2 64"),
        first: |_, session| assert_eq!(session.write(&[1; 128]), Ok(128)),
        request: || Request::write(&[1; 64]),
        then: |driver| {
            driver.command("receive");
            driver.command("release-all");
        },
        result: 64,
    },
];

fn each_case(ring: fn() -> Uring) {
    for case in CASES {
        println!("# {}", case.what);
        let driver = (case.node)();
        let session = driver.open();
        (case.first)(&driver, &session);
        check(
            &ring(),
            &session,
            (case.request)(),
            || (case.then)(&driver),
            case.result,
        );
    }
    println!("# read of the built-in node");
    let session = Session::new(echo(4096));
    let write = || session.write_entry(&[1; 24]);
    check(&ring(), &session, read(), write, 24);
}

/// Submits a request that has to wait. What is submitted after it is done meanwhile.
fn check(ring: &Uring, session: &Session, request: Request, then: impl FnOnce(), result: i32) {
    const NOP: u64 = 1;
    ring.submit(session.raw_fd(), request);
    ring.submit(-1, Request::nop(NOP));
    let next = || loop {
        match ring.completion() {
            Some(completion) => break completion,
            // Wakes the ring's thread, too, if it has one.
            None => drop(ring.enter(0, 1, None)),
        }
    };
    let done = |user_data, result| Completion {
        user_data,
        result,
        more: false,
    };
    assert_eq!(next(), done(NOP, 0), "it waits in the call");
    assert_eq!(ring.completion(), None);
    then();
    assert_eq!(next(), done(0, result));
}
