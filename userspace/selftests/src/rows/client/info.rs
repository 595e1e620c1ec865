// SPDX-License-Identifier: MIT OR Apache-2.0

//! U-02: the number and lengths of the buffers, and the stream's properties.

use iostream::{ReadStream, Session, StreamMode, StreamState, WriteStream};
use rustix::event::{poll, PollFd, PollFlags};

use crate::clause::Clause;
use crate::support::driver::{entry, Driver};

pub const CLAUSES: &[Clause] = &[
    Clause::new("U-02/count-and-lengths", count_and_lengths),
    Clause::new("U-02/info", info),
    Clause::new("U-02/counters-without-a-call", counters_without_a_call),
    Clause::new("U-02/added-buffers", added_buffers),
    Clause::new("U-02/added-input-buffers", added_input_buffers),
];

fn count_and_lengths() {
    for (buffers, data, control) in [(1, 1, 0), (3, 4096, 1), (7, 5000, 4097)] {
        let _driver = Driver::stream(&format!("input {buffers} {data} control={control}"));
        let mut stream = WriteStream::open("selftest").unwrap();
        assert_eq!(stream.buffer_count(), buffers);
        assert_eq!(
            (stream.data_bytes(), stream.control_bytes()),
            (data, control)
        );
        let mut all: Vec<_> = (0..buffers).map(|_| stream.buffer().unwrap()).collect();
        for buffer in &mut all {
            assert_eq!((buffer.len(), buffer.area().len()), (data, data));
            assert_eq!(buffer.control_area_mut().len(), control);
            // The whole buffer is writable.
            buffer.fill(0xa5);
            buffer.control_area_mut().fill(0x5a);
        }
        for buffer in &mut all {
            assert!(buffer.iter().all(|byte| *byte == 0xa5));
            assert!(buffer.control_area_mut().iter().all(|byte| *byte == 0x5a));
        }
    }
}

fn info() {
    let driver = Driver::stream("output 3 100 control=8 queue=5 format=ABCD description=words");
    let session = Session::open(driver.path()).unwrap();
    let info = session.stream_info().unwrap();
    assert_eq!(
        (info.mode, info.state),
        (StreamMode::Read, StreamState::Stopped)
    );
    assert_eq!((info.buffers, info.max_buffers), (3, 5));
    assert_eq!((info.data_bytes, info.control_bytes), (100, 8));
    assert_eq!(info.format, Some(*b"ABCD"));
    assert_eq!(info.description, "words");
    let stream = ReadStream::from_session(session).unwrap();
    stream.start().unwrap();
    assert_eq!(stream.info().unwrap().state, StreamState::Running);
}

fn counters_without_a_call() {
    let driver = Driver::stream("output 3 64");
    let mut stream = ReadStream::open("selftest").unwrap();
    stream.start().unwrap();
    driver.command("produce 3 8");
    drop(stream.dequeue().unwrap());
    let control = stream.control();
    let calls = stream.system_calls();
    assert_eq!(
        (control.counters().sent, stream.state()),
        (3, StreamState::Running)
    );
    assert_eq!(stream.receiver().counters().entries, 3);
    assert_eq!(stream.system_calls(), calls);
    assert_eq!(driver.attribute("stream/sent"), 3);
}

fn added_buffers() {
    let driver = Driver::stream("output 1 64 queue=3");
    let mut stream = ReadStream::open("selftest").unwrap();
    stream.start().unwrap();
    assert!(!stream.has_new_buffers());
    driver.command("add 2");
    assert!(stream.has_new_buffers());
    let mut fds = [PollFd::new(&stream, PollFlags::PRI)];
    assert_eq!(poll(&mut fds, None), Ok(1));
    assert_eq!((stream.refresh(), stream.buffer_count()), (Ok(2), 3));
    assert!(!stream.has_new_buffers());
    driver.command("produce 3 20");
    let all: Vec<_> = (0..3).map(|_| stream.dequeue().unwrap()).collect();
    for (i, buffer) in all.iter().enumerate() {
        assert_eq!(&**buffer, entry(i as u64, 20));
    }
}

fn added_input_buffers() {
    let driver = Driver::stream("input 1 64 queue=2");
    let mut stream = WriteStream::open("selftest").unwrap();
    stream.start().unwrap();
    let _first = stream.buffer().unwrap();
    driver.command("add 1");
    assert_eq!(stream.refresh(), Ok(1));
    let mut second = stream.buffer().unwrap();
    second[..4].copy_from_slice(&[1; 4]);
    second.send(4).unwrap();
    driver.command("receive");
    assert_eq!((driver.log("id"), driver.log("sum")), (1, 4));
}
