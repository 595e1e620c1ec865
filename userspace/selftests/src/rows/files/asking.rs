// SPDX-License-Identifier: MIT OR Apache-2.0

//! U-09 and F-09: `iostreamctl ask` sends a request once the last one is answered, and ends when it
//! is asked to.

use std::io::Write;

use rustix::process::Signal;

use crate::clause::Clause;
use crate::support::command::{open_pipe, Running};
use crate::support::driver::Driver;
use crate::support::waiting::wait_until;

pub const CLAUSES: &[Clause] = &[
    Clause::new("U-09/ask-pairs", pairs),
    Clause::new("U-09/ask-below-the-watermark", below_watermark),
    Clause::new("F-09/ask-ends", ends),
    Clause::new("F-09/ask-ends-when-nobody-reads", nobody_reads),
];

/// Takes the next request, as soon as there is one.
#[track_caller]
fn take(queue: &Driver) {
    wait_until("a request", || queue.tell("dequeue 100").is_ok());
}

fn pairs() {
    let queue = Driver::new(4096, 4096);
    let requests = ["ask", "selftest", "--data", "1", "--data", "2"];
    let mut ask = Running::start(&requests);
    for number in 0..2 {
        take(&queue);
        ask.wait_idle();
        // The next request waits for the answer to this one.
        assert!(queue.tell("dequeue 100").is_err(), "after {number}");
        queue.command("enqueue 8");
        assert_eq!(ask.read(9).len(), 9);
    }
    assert_eq!(ask.ended().code, 0);
}

/// The driver is told of a request even if more of them would be needed to wake it.
fn below_watermark() {
    let queue = Driver::new(4096, 4096);
    queue.command("watermark 2048 0");
    let before = queue.log("data_callbacks");
    let ask = Running::start(&["ask", "selftest", "--data", "1"]);
    queue.wait_for("data_callbacks", |callbacks| callbacks == before + 1);
    take(&queue);
    queue.command("enqueue 8");
    assert_eq!(ask.ended().code, 0);
}

fn ends() {
    let queue = Driver::new(4096, 4096);
    for (signal, code) in [(Signal::HUP, 129), (Signal::INT, 130), (Signal::TERM, 143)] {
        // While it waits for a request.
        let (input, mut writer) = open_pipe();
        let ask = Running::start_from(&["ask", "selftest"], input);
        writer.write_all(b"1\n").unwrap();
        take(&queue);
        queue.command("enqueue 8");
        wait_until("written", || ask.waiting_bytes() == 9);
        ask.wait_idle();
        ask.signal(signal);
        let ended = ask.ended();
        assert_eq!((ended.code, ended.data.len()), (code, 9), "{}", ended.said);
        // While it waits for an answer.
        let ask = Running::start(&["ask", "selftest", "--data", "1"]);
        take(&queue);
        ask.wait_idle();
        ask.signal(signal);
        let ended = ask.ended();
        assert_eq!((ended.code, ended.data.len()), (code, 0), "{}", ended.said);
    }
}

/// It waits for a request that never comes, and nobody wants the answer.
fn nobody_reads() {
    let queue = Driver::new(4096, 4096);
    let (input, _writer) = open_pipe();
    let mut ask = Running::start_from(&["ask", "selftest"], input);
    wait_until("open", || queue.attribute("sessions") == 1);
    ask.wait_idle();
    ask.stop_reading();
    let ended = ask.ended();
    assert_eq!((ended.code, &*ended.said), (141, ""));
}
