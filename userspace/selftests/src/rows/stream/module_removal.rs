// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-18: the module of a stream's driver is removed.

use std::process::Command;

use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::driver::{entry, node_called, Driver};
use crate::support::waiting::woken_by;

pub const CLAUSES: &[Clause] = &[
    Clause::new(
        "S-18/stream-module-removed-while-running",
        removed_while_running,
    ),
    Clause::new(
        "S-18/stream-module-removed-from-under-all",
        removed_from_under_all,
    ),
];

fn ran(program: &str, argument: &str) {
    let done = Command::new(program).arg(argument).output().expect(program);
    assert!(done.status.success(), "{program}: {done:?}");
}

/// Brings the driver's module back, however the clause ends.
struct BackAgain;

impl Drop for BackAgain {
    fn drop(&mut self) {
        if !std::path::Path::new("/sys/module/iostream_test").exists() {
            ran("insmod", "/lib/modules/iostream/iostream_test.ko");
        }
    }
}

/// With buffers everywhere, and a client that sleeps in poll.
fn removed_while_running() {
    let _back = BackAgain;
    let driver = Driver::stream("input-output 6 4096");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    driver.does("produce 3 10");
    let mine = stream.take().unwrap();
    let sent = stream.take().unwrap();
    stream.send_buffer(sent.buffer, 1);
    driver.does("take");
    let poll = || stream.session.poll(PollFlags::PRI, -1);
    let said = woken_by(libc::SYS_ppoll, poll, || ran("rmmod", "iostream_test"));
    assert!(said.contains(PollFlags::HUP), "{said:?}");
    assert_eq!(node_called("selftest"), None);
    assert_eq!(stream.data(&mine), entry(0, 10));
    let waiting = stream.take().expect("what was sent is there");
    assert_eq!(stream.data(&waiting), entry(2, 10));
    assert_eq!(stream.session.stop(), Err(Errno::NODEV));
    stream.buffers.write(0, &[1; 100]);
    drop(stream);
    crate::support::memory::wait_for_no_pages();
}

fn removed_from_under_all() {
    let _back = BackAgain;
    let streams: Vec<_> = ["stout", "stin", "stinout", "stmulti", "stmulti"]
        .iter()
        .map(|name| {
            let stream = Driver::loaded(name).open_stream();
            stream.session.start().unwrap();
            stream
        })
        .collect();
    ran("rmmod", "iostream_test");
    for stream in &streams {
        assert_eq!(stream.session.start(), Err(Errno::NODEV));
        assert!(stream
            .session
            .poll(PollFlags::IN, 0)
            .contains(PollFlags::HUP));
    }
    drop(streams);
    crate::support::memory::wait_for_no_pages();
    ran("insmod", "/lib/modules/iostream/iostream_test.ko");
    Driver::loaded("stin").open_stream();
}
