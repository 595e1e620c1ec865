// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-07: what a client sees while a stop is on its way. Who finds the stream stopped finds the
//! buffers that the stop returned.

use std::fs::write;
use std::os::fd::AsFd;
use std::time::Duration;

use iostream::{Error, WriteStream};
use iostream_ring::uapi::*;
use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::clause::{limit, Clause};
use crate::support::driver::Driver;
use crate::support::race::RacePoint;

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-07/stop-shown-last", shown_last),
    Clause::new("S-07/stop-shown-last-to-the-kernel", shown_last_to_kernel),
];

/// Runs `look` while a stop is held before it returns the buffers, and `after` after its end.
fn during_stop(driver: &Driver, mut look: impl FnMut(), after: impl FnOnce()) {
    let point = RacePoint::set("ends-quiesced");
    std::thread::scope(|scope| {
        let stop = scope.spawn(|| write(driver.sysfs().join("state"), "stopped"));
        point.wait_held();
        look();
        drop(point);
        stop.join().expect("the stop ends").expect("the stop");
    });
    after();
}

fn shown_last() {
    let driver = Driver::stream("input 2 64");
    let raw = driver.open();
    let fd = raw.as_fd().try_clone_to_owned().unwrap();
    let session = iostream::Session::from_fd(fd).unwrap();
    let mut stream = WriteStream::from_session(session).unwrap();
    stream.start().unwrap();
    for _ in 0..2 {
        let buffer = stream.buffer().unwrap();
        stream.sender().send(buffer, 8).unwrap();
    }
    let stream = std::cell::RefCell::new(stream);
    let look = || {
        let mut stream = stream.borrow_mut();
        let waited = stream.buffer_wait(Some(Duration::from_millis(20)));
        assert!(matches!(waited, Err(Error::TimedOut)), "{waited:?}");
        assert_eq!(
            raw.poll(PollFlags::OUT | PollFlags::IN, 0),
            PollFlags::empty()
        );
        assert_eq!(raw.stream().state, IOSTREAM_STATE_RUNNING);
    };
    let after = || {
        let mut stream = stream.borrow_mut();
        assert_eq!(raw.stream().state, IOSTREAM_STATE_STOPPED);
        let both = [(); 2].map(|()| stream.buffer_wait(Some(limit(5))).unwrap());
        assert!(matches!(stream.buffer_wait(None), Err(Error::NotRunning)));
        drop(both);
    };
    during_stop(&driver, look, after);
}

fn shown_last_to_kernel() {
    let (driver, client) = (Driver::stream("input 1 64"), Driver::client());
    client.command("open selftest");
    client.command("start");
    client.command("take");
    client.command("send");
    let look = || {
        client.fails("wait 20", Errno::TIMEDOUT);
        client.fails("receive", Errno::NODATA);
    };
    let after = || {
        client.command("wait 5000");
        client.command("receive");
        client.fails("wait 5000", Errno::SHUTDOWN);
    };
    during_stop(&driver, look, after);
}
