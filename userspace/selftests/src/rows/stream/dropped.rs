// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-13: buffers that the driver drops go back to a client that fills them, without a call of the
//! driver's.

use std::time::{Duration, Instant};

use iostream_raw::Stream;
use rustix::event::PollFlags;

use crate::clause::Clause;
use crate::support::driver::Driver;
use crate::support::waiting::woken_by;

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-13/dropped-comes-back-at-once", comes_back_at_once),
    Clause::new("S-13/dropped-comes-back-at-the-start", at_the_start),
    Clause::new("S-13/dropped-among-sent-ones", among_sent_ones),
    Clause::new("S-13/receive-does-not-search", receive_does_not_search),
];

const CONTEXTS: [&str; 3] = ["task", "softirq", "hardirq"];

/// A driver that has received all buffers of the client.
fn all_with_the_driver(buffers: u32) -> (Driver, Stream) {
    let driver = Driver::stream(&format!("input {buffers} 64"));
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    for id in 0..buffers {
        stream.send_buffer(id, 1);
        driver.command("receive");
    }
    (driver, stream)
}

/// In whatever context the driver drops a buffer, and in whatever order: the client, which has sent
/// all that it had, is woken and has the buffer.
fn comes_back_at_once() {
    for context in CONTEXTS {
        let (driver, mut stream) = all_with_the_driver(4);
        for id in [2, 0, 3, 1] {
            let poll = || stream.session.poll(PollFlags::OUT, -1);
            let drop = || driver.command(&format!("release-in {context} {id}"));
            let said = woken_by(libc::SYS_ppoll, poll, drop);
            assert_eq!(said, PollFlags::OUT, "{context}");
            assert_eq!(stream.take().map(|one| one.buffer), Some(id), "{context}");
            assert!(stream.take().is_none());
        }
        assert_eq!(driver.shown("buffers_where"), "cccc");
    }
}

/// Of a stopped stream nothing is sent; what was dropped meanwhile comes with the next start.
fn at_the_start() {
    for context in CONTEXTS {
        let (driver, mut stream) = all_with_the_driver(4);
        stream.session.stop().unwrap();
        for id in [1, 3] {
            driver.command(&format!("release-in {context} {id}"));
        }
        assert!(stream.take().is_none(), "{context}");
        assert_eq!(driver.shown("buffers_where"), "hfhf");
        stream.session.start().unwrap();
        let back: Vec<u32> = stream.take_all().iter().map(|one| one.buffer).collect();
        assert_eq!(back, [1, 3], "{context}");
        assert_eq!(driver.shown("buffers_where"), "hchc");
    }
}

/// Buffers are dropped, also in interrupts, among others that the driver sends. Each comes back
/// once.
fn among_sent_ones() {
    const BUFFERS: u32 = 64;
    for _ in 0..20 {
        let (driver, mut stream) = all_with_the_driver(BUFFERS);
        for id in 0..BUFFERS {
            let command = match id % 4 {
                0 => format!("send {id}"),
                way => format!("release-in {} {id}", CONTEXTS[way as usize - 1]),
            };
            driver.command(&command);
        }
        let mut back: Vec<u32> = stream.take_all().iter().map(|one| one.buffer).collect();
        back.sort_unstable();
        assert!(back.iter().copied().eq(0..BUFFERS), "{back:?}");
    }
}

/// The shortest time of several that the driver takes to receive often while nothing is there.
fn time_of_looks(buffers: u32) -> Duration {
    let driver = Driver::stream(&format!("input {buffers} 1"));
    let session = driver.open();
    session.start().unwrap();
    let looks = || {
        let start = Instant::now();
        assert_eq!(driver.count("try 2000"), 0);
        start.elapsed()
    };
    (0..7).map(|_| looks()).min().unwrap()
}

/// The driver does not look at each buffer when it receives. With 16,384 buffers that would take a
/// hundred times as long as with few.
fn receive_does_not_search() {
    let (few, many) = (time_of_looks(4), time_of_looks(16_384));
    println!("4 buffers: {few:?}; 16,384 buffers: {many:?}");
    assert!(many < few * 20, "{few:?}, {many:?}");
}
