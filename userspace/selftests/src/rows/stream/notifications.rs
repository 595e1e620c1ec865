// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-14: the client is notified of buffers.

use std::os::fd::{AsFd, AsRawFd};

use iostream_raw::{wait_for, Session, OUTPUT};
use rustix::buffer::spare_capacity;
use rustix::event::{epoll, eventfd, EventfdFlags, PollFlags};

use crate::clause::Clause;
use crate::support::driver::Driver;
use crate::support::waiting::woken_by;

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-14/poll", by_poll),
    Clause::new("S-14/epoll-edge", by_epoll_edge),
    Clause::new("S-14/eventfd", by_eventfd),
    Clause::new("S-14/eventfd-set-while-ready", eventfd_set_while_ready),
    Clause::new("S-14/eventfd-removed", eventfd_removed),
    Clause::new("S-14/on-demand", on_demand),
    Clause::new("S-14/busy-client-not-told", busy_client_not_told),
    Clause::new("S-14/buffer-to-fill", buffer_to_fill),
];

fn by_poll() {
    let driver = Driver::stream("output 4 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    for _ in 0..4 {
        let poll = || stream.session.poll(PollFlags::IN, -1);
        let said = woken_by(libc::SYS_ppoll, poll, || driver.command("produce 1 1"));
        assert_eq!(said, PollFlags::IN);
        stream.take().unwrap();
        assert_eq!(stream.session.poll(PollFlags::IN, 0), PollFlags::empty());
    }
}

fn by_epoll_edge() {
    let driver = Driver::stream("output 4 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let flags = epoll::EventFlags::ET | epoll::EventFlags::IN;
    let data = epoll::EventData::new_u64(1);
    epoll::add(&epoll, &stream.session, data, flags).unwrap();
    let wait = || {
        let mut found: Vec<epoll::Event> = Vec::with_capacity(4);
        epoll::wait(&epoll, spare_capacity(&mut found), None).unwrap();
        found[0].flags
    };
    for _ in 0..4 {
        let said = woken_by(libc::SYS_epoll_pwait, wait, || {
            driver.command("produce 1 1")
        });
        assert_eq!(said, epoll::EventFlags::IN);
    }
    assert_eq!(stream.take_all().len(), 4);
}

/// An eventfd that is set for a direction.
fn eventfd_of(session: &Session, direction: u32) -> std::os::fd::OwnedFd {
    let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
    let fd = eventfd(0, flags).unwrap();
    session.eventfd(direction, fd.as_fd().as_raw_fd()).unwrap();
    fd
}

fn signalled(fd: &std::os::fd::OwnedFd) -> bool {
    rustix::io::read(fd, &mut [0; 8]).is_ok()
}

fn by_eventfd() {
    let driver = Driver::stream("output 4 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    let fd = eventfd_of(&stream.session, OUTPUT);
    assert!(!signalled(&fd));
    for _ in 0..4 {
        assert!(!stream.output.arm());
        let wait = || wait_for(&fd, PollFlags::IN, -1);
        woken_by(libc::SYS_ppoll, wait, || driver.command("produce 1 1"));
        assert!(signalled(&fd));
        stream.take().unwrap();
    }
}

fn eventfd_set_while_ready() {
    let driver = Driver::stream("output 4 64");
    let stream = driver.open_stream();
    stream.session.start().unwrap();
    driver.command("produce 1 1");
    assert!(signalled(&eventfd_of(&stream.session, OUTPUT)));
}

fn eventfd_removed() {
    let driver = Driver::stream("output 4 64");
    let stream = driver.open_stream();
    stream.session.start().unwrap();
    let fd = eventfd_of(&stream.session, OUTPUT);
    stream.session.eventfd(OUTPUT, -1).unwrap();
    stream.output.arm();
    driver.command("produce 1 1");
    assert!(!signalled(&fd));
}

/// The driver wakes the client on demand, with nothing in the queue.
fn on_demand() {
    let driver = Driver::stream("output 4 64");
    let stream = driver.open_stream();
    stream.session.start().unwrap();
    let fd = eventfd_of(&stream.session, OUTPUT);
    // Setting it arms for one signal. Any further signal is the driver's.
    driver.command("produce 1 1");
    assert!(signalled(&fd));
    for _ in 0..3 {
        driver.command("notify");
        assert!(signalled(&fd));
    }
    let before = stream.session.counters(OUTPUT).wakeups_sent;
    driver.command("notify");
    assert_eq!(stream.session.counters(OUTPUT).wakeups_sent, before + 1);
}

/// A client that has not armed is not woken.
fn busy_client_not_told() {
    let driver = Driver::stream("output 4 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    let sent = || stream_wakeups(&stream.session);
    let before = sent();
    driver.command("produce 4 1");
    assert_eq!(sent(), before);
    assert_eq!(stream.session.counters(OUTPUT).wakeups_suppressed, 4);
    assert_eq!(stream.take_all().len(), 4);
}

fn stream_wakeups(session: &Session) -> u64 {
    session.counters(OUTPUT).wakeups_sent
}

/// An empty buffer from the driver makes the stream writable.
fn buffer_to_fill() {
    let driver = Driver::stream("input 2 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    let now = stream.session.poll(PollFlags::OUT, 0);
    assert_eq!(
        now,
        PollFlags::empty(),
        "buffers that it has do not make it readable"
    );
    stream.send_buffer(1, 1);
    driver.command("receive");
    let poll = || stream.session.poll(PollFlags::OUT, -1);
    let gave_back = || driver.command("release 1");
    assert_eq!(woken_by(libc::SYS_ppoll, poll, gave_back), PollFlags::OUT);
    assert_eq!(stream.take().unwrap().buffer, 1);
    assert_eq!(stream.session.poll(PollFlags::OUT, 0), PollFlags::empty());
}
