// SPDX-License-Identifier: MIT OR Apache-2.0

//! F-03, F-04: calls that must not wait do not, and calls that wait can be killed, whatever another
//! holder of the descriptor does.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd};

use iostream_raw::{page_len, Session};
use rustix::fs::{fcntl_getfl, fcntl_setfl, OFlags};
use rustix::io::{preadv2, pwritev2, Errno, ReadWriteFlags, Result};

use crate::clause::Clause;
use crate::support::driver::Driver;
use crate::support::process::kill_asleep;
use crate::support::stalled_page::StalledPage;

pub const CLAUSES: &[Clause] = &[
    Clause::new("F-03/nowait", nowait),
    Clause::new(
        "F-03/behind-a-stalled-page",
        nonblocking_behind_a_stalled_page,
    ),
    Clause::new(
        "F-04/killed-behind-a-stalled-page",
        killed_behind_a_stalled_page,
    ),
];

/// The offset that means the file's own position.
const HERE: u64 = u64::MAX;

fn read_nowait(session: &Session) -> Result<usize> {
    let mut bytes = [0; 4096];
    let mut slices = [IoSliceMut::new(&mut bytes)];
    preadv2(session, &mut slices, HERE, ReadWriteFlags::NOWAIT)
}

fn write_nowait(session: &Session, len: usize) -> Result<usize> {
    let bytes = vec![0; len];
    pwritev2(
        session,
        &[IoSlice::new(&bytes)],
        HERE,
        ReadWriteFlags::NOWAIT,
    )
}

/// A call with `RWF_NOWAIT` gets `EAGAIN` instead of waiting for an entry or for room, even for more
/// room than poll was last asked for.
fn nowait() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    assert_eq!(read_nowait(&session), Err(Errno::AGAIN));
    driver.command("enqueue 100");
    assert_eq!(read_nowait(&session), Ok(100));
    let most = page_len() * 3 / 4;
    assert_eq!(write_nowait(&session, most), Ok(most));
    assert_eq!(write_nowait(&session, page_len() / 2), Err(Errno::AGAIN));
    assert_eq!(write_nowait(&session, 500), Ok(500));
}

/// What another thread is inside of: a call that stalls.
#[derive(Clone, Copy)]
enum Stalled {
    Read,
    Write,
}

/// Runs `f` while another thread is inside a read(2) or write(2) of the same descriptor, which stalls:
/// of a queue of entries, and of a stream. A write(2) to a queue of entries fetches its bytes before it
/// keeps others away.
fn while_a_call_stalls(f: impl Fn(&Session, Stalled)) {
    let readable = Driver::new(4096, 0);
    let session = readable.open();
    readable.command("enqueue 64");
    stall(&session, Stalled::Read, &f);
    drop(session);
    let output = Driver::stream("output 2 64");
    let session = output.open();
    session.start().unwrap();
    output.command("take");
    output.command("range 0 0 64");
    output.command("send 0");
    stall(&session, Stalled::Read, &f);
    drop(session);
    let input = Driver::stream("input 2 64");
    let session = input.open();
    session.start().unwrap();
    stall(&session, Stalled::Write, &f);
}

fn stall(session: &Session, which: Stalled, f: impl Fn(&Session, Stalled)) {
    let page = StalledPage::new();
    let fd = session.as_fd().as_raw_fd();
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| match which {
            Stalled::Read => page.read_into(fd, 64),
            Stalled::Write => page.write_from(fd, 64),
        });
        page.wait_touched();
        f(session, which);
        page.arrive();
        assert_eq!(caller.join().unwrap(), 64);
    });
}

fn nonblocking_behind_a_stalled_page() {
    while_a_call_stalls(|session, which| {
        let call = || match which {
            Stalled::Read => session.read(&mut [0; 64]),
            Stalled::Write => session.write(&[0; 64]),
        };
        let nowait = match which {
            Stalled::Read => read_nowait(session),
            Stalled::Write => write_nowait(session, 64),
        };
        assert_eq!(nowait, Err(Errno::AGAIN));
        let flags = fcntl_getfl(session).unwrap();
        fcntl_setfl(session, flags | OFlags::NONBLOCK).unwrap();
        assert_eq!(call(), Err(Errno::AGAIN));
        fcntl_setfl(session, flags).unwrap();
    });
}

fn killed_behind_a_stalled_page() {
    while_a_call_stalls(|session, which| match which {
        Stalled::Read => kill_asleep(libc::SYS_read, || session.read(&mut [0; 64]).map(drop)),
        Stalled::Write => kill_asleep(libc::SYS_write, || session.write(&[0; 64]).map(drop)),
    });
}
