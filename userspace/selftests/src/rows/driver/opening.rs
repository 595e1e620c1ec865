// SPDX-License-Identifier: MIT OR Apache-2.0

//! what a driver decides about its node.

use rustix::io::Errno;

use crate::clause::Clause;
use crate::raw::{echo, Session, INPUT, OUTPUT};
use crate::support::counters::named;
use crate::support::driver::Driver;

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-01/driver-capacity", driver_capacity),
    Clause::new("Q-20/not-open-for-each-call", not_open_for_each_call),
    Clause::new("Q-20/mode-is-enforced", mode_is_enforced),
    Clause::new("Q-20/no-set-up", no_set_up),
    Clause::new("Q-20/next-open-starts-clean", next_open_starts_clean),
];

fn driver_capacity() {
    let limit = Session::bare().version().unwrap().max_queue_bytes;
    for (asked, made) in [
        (1, 4096),
        (4096, 4096),
        (4097, 8192),
        (40_000, 40_960),
        (limit, limit),
    ] {
        let driver = Driver::new(asked, 0);
        let queue = driver.open().queue(OUTPUT);
        assert_eq!(queue.data_bytes, made);
        assert_eq!(u64::from(queue.max_entry_bytes), made - 8);
    }
}

fn not_open_for_each_call() {
    let driver = Driver::new(4096, 4096);
    for command in [
        "enqueue 8",
        "enqueue 8 softirq",
        "enqueue 8 hardirq",
        "enqueue-wait 8",
        "reserve 8 commit",
        "batch 2 8",
        "can 8 1",
        "lost 1",
        "flush",
        "dequeue 8",
        "dequeue-wait 8 10",
        "peek",
        "drain 1",
        "available",
    ] {
        driver.fails(command, Errno::NOTCONN);
    }
    let session = driver.open();
    driver.does("enqueue 8");
    assert_eq!(
        session.counters(OUTPUT).entries,
        1,
        "nothing was kept for it"
    );
    drop(session);
    driver.fails("enqueue 8", Errno::NOTCONN);
}

/// A process without privileges, of a group.
fn may_open(driver: &Driver, group: u32) -> bool {
    use std::os::unix::process::CommandExt;
    let script = format!("exec 3<>{}", driver.path().display());
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", &script]).uid(1000).gid(group);
    shell.stderr(std::process::Stdio::null());
    shell.status().unwrap().success()
}

fn mode_is_enforced() {
    for (mode, group, others) in [
        ("600", false, false),
        ("660", true, false),
        ("666", true, true),
        ("606", false, true),
    ] {
        let driver = Driver::unpublished();
        driver.does(&format!("publish-mode selftest {mode} 1000"));
        assert_eq!(may_open(&driver, 1000), group, "{mode}, group");
        assert_eq!(may_open(&driver, 7), others, "{mode}, others");
    }
}

fn no_set_up() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    assert_eq!(session.setup(echo(4096)), Err(Errno::NOTTY));
    assert_eq!(session.run(1), (0, Err(Errno::NOTTY)));
    assert_eq!(session.endpoint().err(), Some(Errno::NOTTY));
    driver.does("enqueue 8");
    assert_eq!(session.read_entry().len(), 8, "it goes on");
}

/// Nothing of one client is left for the next.
fn next_open_starts_clean() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    driver.does("fill 100");
    driver.does("lost 5");
    session.write_entry(&[7; 500]);
    drop(session);
    let session = driver.open_nonblocking();
    assert_eq!(session.read(&mut [0; 500]), Err(Errno::AGAIN));
    driver.fails("peek", Errno::NODATA);
    for direction in [OUTPUT, INPUT] {
        let counters = named(&session.counters(direction));
        assert!(counters.iter().all(|(_, value)| *value == 0));
        assert_eq!(session.queue(direction).generation, 1);
        let data = session.map(direction, crate::raw::Area::Data);
        assert!(data.read(0, 8192).iter().all(|byte| *byte == 0));
    }
    driver.does("enqueue 8");
    let mut output = crate::raw::Output::new(&session);
    assert_eq!(output.take().unwrap().lost, 0);
}
