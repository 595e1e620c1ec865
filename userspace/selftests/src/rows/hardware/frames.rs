// SPDX-License-Identifier: MIT OR Apache-2.0

//! H-04: the numbers of frames, and how many were lost.

use std::fs::read_to_string;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::Ordering::Relaxed;

use iostream_raw::stream::info;
use iostream_raw::{consumer, node_called, Descriptor, Random, Stream, OUTPUT};
use iostream_ring::uapi::*;
use rustix::io::Errno;

use crate::clause::{count, Clause};
use crate::support::driver::Driver;
use crate::support::module::{open_node, Module};

pub const CLAUSES: &[Clause] = &[
    Clause::new("H-04/lost-adds-up", lost_adds_up),
    Clause::new("H-04/lost-is-told-once", told_once),
    Clause::new("H-04/counted-at-once", counted_at_once),
    Clause::new("H-04/goes-on-after-stop", goes_on_after_stop),
    Clause::new("H-04/discarded-have-numbers", discarded_have_numbers),
    Clause::new("H-04/each-session-from-zero", each_session_from_zero),
    Clause::new("H-04/nobody-has-it-open", nobody_has_it_open),
    Clause::new("H-04/nobody-misses-them", nobody_misses_them),
    Clause::new("H-04/not-sent-has-no-number", not_sent_has_no_number),
    Clause::new("H-04/returned-buffers", returned_buffers),
    Clause::new("H-04/lost-in-interrupt", lost_in_interrupt),
    Clause::new("H-04/monitor", monitor),
];

/// Where the count of lost frames is in the stream's info page.
const LOST: usize = info::COUNTERS + std::mem::offset_of!(iostream_stream_counters, lost);

/// What the descriptors of a session must say.
#[derive(Default)]
struct Expected {
    /// The number of the next frame.
    next: u64,
    /// Frames that were received.
    received: u64,
    /// The sum of what descriptors said was lost.
    lost: u64,
}

impl Expected {
    /// Checks a frame against those before it.
    #[track_caller]
    fn check(&mut self, descriptor: &Descriptor) {
        let Descriptor { frame, lost, .. } = *descriptor;
        assert_eq!(frame, self.next + lost, "{descriptor:?}");
        let gap = descriptor.flags & IOSTREAM_DESCRIPTOR_DISCONTINUITY != 0;
        assert_eq!(gap, lost != 0, "{descriptor:?}");
        assert_eq!((descriptor.status, descriptor.reserved), (0, [0; 3]));
        self.next = frame + 1;
        self.received += 1;
        self.lost += lost;
        assert_eq!(self.lost + self.received, frame + 1);
    }
}

/// All places that show how many frames were lost show this number.
#[track_caller]
fn shown_everywhere(driver: &Driver, stream: &Stream, lost: u64) {
    assert_eq!(stream.counters().lost, lost, "the ioctl");
    assert_eq!(stream.word(LOST), lost, "the info page");
    assert_eq!(driver.attribute("stream/lost"), lost);
    assert_eq!(driver.attribute("output/lost"), lost);
    assert_eq!(stream.session.counters(OUTPUT).lost, lost, "the queue");
    let fd = stream.session.as_fd().as_raw_fd();
    let text = read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("iostream-stream:"));
    assert!(line.unwrap().ends_with(&format!(" lost {lost}")), "{text}");
}

/// Whatever the driver sends and loses, whatever the client takes and when, and however often the
/// stream is suspended, drained and started: each frame's number is the one before it, plus what
/// was lost, plus one.
fn lost_adds_up() {
    const BUFFERS: usize = 5;
    let mut random = Random::seeded();
    let driver = Driver::stream(&format!("output {BUFFERS} 64"));
    let mut stream = driver.open_stream();
    let mut expected = Expected::default();
    let (mut sent, mut lost, mut held) = (0, 0, Vec::new());
    stream.session.start().unwrap();
    for _ in 0..count(20_000) {
        match random.below(10) {
            0..4 => sent += u64::from(driver.tell("produce 1 8").is_ok()),
            4..6 => {
                let some = random.pick(&[0, 1, 2, 1000, 1 << 20]);
                driver.command(&format!("lost {some}"));
                lost += some;
            }
            6..8 => {
                if let Some(descriptor) = stream.take() {
                    expected.check(&descriptor);
                    held.push(descriptor.buffer);
                }
            }
            8 => held.drain(..).for_each(|buffer| stream.give_back(buffer)),
            _ => {
                if random.chance(2) {
                    stream.session.suspend().unwrap();
                } else {
                    stream.session.drain(0).unwrap();
                }
                stream.session.start().unwrap();
            }
        }
    }
    let rest = stream.take_all();
    held.extend(rest.iter().map(|descriptor| descriptor.buffer));
    rest.iter()
        .for_each(|descriptor| expected.check(descriptor));
    held.drain(..).for_each(|buffer| stream.give_back(buffer));
    // The last losses come with one more frame.
    driver.command("produce 1 8");
    expected.check(&stream.take().unwrap());
    assert_eq!((expected.received, expected.lost), (sent + 1, lost));
    assert!(sent > 0 && lost > 0);
    shown_everywhere(&driver, &stream, lost);
}

