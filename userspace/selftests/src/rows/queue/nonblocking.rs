// SPDX-License-Identifier: MIT OR Apache-2.0

//! F-03, F-04: calls that must not wait do not, and calls that wait can be killed, whatever another
//! holder of the descriptor does.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;

use iostream_raw::Session;
use rustix::fs::{fcntl_getfl, fcntl_setfl, OFlags};
use rustix::io::{preadv2, pwritev2, Errno, ReadWriteFlags, Result};

use crate::clause::Clause;
use crate::support::driver::Driver;
use crate::support::stalled_page::StalledPage;
use crate::support::waiting::wait_asleep;

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
    assert_eq!(write_nowait(&session, 3000), Ok(3000));
    assert_eq!(write_nowait(&session, 2000), Err(Errno::AGAIN));
    assert_eq!(write_nowait(&session, 500), Ok(500));
}

/// Runs `f` while another thread is inside a read(2) of the same descriptor, which stalls: of a queue
/// of entries, and of a stream.
fn while_a_reader_stalls(f: impl Fn(&Session)) {
    {
        let queue = Driver::new(4096, 0);
        let session = queue.open();
        queue.command("enqueue 64");
        stall(&session, &f);
    }
    let stream = Driver::stream("output 2 64");
    let session = stream.open();
    session.start().unwrap();
    stream.command("take");
    stream.command("range 0 0 64");
    stream.command("send 0");
    stall(&session, &f);
}

fn stall(session: &Session, f: impl Fn(&Session)) {
    let page = StalledPage::new();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| page.read_into(session.as_fd().as_raw_fd(), 64));
        page.wait_touched();
        f(session);
        page.arrive();
        assert_eq!(reader.join().unwrap(), 64);
    });
}

fn nonblocking_behind_a_stalled_page() {
    while_a_reader_stalls(|session| {
        assert_eq!(read_nowait(session), Err(Errno::AGAIN));
        let flags = fcntl_getfl(session).unwrap();
        fcntl_setfl(session, flags | OFlags::NONBLOCK).unwrap();
        assert_eq!(session.read(&mut [0; 64]), Err(Errno::AGAIN));
        fcntl_setfl(session, flags).unwrap();
    });
}

fn killed_behind_a_stalled_page() {
    while_a_reader_stalls(|session| {
        let fd = session.as_fd().as_raw_fd();
        // SAFETY: The child only makes system calls.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let mut bytes = [0u8; 64];
            // SAFETY: The buffer is this long. The child ends here.
            unsafe {
                libc::read(fd, bytes.as_mut_ptr().cast(), bytes.len());
                libc::_exit(0);
            }
        }
        wait_asleep(&PathBuf::from(format!("/proc/{child}")), libc::SYS_read);
        let mut status = 0;
        // SAFETY: The child is this process's own and was not waited for.
        unsafe {
            assert_eq!(libc::kill(child, libc::SIGKILL), 0);
            // The time-out of the clause ends it if the child cannot be killed.
            assert_eq!(libc::waitpid(child, &mut status, 0), child);
        }
        assert!(libc::WIFSIGNALED(status));
    });
}
