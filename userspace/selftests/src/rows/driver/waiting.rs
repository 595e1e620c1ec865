// SPDX-License-Identifier: MIT OR Apache-2.0

//! Q-14, B-03 and U-10 on a driver's node: who sleeps, and what wakes it.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::event::{eventfd, EventfdFlags, PollFlags};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{kill_process, Pid, Signal};

use crate::clause::Clause;
use crate::raw::{wait_for, Output, Session, INPUT, OUTPUT};
use crate::support::driver::{self, Driver};
use crate::support::waiting::{wait_asleep, wait_until, woken_by};

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-14/driver-flush", driver_flush),
    Clause::new("Q-14/full-batch-is-shown", full_batch_is_shown),
    Clause::new("B-03/enqueue-wait-blocks", enqueue_wait_blocks),
    Clause::new("B-03/enqueue-wait-times-out", enqueue_wait_times_out),
    Clause::new("B-03/enqueue-wait-killable", enqueue_wait_killable),
    Clause::new(
        "B-03/enqueue-wait-ends-with-session",
        enqueue_wait_ends_with_session,
    ),
    Clause::new("B-03/driver-overwrite", driver_overwrite),
    Clause::new("Q-05/kernel-wait", kernel_wait),
    Clause::new("U-10/driver-node-read", node_read),
    Clause::new("U-10/driver-node-write", node_write),
    Clause::new("U-10/driver-node-nonblocking", node_nonblocking),
    Clause::new("U-10/driver-node-one-way", node_one_way),
];

/// An eventfd for the output queue, armed by being set.
fn listener(session: &Session) -> OwnedFd {
    let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap();
    session.eventfd(OUTPUT, fd.as_fd().as_raw_fd()).unwrap();
    assert_eq!(signals(&fd), 0);
    fd
}

/// How often an eventfd was signalled since the last time.
fn signals(fd: &OwnedFd) -> u64 {
    let mut value = [0; 8];
    match rustix::io::read(fd, &mut value) {
        Ok(8) => u64::from_ne_bytes(value),
        Err(Errno::AGAIN) => 0,
        other => panic!("read of an eventfd: {other:?}"),
    }
}

fn wakeups(session: &Session) -> u64 {
    session.counters(OUTPUT).wakeups_sent
}

fn driver_flush() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let woken = woken_by(
        libc::SYS_ppoll,
        || session.poll(PollFlags::IN, -1),
        || {
            driver.does("enqueue 8 task suppress");
            assert_eq!(wakeups(&session), 0);
            driver.does("flush");
        },
    );
    assert_eq!((woken, wakeups(&session)), (PollFlags::IN, 1));
    assert_eq!(session.counters(OUTPUT).entries, 1);
}

/// A batch that does not fit shows what does, and wakes, or nobody would ever make room.
fn full_batch_is_shown() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let mut output = Output::new(&session);
    let fd = listener(&session);
    driver.does("batch 1000 248");
    assert_eq!((driver.log("count"), signals(&fd)), (16, 1));
    assert_eq!(output.available(), 4096);
    while output.take().is_some() {}
    driver.does("batch 3 248");
    assert_eq!(output.available(), 3 * 256);
}

fn enqueue_wait_blocks() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let mut output = Output::new(&session);
    for round in 0..20 {
        driver.does("fill 248");
        let done = woken_by(
            libc::SYS_write,
            || driver.tell("enqueue-wait 100"),
            || {
                assert_eq!(output.available(), 4096, "round {round}");
                while output.take_and_notify(&session).is_some() {}
            },
        );
        assert_eq!(done, Ok(()));
        // It was counted full, and came after the others.
        let last = std::iter::from_fn(|| output.take()).last();
        let bytes = last.map_or(100, |entry| entry.bytes.len());
        assert_eq!(bytes, 100);
        assert!(session.counters(OUTPUT).full > round);
    }
    // With room it does not.
    driver.does("enqueue-wait 100 0");
}

fn enqueue_wait_times_out() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    driver.does("fill 248");
    let start = std::time::Instant::now();
    driver.fails("enqueue-wait 100 200", Errno::TIMEDOUT);
    let waited = start.elapsed().as_millis();
    assert!((190..10_000).contains(&waited), "{waited} ms");
    assert_eq!(session.counters(OUTPUT).entries, 16);
}

/// A process that has the driver run a command, and the file that tells what it sleeps in.
fn commander(command: &str) -> (Child, Pid, PathBuf) {
    let file = "/sys/kernel/debug/iostream_test/spare";
    let child = Command::new("/bin/sh")
        .args(["-c", &format!("trap : USR1; echo '{command}' >{file}")])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&child);
    (
        child,
        pid,
        PathBuf::from(format!("/proc/{}", child_id(pid))),
    )
}

fn child_id(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}

