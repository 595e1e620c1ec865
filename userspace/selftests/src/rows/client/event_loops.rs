// SPDX-License-Identifier: MIT OR Apache-2.0

//! U-04: descriptors for any event loop.

use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use iostream::{Error, ReadStream, Stop, WriteStream};
use rustix::buffer::spare_capacity;
use rustix::event::{epoll, eventfd, poll, EventfdFlags, PollFd, PollFlags, Timespec};

use crate::clause::Clause;
use crate::support::driver::Driver;
use crate::support::waiting::woken_by;

pub const CLAUSES: &[Clause] = &[
    Clause::new("U-04/one-descriptor", one_descriptor),
    Clause::new("U-04/poll", polls),
    Clause::new("U-04/epoll-edge", epoll_edge),
    Clause::new("U-04/eventfd-output", eventfd_output),
    Clause::new("U-04/eventfd-input", eventfd_input),
    Clause::new("U-04/watermark", watermark),
];

fn one_descriptor() {
    let _driver = Driver::stream("output 1 64");
    let stream = ReadStream::open("selftest").unwrap();
    let fd = stream.as_raw_fd();
    assert_eq!(
        (stream.as_fd().as_raw_fd(), stream.control().as_raw_fd()),
        (fd, fd)
    );
    let (receiver, _sender) = stream.split();
    assert_eq!(receiver.as_raw_fd(), fd);
}

fn polls() {
    let driver = Driver::stream("output 1 64");
    let mut stream = ReadStream::open("selftest").unwrap();
    stream.start().unwrap();
    let control = stream.control();
    let wait = || {
        let mut fds = [PollFd::new(&control, PollFlags::IN)];
        poll(&mut fds, None).map(|_| fds[0].revents())
    };
    let seen = woken_by(libc::SYS_ppoll, wait, || driver.command("produce 1 8"));
    assert_eq!(seen, Ok(PollFlags::IN));
    assert!(stream.next().unwrap().is_some());
}

/// Each buffer is an edge of its own.
fn epoll_edge() {
    let driver = Driver::stream("output 2 64");
    let mut stream = ReadStream::open("selftest").unwrap();
    stream.start().unwrap();
    let set = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
    epoll::add(&set, &stream, epoll::EventData::new_u64(7), flags).unwrap();
    for _ in 0..100 {
        driver.command("produce 1 8");
        let mut events = Vec::with_capacity(4);
        epoll::wait(&set, spare_capacity(&mut events), None).unwrap();
        let data = events[0].data;
        assert_eq!((events.len(), data.u64()), (1, 7));
        assert!(stream.next().unwrap().is_some());
        assert!(stream.next().unwrap().is_none());
    }
}

fn eventfd_output() {
    let driver = Driver::stream("output 2 64");
    let mut stream = ReadStream::open("selftest").unwrap();
    stream.start().unwrap();
    let bell = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
    stream.receiver().set_eventfd(Some(bell.as_fd())).unwrap();
    for _ in 0..100 {
        assert_eq!(stream.receiver().arm(), Ok(false));
        let wait = || rustix::io::read(&bell, &mut [0; 8]);
        let read = woken_by(libc::SYS_read, wait, || driver.command("produce 1 8"));
        assert_eq!(read, Ok(8));
        assert!(stream.next().unwrap().is_some());
    }
    stream.receiver().set_eventfd(None).unwrap();
}

fn eventfd_input() {
    let driver = Driver::stream("input 1 64");
    let mut stream = WriteStream::open("selftest").unwrap();
    stream.start().unwrap();
    let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap();
    // There is room, so it is signalled at once.
    stream.sender().set_eventfd(Some(bell.as_fd())).unwrap();
    assert_eq!(rustix::io::read(&bell, &mut [0; 8]), Ok(8));
    stream.sender().set_eventfd(None).unwrap();
    stream.buffer().unwrap().send(1).unwrap();
    driver.command("receive");
    assert_eq!(
        rustix::io::read(&bell, &mut [0; 8]),
        Err(rustix::io::Errno::AGAIN)
    );
}

/// With a watermark of two buffers, poll reports when both are there.
fn watermark() {
    let driver = Driver::stream("output 3 64");
    let mut stream = ReadStream::open("selftest").unwrap();
    stream.start().unwrap();
    let receiver = stream.receiver();
    receiver.set_watermark(2, Duration::ZERO).unwrap();
    driver.command("produce 1 8");
    assert_eq!(stream.wait(Some(Duration::ZERO)), Err(Error::TimedOut));
    let zero = Timespec::default();
    let ready =
        |stream: &ReadStream| poll(&mut [PollFd::new(stream, PollFlags::IN)], Some(&zero)).unwrap();
    assert_eq!(ready(&stream), 0);
    driver.command("produce 1 8");
    assert_eq!(ready(&stream), 1);
    assert_eq!(stream.wait(None), Ok(()));
    // A stopped stream is ready, whatever the watermark.
    let _held = [stream.dequeue().unwrap(), stream.dequeue().unwrap()];
    driver.command("produce 1 8");
    stream.receiver().set_watermark(3, Duration::ZERO).unwrap();
    stream
        .control()
        .stop(Stop::Drain { timeout: None })
        .unwrap();
    assert_eq!(stream.dequeue_wait(None).unwrap().frame(), 2);
}
