// SPDX-License-Identifier: MIT OR Apache-2.0

//! U-04 and U-05: the examples of the crate, run as a user runs them.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::clause::Clause;
use crate::support::command::{open_pipe, Ended, Running};
use crate::support::driver::{entry, Driver};
use crate::support::module::Module;
use crate::support::waiting::{wait_until, EPOLL_WAIT};

pub const CLAUSES: &[Clause] = &[
    Clause::new("U-05/examples-first", first),
    Clause::new("U-04/examples-mio", mio),
    Clause::new("U-05/examples-queue", queue),
    Clause::new("U-05/examples-stream", stream),
    Clause::new("U-05/examples-tokio", tokio),
];

/// How a program ends that leaves Ctrl-C to the system. A shell shows it as 130.
const BY_CTRL_C: i32 = -libc::SIGINT;

fn example(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(Path::new("/usr/lib/iostream/examples").join(name));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// The output of a program that ended as a successful one does.
#[track_caller]
fn output(ended: Ended) -> String {
    assert_eq!((ended.code, &*ended.said), (0, ""));
    String::from_utf8(ended.data).unwrap()
}

/// The number between two parts of a line.
#[track_caller]
fn number(line: &str, before: &str, after: &str) -> u64 {
    let number = line
        .strip_prefix(before)
        .and_then(|l| l.strip_suffix(after));
    let number = number.and_then(|number| number.parse().ok());
    number.unwrap_or_else(|| panic!("not {before}N{after}: {line}"))
}

fn built_in_sessions() -> u64 {
    let text = std::fs::read_to_string("/sys/class/iostream/iostream/sessions").unwrap();
    text.trim_end().parse().unwrap()
}

/// Ends an example of the built-in device, which waits for its output to be read.
#[track_caller]
fn ended_by_ctrl_c(name: &str) {
    let others = built_in_sessions();
    let running = Running::spawn_with_full_output(example(name, &[]));
    running.wait_asleep(libc::SYS_write);
    assert_eq!(built_in_sessions(), others + 1);
    running.signal(Signal::INT);
    let ended = running.ended();
    assert_eq!((ended.code, &*ended.said), (BY_CTRL_C, ""));
    wait_until("closed", || built_in_sessions() == others);
}

fn first() {
    let said = output(Running::spawn(example("first", &[])).ended());
    let mut lines = said.lines();
    for number in 1..=10 {
        assert_eq!(lines.next(), Some(&*format!("entry {number}")));
    }
    assert_ne!(number(lines.next().unwrap(), "system calls: ", ""), 0);
    assert_eq!(lines.next(), None);
    ended_by_ctrl_c("first");
}

fn mio() {
    let said = output(Running::spawn(example("mio", &[])).ended());
    let calls = number(&said, "100000 entries, ", " system calls\n");
    assert_ne!(calls, 0);
    ended_by_ctrl_c("mio");
}

/// The line that the example prints of an entry.
fn shown(entry: &[u8]) -> String {
    let start: Vec<String> = entry.iter().take(16).map(|b| format!("{b:02x}")).collect();
    format!("{} bytes: [{}]\n", entry.len(), start.join(", "))
}

fn queue() {
    let driver = Driver::new(4096, 0);
    let start = || {
        let (keyboard, keys) = open_pipe();
        let mut command = example("queue", &["selftest"]);
        command.stdin(keyboard);
        let running = Running::spawn(command);
        wait_until("open", || driver.tell("can 8 1").is_ok());
        (running, keys)
    };
    // Enter ends it.
    let (mut running, mut keys) = start();
    driver.command("enqueue 20");
    driver.command("lost 3");
    driver.command("enqueue 5");
    let lines = shown(&entry(0, 20)) + &shown(&entry(1, 5));
    assert_eq!(running.read(lines.len()), lines.as_bytes());
    assert!(running.runs());
    keys.write_all(b"\n").unwrap();
    assert_eq!(output(running.ended()), "2 entries, 3 lost\n");
    // So does Ctrl-C,
    let (running, _keys) = start();
    running.signal(Signal::INT);
    let ended = running.ended();
    assert_eq!((ended.code, &*ended.said), (BY_CTRL_C, ""));
    wait_until("closed", || driver.attribute("sessions") == 0);
    // and the driver that goes while it waits.
    let (mut running, _keys) = start();
    driver.command("enqueue 8");
    let line = shown(&entry(2, 8));
    assert_eq!(running.read(line.len()), line.as_bytes());
    driver.unpublish();
    assert_eq!(output(running.ended()), "1 entries, 0 lost\n");

    // Without an argument it is the clock's.
    let ticker = Module::load("iostream_ticker", &[]);
    let (keyboard, _keys) = open_pipe();
    let mut command = example("queue", &[]);
    command.stdin(keyboard);
    let mut running = Running::spawn(command);
    assert_eq!(running.read(10), b"8 bytes: [");
    drop(ticker);
    let said = output(running.ended());
    let entries = number(said.lines().last().unwrap(), "", " entries, 0 lost");
    assert_eq!(entries, said.lines().count() as u64 - 1);
}

fn stream() {
    {
        let _pattern = Module::load("iostream_pattern", &["rate=0", "data_bytes=4096"]);
        let said = output(Running::spawn(example("stream", &[])).ended());
        let calls = number(&said, "409600 bytes, ", " system calls\n");
        assert_ne!(calls, 0);
    }
    // A driver that sends nothing.
    let driver = Driver::stream("output 2 64");
    let running = Running::spawn(example("stream", &["selftest"]));
    wait_until("running", || driver.shown("state") == "running");
    running.signal(Signal::INT);
    let ended = running.ended();
    assert_eq!(
        (ended.code, ended.data, &*ended.said),
        (BY_CTRL_C, vec![], "")
    );
    wait_until("closed", || driver.attribute("sessions") == 0);
    assert_eq!(driver.shown("state"), "stopped");
}

fn tokio() {
    let driver = Driver::stream("output 4 100");
    let start = || {
        let running = Running::spawn(example("tokio", &["selftest"]));
        // There are four buffers, so it has taken the others when it sleeps.
        for _ in 0..20 {
            wait_until("taken", || driver.tell("produce 1 100").is_ok());
        }
        running.wait_asleep(EPOLL_WAIT);
        running
    };
    let count = |said: String| {
        let (frames, bytes) = said.split_once(", ").expect("two numbers");
        let frames = number(frames, "", " frames");
        assert_eq!(number(bytes, "", " bytes\n"), 100 * frames);
        frames
    };
    // It stops the stream itself, and says what it has got.
    let running = start();
    running.signal(Signal::INT);
    assert!((16..=20).contains(&count(output(running.ended()))));
    wait_until("closed", || driver.attribute("sessions") == 0);
    assert_eq!(driver.shown("state"), "stopped");
    // It ends when another program stops the stream, and when the driver goes.
    let running = start();
    std::fs::write(driver.sysfs().join("state"), "stopped").unwrap();
    assert!((16..=20).contains(&count(output(running.ended()))));
    let running = start();
    driver.unpublish();
    assert!((16..=20).contains(&count(output(running.ended()))));
}