fn enqueue_wait_killable() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    driver.does("fill 248");
    let (mut child, pid, proc) = commander("enqueue-wait 100");
    wait_asleep(&proc, libc::SYS_write);
    // A signal that the process catches does not end it: it stays pending.
    kill_process(pid, Signal::USR1).unwrap();
    wait_until("the signal is pending", || {
        let status = std::fs::read_to_string(proc.join("status")).unwrap();
        status.contains("ShdPnd:\t0000000000000200")
    });
    wait_asleep(&proc, libc::SYS_write);
    kill_process(pid, Signal::KILL).unwrap();
    let status = child.wait().unwrap();
    assert!(!status.success());
    // The producer is there for the next one.
    let mut output = Output::new(&session);
    while output.take().is_some() {}
    driver.does("enqueue-wait 100");
    assert_eq!(output.take().unwrap().bytes.len(), 100);
}

fn enqueue_wait_ends_with_session() {
    let driver = Driver::new(4096, 0);
    let mut session = Some(driver.open());
    driver.does("fill 248");
    let done = woken_by(
        libc::SYS_write,
        || driver.tell("enqueue-wait 100"),
        || session = None,
    );
    assert_eq!(done, Err(Errno::NOTCONN));
    driver.fails("enqueue-wait 100", Errno::NOTCONN);
}

/// A driver's queue that gives up its oldest entries is never full.
fn driver_overwrite() {
    let driver = Driver::overwriting(4096);
    let session = driver.open();
    for _ in 0..100 {
        driver.does("enqueue 248");
    }
    let counters = session.counters(OUTPUT);
    assert_eq!((counters.entries, counters.full), (100, 0));
    let mut left = Vec::new();
    let reader = driver.path();
    drop(session);
    let session = Session::open(reader, OFlags::RDWR | OFlags::NONBLOCK).unwrap();
    driver.does("sequence 0");
    for _ in 0..100 {
        driver.does("enqueue 248");
    }
    let mut buffer = [0; 4096];
    while let Ok(len) = session.read(&mut buffer) {
        left.push(buffer[..len].to_vec());
    }
    let first = 100 - left.len() as u64;
    assert!((8..=16).contains(&left.len()), "{} left", left.len());
    for (number, bytes) in (first..).zip(&left) {
        assert_eq!(*bytes, driver::entry(number, 248));
    }
    assert_eq!(session.counters(OUTPUT).lost, first);
}

/// The driver sleeps until a process sends.
fn kernel_wait() {
    let driver = Driver::new(0, 4096);
    let session = driver.open();
    driver.fails("dequeue-wait 100 20", Errno::TIMEDOUT);
    let done = woken_by(
        libc::SYS_write,
        || driver.tell("dequeue-wait 100 60000"),
        || session.write_entry(&[2; 9]),
    );
    assert_eq!((done, driver.log("sum")), (Ok(()), 18));
}

fn node_read() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    for number in 0..100 {
        let len = (number * 41) % 256;
        let context = ["task", "softirq", "hardirq"][number as usize % 3];
        let read = woken_by(
            libc::SYS_read,
            || session.read_entry(),
            || driver.does(&format!("enqueue {len} {context}")),
        );
        assert_eq!(read, driver::entry(number, len as usize));
    }
    driver.does("enqueue 100");
    assert_eq!(session.read(&mut [0; 99]), Err(Errno::NOBUFS));
    assert_eq!(session.read_entry().len(), 100, "it stays");
}

fn node_write() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    woken_by(
        libc::SYS_write,
        || (0..20).for_each(|_| session.write_entry(&[1; 248])),
        || {
            // 16 fit.
            for _ in 0..20 {
                driver.does("dequeue-wait 248 10000");
                assert_eq!(driver.log("sum"), 248);
            }
        },
    );
    assert_eq!(session.write(&[1; 4089]), Err(Errno::MSGSIZE));
    assert_eq!(session.counters(INPUT).entries, 20);
}

fn node_nonblocking() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open_nonblocking();
    assert_eq!(session.read(&mut [0; 100]), Err(Errno::AGAIN));
    for _ in 0..16 {
        session.write_entry(&[1; 248]);
    }
    assert_eq!(session.write(&[1; 248]), Err(Errno::AGAIN));
    driver.does("release");
    assert_eq!(wait_for(&session, PollFlags::OUT, -1), PollFlags::OUT);
    session.write_entry(&[1; 248]);
    driver.does("enqueue 5");
    assert_eq!(wait_for(&session, PollFlags::IN, -1), PollFlags::IN);
    assert_eq!(session.read(&mut [0; 100]), Ok(5));
}

fn node_one_way() {
    let driver = Driver::new(4096, 0);
    assert_eq!(driver.open().write(b"x"), Err(Errno::NXIO));
    drop(driver);
    let driver = Driver::new(0, 4096);
    let session = driver.open();
    assert_eq!(session.read(&mut [0; 10]), Err(Errno::NXIO));
    assert_eq!(
        wait_for(&session, PollFlags::IN | PollFlags::OUT, -1),
        PollFlags::OUT
    );
}
