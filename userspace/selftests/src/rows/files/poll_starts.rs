// SPDX-License-Identifier: MIT OR Apache-2.0

//! F-01: a program that polls first and calls nothing else gets a stream going.

use std::os::fd::{AsFd, AsRawFd};

use iostream_raw::{Area, Session, OUTPUT};
use iostream_ring::uapi::*;
use rustix::buffer::spare_capacity;
use rustix::event::{epoll, PollFlags};
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::driver::Driver;
use crate::support::waiting::woken_by;

pub const CLAUSES: &[Clause] = &[
    Clause::new("F-01/poll-starts-a-stream", poll_starts),
    Clause::new("F-01/select-starts-a-stream", select_starts),
    Clause::new("F-01/epoll-starts-a-stream", epoll_starts),
    Clause::new("F-01/poll-starts-a-relay", relay),
    Clause::new("F-01/poll-of-nothing-starts-nothing", starts_nothing),
    Clause::new("F-01/poll-of-a-mapped-stream-starts-nothing", mapped),
    Clause::new("F-01/refused-start-is-told", refused),
    Clause::new("F-01/start-after-poll", start_after_poll),
    Clause::new("F-01/poll-starts-no-stopped-stream", stopped),
];

fn state(session: &Session) -> u32 {
    session.stream().state
}

/// Waits with `wait` for the first data of a stream that nobody has started.
fn first_data(call: libc::c_long, wait: impl FnOnce(&Session) + Send) {
    let driver = Driver::stream("output 2 64");
    let session = driver.open_nonblocking();
    woken_by(call, || wait(&session), || driver.command("produce 1 24"));
    assert_eq!(state(&session), IOSTREAM_STATE_RUNNING);
    assert_eq!(session.read(&mut [0; 64]), Ok(24));
}

fn poll_starts() {
    first_data(libc::SYS_ppoll, |session| {
        assert_eq!(session.poll(PollFlags::IN, -1), PollFlags::IN);
    });
}

fn select_starts() {
    first_data(libc::SYS_pselect6, |session| {
        let fd = session.as_fd().as_raw_fd();
        let mut set = vec![Default::default(); rustix::event::fd_set_num_elements(1, fd + 1)];
        rustix::event::fd_set_insert(&mut set, fd);
        // SAFETY: The set has room for the descriptor.
        let ready = unsafe { rustix::event::select(fd + 1, Some(&mut set), None, None, None) };
        assert_eq!(ready, Ok(1));
    });
}

fn epoll_starts() {
    first_data(libc::SYS_epoll_pwait, |session| {
        let set = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&set, session, epoll::EventData::new_u64(1), flags).unwrap();
        let mut found: Vec<epoll::Event> = Vec::with_capacity(2);
        epoll::wait(&set, spare_capacity(&mut found), None).unwrap();
        assert_eq!(found.len(), 1);
    });
}

/// A relay waits for either direction. It may fill an empty buffer, but there is nothing to read
/// yet.
fn relay() {
    let driver = Driver::stream("input-output 2 64");
    let session = driver.open_nonblocking();
    let both = PollFlags::IN | PollFlags::OUT;
    let send_empty = || driver.send_buffer(0);
    let said = woken_by(libc::SYS_ppoll, || session.poll(both, -1), send_empty);
    assert_eq!(said, PollFlags::OUT);
    assert_eq!(session.write(b"request"), Ok(7));
    driver.command("receive");
    assert_eq!(session.poll(both, 0), PollFlags::empty());
}

/// Who asks for no event that a start could bring does not start the stream.
fn starts_nothing() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open_nonblocking();
    for events in [PollFlags::empty(), PollFlags::PRI, PollFlags::OUT] {
        session.poll(events, 0);
        assert_eq!(state(&session), IOSTREAM_STATE_STOPPED, "{events:?}");
    }
    let driver_called = driver.log("starts");
    drop(session);
    // In input mode there are buffers to fill before the start.
    let driver = Driver::stream("input 2 64");
    let session = driver.open_nonblocking();
    assert_eq!(session.poll(PollFlags::OUT, 0), PollFlags::OUT);
    assert_eq!(state(&session), IOSTREAM_STATE_STOPPED);
    assert_eq!(driver.log("starts"), driver_called);
}

/// Who has mapped his end does not use read(2), and starts the stream when he likes.
fn mapped() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open_nonblocking();
    let _words = session.map_writable(OUTPUT, Area::Consumer);
    assert_eq!(session.poll(PollFlags::IN, 0), PollFlags::empty());
    assert_eq!(state(&session), IOSTREAM_STATE_STOPPED);
}

/// A start that the driver refuses is what read(2) would report.
fn refused() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open_nonblocking();
    driver.command("fail start 5");
    let said = session.poll(PollFlags::IN, -1);
    assert_eq!(said, PollFlags::IN | PollFlags::ERR);
    assert_eq!(session.read(&mut [0; 64]), Err(Errno::IO));
    driver.command("fail start 0");
    assert_eq!(session.poll(PollFlags::IN, 0), PollFlags::empty());
    assert_eq!(state(&session), IOSTREAM_STATE_RUNNING);
}

/// A program that polls before it starts the stream, as some event loops do when they are given a
/// file, need not know that it runs.
fn start_after_poll() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open_nonblocking();
    session.poll(PollFlags::IN, 0);
    assert_eq!(session.start(), Ok(()));
    assert_eq!(session.start(), Err(Errno::ALREADY), "once");
    session.stop().unwrap();
    assert_eq!(session.start(), Ok(()));
    assert_eq!(session.start(), Err(Errno::ALREADY));
}

/// After a stop, poll reports the end, and does not start the stream again.
fn stopped() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open_nonblocking();
    session.start().unwrap();
    session.stop().unwrap();
    assert_eq!(session.poll(PollFlags::IN, -1), PollFlags::IN);
    assert_eq!(session.read(&mut [0; 64]), Ok(0));
    assert_eq!(state(&session), IOSTREAM_STATE_STOPPED);
}
