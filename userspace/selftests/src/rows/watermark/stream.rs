// SPDX-License-Identifier: MIT OR Apache-2.0

//! B-02 for streams: the same rule, over descriptors.

use iostream_raw::stream::DESCRIPTOR_BYTES;
use iostream_raw::Stream;
use iostream_ring::uapi::{iostream_stop, IOSTREAM_STOP_DRAIN};
use rustix::event::PollFlags;

use crate::clause::Clause;
use crate::support::driver::Driver;
use crate::support::watermark::{polled, MS, NONE};

pub const CLAUSES: &[Clause] = &[
    Clause::new("B-02/stream-watermark-reached", watermark_reached),
    Clause::new("B-02/stream-timer-expired", timer_expired),
    Clause::new("B-02/stream-out-of-buffers-wakes", out_of_buffers_wakes),
    Clause::new("B-02/stopped-wakes", stopped_wakes),
];

/// A running stream of four buffers, and a client that wants `bytes` of descriptors.
fn watched(bytes: u64, latency_ns: u64) -> (Driver, Stream) {
    let driver = Driver::stream("output 4 64");
    let stream = Stream::new(driver.open());
    stream.session.watermark(bytes, latency_ns).unwrap();
    stream.session.start().unwrap();
    (driver, stream)
}

fn watermark_reached() {
    let (driver, mut stream) = watched(3 * DESCRIPTOR_BYTES, 0);
    let woken = polled(&stream.session, || {
        for _ in 0..2 {
            driver.command("produce 1 8");
            assert_eq!(stream.session.poll(PollFlags::IN, 0), NONE);
        }
        driver.command("produce 1 8");
    });
    assert_eq!(woken, PollFlags::IN);
    assert_eq!(stream.take_all().len(), 3);
}

fn timer_expired() {
    let (driver, mut stream) = watched(3 * DESCRIPTOR_BYTES, 5 * MS);
    let woken = polled(&stream.session, || driver.command("produce 1 8"));
    assert_eq!(woken, PollFlags::IN);
    assert_eq!(stream.take_all().len(), 1);
}

/// The queue has room for every buffer, so it is never full; a driver without a free buffer counts
/// as a full queue.
fn out_of_buffers_wakes() {
    let driver = Driver::stream("output 2 64 queue=8");
    let mut stream = Stream::new(driver.open());
    stream.session.watermark(8 * DESCRIPTOR_BYTES, 0).unwrap();
    stream.session.start().unwrap();
    let woken = polled(&stream.session, || {
        driver.command("produce 2 8");
        assert_eq!(stream.session.poll(PollFlags::IN, 0), NONE);
        assert!(driver.tell("take").is_err(), "all are with the client");
    });
    assert_eq!(woken, PollFlags::IN);
    assert_eq!(stream.take_all().len(), 2);
}

fn stopped_wakes() {
    for flags in [0, IOSTREAM_STOP_DRAIN] {
        let (driver, mut stream) = watched(3 * DESCRIPTOR_BYTES, 0);
        driver.command("produce 1 8");
        assert_eq!(stream.session.poll(PollFlags::IN, 0), NONE);
        let woken = polled(&stream.session, || {
            let stop = iostream_stop {
                flags,
                ..Default::default()
            };
            stream.session.stop_with(stop).unwrap();
        });
        assert_eq!(woken, PollFlags::IN);
        // It stays readable, as at the end of a file.
        assert_eq!(stream.take_all().len(), 1);
        assert_eq!(stream.session.poll(PollFlags::IN, 0), PollFlags::IN);
        stream.session.start().unwrap();
        assert_eq!(stream.session.poll(PollFlags::IN, 0), NONE);
    }
}