/// Several reports before a frame are told with it as one sum, and with no frame after it.
fn told_once() {
    let driver = Driver::stream("output 3 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    for some in [3, 0, 4] {
        driver.command(&format!("lost {some}"));
    }
    driver.command("produce 2 8");
    let all = stream.take_all();
    let told: Vec<_> = all.iter().map(|one| (one.frame, one.lost)).collect();
    assert_eq!(told, [(7, 7), (8, 0)]);
    let flags: Vec<_> = all.iter().map(|one| one.flags).collect();
    assert_eq!(flags, [IOSTREAM_DESCRIPTOR_DISCONTINUITY, 0]);
}

/// The counters show a loss before a frame tells of it.
fn counted_at_once() {
    let driver = Driver::stream("output 1 64");
    let stream = driver.open_stream();
    stream.session.start().unwrap();
    shown_everywhere(&driver, &stream, 0);
    let mut lost = 0;
    for some in [1, 2, 1 << 40] {
        driver.command(&format!("lost {some}"));
        lost += some;
        shown_everywhere(&driver, &stream, lost);
    }
}

/// Neither the numbers nor what is not told yet begin again when the stream stops and starts.
fn goes_on_after_stop() {
    let driver = Driver::stream("output 4 64");
    let mut stream = driver.open_stream();
    let mut expected = Expected::default();
    for round in 0..10 {
        stream.session.start().unwrap();
        driver.command("produce 2 8");
        let taken = stream.take_all();
        assert_eq!(taken.len(), 2);
        for descriptor in taken {
            expected.check(&descriptor);
            stream.give_back(descriptor.buffer);
        }
        assert_eq!(expected.lost, 5 * round);
        driver.command("lost 5");
        stream.session.suspend().unwrap();
        stream.session.start().unwrap();
        assert_eq!(stream.session.stop(), Ok((0, 0)));
    }
}

/// What a stop discards keeps its numbers: they are missing, and not lost.
fn discarded_have_numbers() {
    let driver = Driver::stream("output 4 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    driver.command("produce 1 8");
    driver.command("lost 2");
    driver.command("produce 2 8");
    assert_eq!(stream.take().unwrap().frame, 0);
    assert_eq!(stream.session.stop(), Ok((2, 0)));
    let unread: Vec<u32> = stream.take_all().iter().map(|one| one.buffer).collect();
    unread.iter().for_each(|buffer| stream.give_back(*buffer));
    stream.session.start().unwrap();
    driver.command("produce 1 8");
    let next = stream.take().unwrap();
    assert_eq!((next.frame, next.lost), (5, 0));
    let counters = stream.counters();
    assert_eq!((counters.lost, counters.discarded), (2, 2));
}

fn each_session_from_zero() {
    let driver = Driver::stream("output 2 64");
    for _ in 0..3 {
        let mut stream = driver.open_stream();
        stream.session.start().unwrap();
        shown_everywhere(&driver, &stream, 0);
        driver.command("produce 1 8");
        let first = stream.take().unwrap();
        assert_eq!((first.frame, first.lost, first.flags), (0, 0, 0));
        driver.command("lost 9");
        shown_everywhere(&driver, &stream, 9);
    }
    assert_eq!(driver.attribute("stream/lost"), 0);
}

/// Without a client losses are counted as what was refused is, and no session is told of them.
fn nobody_has_it_open() {
    let driver = Driver::stream("output 2 64");
    let mut unopened = driver.attribute("unopened");
    for some in [1, 0, 300] {
        driver.fails(&format!("lost {some}"), Errno::NOTCONN);
        unopened += some;
        assert_eq!(driver.attribute("unopened"), unopened);
    }
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    driver.command("lost 4");
    driver.command("produce 1 8");
    let first = stream.take().unwrap();
    assert_eq!((first.frame, first.lost), (4, 4));
    drop(stream);
    assert_eq!(driver.attribute("unopened"), unopened);
    // A queue of entries counts in the same way.
    drop(driver);
    let queue = Driver::new(4096, 0);
    let before = queue.attribute("unopened");
    queue.fails("lost 7", Errno::NOTCONN);
    assert_eq!(queue.attribute("unopened"), before + 7);
    let session = queue.open();
    queue.command("lost 5");
    assert_eq!(session.counters(OUTPUT).lost, 5);
    assert_eq!(queue.attribute("unopened"), before + 7);
}

/// A stopped stream misses no frame.
fn nobody_misses_them() {
    let driver = Driver::stream("output 2 64");
    let mut stream = driver.open_stream();
    let unopened = driver.attribute("unopened");
    driver.fails("lost 3", Errno::SHUTDOWN);
    stream.session.start().unwrap();
    driver.command("lost 1");
    stream.session.stop().unwrap();
    driver.fails("lost 3", Errno::SHUTDOWN);
    shown_everywhere(&driver, &stream, 1);
    stream.session.start().unwrap();
    driver.command("produce 1 8");
    let first = stream.take().unwrap();
    assert_eq!((first.frame, first.lost), (1, 1));
    assert_eq!(driver.attribute("unopened"), unopened);
    driver.unpublish();
    driver.fails("lost 3", Errno::NODEV);
}

/// A send that fails uses up no number, and forgets no loss. It fails because the client's position
/// is wrong, which the driver finds out when it next looks: once in a lap of the queue.
fn not_sent_has_no_number() {
    let driver = Driver::stream("output 4 64");
    let mut stream = driver.open_stream();
    let mut expected = Expected::default();
    stream.session.start().unwrap();
    let mut failures = 0;
    for _ in 0..1000 {
        driver.command("lost 1");
        driver.command("take");
        let id = driver.log("id");
        let ours = stream.output.consumer.word(consumer::POS);
        let pos = ours.load(Relaxed);
        ours.store(pos + 3, Relaxed);
        let sent = driver.tell(&format!("send {id}"));
        ours.store(pos, Relaxed);
        if sent == Err(Errno::BADMSG) {
            failures += 1;
            driver.command("produce 1 8");
        }
        let descriptor = stream.take().unwrap();
        assert_eq!(descriptor.lost, 1);
        expected.check(&descriptor);
        stream.give_back(descriptor.buffer);
    }
    assert!(failures > 1, "{failures}");
}

/// In input mode the buffers that come back are numbered in the same way, also those that a stop
/// returns.
fn returned_buffers() {
    let driver = Driver::stream("input 4 64");
    let mut stream = driver.open_stream();
    let mut expected = Expected::default();
    stream.session.start().unwrap();
    for round in 0..20 {
        (0..4).for_each(|buffer| stream.send_buffer(buffer, 1));
        driver.command("consume 2");
        driver.command(&format!("lost {round}"));
        // Sends back what it has consumed.
        driver.command("receive");
        driver.command("release-all");
        assert_eq!(stream.session.stop(), Ok((0, 1)));
        stream.session.start().unwrap();
        driver.fails("receive", Errno::NODATA);
        let back = stream.take_all();
        assert_eq!(back.len(), 4);
        back.iter().for_each(|one| expected.check(one));
    }
    shown_everywhere(&driver, &stream, (0..20).sum());
}

/// A driver that has no buffer loses frames in a hard interrupt. Its own numbers agree with the
/// stream's.
fn lost_in_interrupt() {
    let parameters = ["rate=1000", "buffers=2", "data_bytes=64"];
    let _pattern = Module::load("iostream_pattern", &parameters);
    let mut stream = Stream::new(open_node("pattern").unwrap());
    stream.session.start().unwrap();
    let mut expected = Expected::default();
    while expected.received < 100 {
        let wanted = stream.counters().lost + expected.received % 3;
        while stream.counters().lost < wanted {
            std::thread::yield_now();
        }
        let descriptor = stream.wait();
        expected.check(&descriptor);
        let control = stream.control(&descriptor);
        let word = |i: usize| u64::from_ne_bytes(control[8 * i..8 * i + 8].try_into().unwrap());
        assert_eq!(
            (word(0), word(1)),
            (descriptor.frame, descriptor.timestamp_ns)
        );
        stream.give_back(descriptor.buffer);
    }
    assert!(expected.lost > 0);
}

/// A module that is a client counts the same losses.
fn monitor() {
    let parameters = ["rate=10000", "buffers=1", "data_bytes=4096"];
    let pattern = Module::load("iostream_pattern", &parameters);
    let monitor = Module::load("iostream_monitor", &[]);
    monitor.wait_for("lost", |lost| lost >= 10);
    pattern.unload();
    assert_eq!(node_called("pattern"), None);
    monitor.wait_for("gone", |gone| gone == 1);
    assert_eq!(monitor.count("missed"), monitor.count("lost"));
    assert_eq!(monitor.count("bad"), 0);
}
