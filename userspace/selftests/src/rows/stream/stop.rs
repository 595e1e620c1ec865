// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-07: what a stop discards, and what a drain waits for.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use iostream_raw::stream::{info, numbers, DESCRIPTOR_BYTES};
use iostream_raw::{Descriptor, Session, Stream};
use iostream_ring::uapi::*;
use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::clause::{count, Clause};
use crate::support::driver::Driver;
use crate::support::waiting::{this_thread, wait_asleep, wait_until, woken_by};

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-07/stop-discards-output", discards_output),
    Clause::new("S-07/stop-leaves-what-was-taken", leaves_what_was_taken),
    Clause::new("S-07/stop-discards-input", discards_input),
    Clause::new("S-07/stop-discards-both", discards_both),
    Clause::new("S-07/stop-counts-no-returned-ones", counts_no_returned_ones),
    Clause::new("S-07/stop-rejects-nonsense", rejects_nonsense),
    Clause::new("S-07/stop-takes-back-behind-nonsense", behind_nonsense),
    Clause::new("S-07/stop-with-corrupt-position", with_corrupt_position),
    Clause::new(
        "S-07/stop-with-buffers-at-the-driver",
        with_buffers_at_the_driver,
    ),
    Clause::new("S-07/stop-wakes-pollers", wakes_pollers),
    Clause::new("S-07/drain-waits", drain_waits),
    Clause::new("S-07/drain-with-nothing-to-wait-for", drain_nothing),
    Clause::new("S-07/drain-times-out", drain_times_out),
    Clause::new("S-07/drain-interrupted", drain_interrupted),
    Clause::new("S-07/drain-suspended", drain_suspended),
    Clause::new("S-07/drain-leaves-output", drain_leaves_output),
    Clause::new("S-07/drain-loses-none", drain_loses_none),
];

fn running(plan: &str) -> (Driver, Stream) {
    let driver = Driver::stream(plan);
    let stream = driver.open_stream();
    stream.session.start().unwrap();
    (driver, stream)
}

/// Buffers that the client has not taken are to be returned unread; a position says which ones.
fn discards_output() {
    let (driver, mut stream) = running("output 4 64");
    driver.command("produce 3 10");
    assert_eq!(stream.session.stop(), Ok((3, 0)));
    assert_eq!(stream.counters().discarded, 3);
    assert_eq!(driver.attribute("stream/discarded"), 3);
    let discarded = stream.word(info::DISCARDED);
    assert_eq!(discarded, 3 * DESCRIPTOR_BYTES);
    stream.session.start().unwrap();
    driver.command("produce 1 10");
    for _ in 0..3 {
        assert!(stream.output.pos < discarded);
        let id = stream.take().unwrap().buffer;
        stream.give_back(id);
    }
    assert_eq!(stream.output.pos, discarded);
    let fresh = stream.take().unwrap();
    assert_eq!((fresh.buffer, fresh.frame), (3, 3));
    for _ in 0..3 {
        driver.command("take");
    }
    driver.fails("take", Errno::NOSPC);
}

fn leaves_what_was_taken() {
    let (driver, mut stream) = running("output 4 64");
    driver.command("produce 4 10");
    let mine = [stream.take().unwrap(), stream.take().unwrap()];
    assert_eq!(stream.session.stop(), Ok((2, 0)));
    assert_eq!(driver.shown("buffers_where"), "cccc");
    assert_eq!(stream.data(&mine[1]), crate::support::driver::entry(1, 10));
    stream.give_back(mine[0].buffer);
    stream.session.start().unwrap();
    driver.command("take");
    assert_eq!(driver.log("id"), 0);
    driver.fails("take", Errno::NOSPC);
}

/// Input: buffers that the driver has not taken come back, marked as not processed.
fn discards_input() {
    let (driver, mut stream) = running("input 4 64");
    for id in [2, 0, 3] {
        stream.send_buffer(id, 5);
    }
    assert_eq!(stream.session.stop(), Ok((0, 3)));
    assert_eq!(stream.counters().discarded, 3);
    assert_eq!(driver.shown("buffers_where"), "cccc");
    let back = stream.take_all();
    let seen: Vec<_> = back.iter().map(|one| (one.buffer, one.flags)).collect();
    let flag = IOSTREAM_DESCRIPTOR_DISCARDED;
    assert_eq!(seen, [(0, flag), (2, flag), (3, flag)]);
    assert_eq!(stream.word(info::DISCARDED), 0, "they can be read");
    stream.session.start().unwrap();
    driver.fails("receive", Errno::NODATA);
    stream.send_buffer(2, 1);
    driver.command("receive");
    assert_eq!(driver.log("id"), 2);
}

/// Input-output: both directions are discarded and counted separately; buffers that were sent are
/// free.
fn discards_both() {
    let (driver, mut stream) = running("input-output 6 64");
    driver.command("produce 5 1");
    let mine: Vec<_> = (0..3).map(|_| stream.take().unwrap().buffer).collect();
    stream.send_buffer(mine[0], 4);
    stream.send_buffer(mine[1], 4);
    assert_eq!(driver.shown("buffers_where"), "cccccf");
    assert_eq!(stream.session.stop(), Ok((2, 2)));
    assert_eq!(stream.counters().discarded, 4);
    assert_eq!(driver.shown("buffers_where"), "ffcccf");
    assert_eq!(stream.word(info::DISCARDED), 5 * DESCRIPTOR_BYTES);
}

/// Output: returned buffers are not counted as discarded.
fn counts_no_returned_ones() {
    let (driver, mut stream) = running("output 4 64");
    driver.command("produce 4 1");
    for _ in 0..3 {
        let id = stream.take().unwrap().buffer;
        // With and without the flag.
        if id == 0 {
            stream.send_buffer(id, 0);
        } else {
            stream.give_back(id);
        }
    }
    assert_eq!(stream.session.stop(), Ok((1, 0)));
    assert_eq!(driver.shown("buffers_where"), "fffc");
    let counters = stream.counters();
    assert_eq!((counters.discarded, counters.received), (1, 3));
}

fn rejects_nonsense() {
    let (driver, mut stream) = running("input 4 64");
    stream.send_buffer(4, 0);
    stream.send_buffer(1, 0);
    stream.send_buffer(1, 0);
    stream.send_buffer(2, 65);
    assert_eq!(stream.session.stop(), Ok((0, 1)));
    let counters = iostream_raw::stream::numbers(&stream.counters());
    assert_eq!(counters, [1, 1, 1, 1, 1, 1, 0, 0]);
    assert_eq!(driver.shown("buffers_where"), "cccc");
}

/// More invalid descriptors than there are buffers do not hide the valid one after them.
fn behind_nonsense() {
    let (driver, mut stream) = running("input 1 64");
    for _ in 0..50 {
        stream.send_buffer(7, 0);
    }
    stream.send_buffer(0, 1);
    assert_eq!(stream.session.stop(), Ok((0, 1)));
    assert_eq!(stream.counters().rejected_id, 50);
    assert_eq!(stream.take().unwrap().flags, IOSTREAM_DESCRIPTOR_DISCARDED);
    driver.fails("receive", Errno::NODATA);
}

/// A process with an invalid position gets an answer, and everybody else continues.
fn with_corrupt_position() {
    let (driver, stream) = running("input-output 4 64");
    driver.command("produce 2 1");
    let word = stream.output.consumer.word(iostream_raw::consumer::POS);
    word.store(1 << 40, std::sync::atomic::Ordering::Relaxed);
    let word = stream.input.producer.word(iostream_raw::producer::POS);
    word.store(u64::MAX - 3, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(stream.session.stop(), Ok((0, 0)));
    assert_eq!(stream.session.start(), Ok(()));
    driver.fails("receive", Errno::BADMSG);
    drop(stream);
    let mut next = driver.open_stream();
    next.session.start().unwrap();
    driver.command("produce 1 1");
    assert!(next.take().is_some());
}

/// Buffers that the driver holds stay with it: it may send them after the next start.
fn with_buffers_at_the_driver() {
    let (driver, mut stream) = running("output 2 64");
    driver.command("take");
    driver.command("fill 0 8 0 4");
    driver.command("range 0 0 4");
    assert_eq!(stream.session.stop(), Ok((0, 0)));
    assert_eq!(driver.shown("buffers_where"), "hf");
    stream.session.start().unwrap();
    driver.command("send 0");
    let descriptor = stream.take().unwrap();
    assert_eq!(stream.data(&descriptor), [8, 9, 10, 11]);
}

/// A stop wakes those who wait for a buffer: none will come, as at the end of a file.
fn wakes_pollers() {
    let (_driver, stream) = running("output 2 64");
    let poll = || stream.session.poll(PollFlags::IN, -1);
    let stop = || assert_eq!(stream.session.stop(), Ok((0, 0)));
    assert_eq!(woken_by(libc::SYS_ppoll, poll, stop), PollFlags::IN);
    stream.session.start().unwrap();
    assert_eq!(stream.session.poll(PollFlags::IN, 0), PollFlags::empty());
}

fn drain_waits() {
    let (driver, mut stream) = running("input 4 64");
    for id in 0..3 {
        stream.send_buffer(id, 7);
    }
    let Stream { session, .. } = &stream;
    let drain = || session.drain(0);
    let took = || {
        driver.command("consume 2");
        assert_eq!(
            session.stream().state,
            IOSTREAM_STATE_RUNNING,
            "one is left"
        );
        driver.command("consume 1");
    };
    assert_eq!(woken_by(libc::SYS_ioctl, drain, took), Ok((0, 0)));
    assert_eq!(session.stream().state, IOSTREAM_STATE_STOPPED);
    assert_eq!(stream.counters().discarded, 0);
}

fn drain_nothing() {
    let (driver, mut stream) = running("input 2 64");
    assert_eq!(stream.session.drain(0), Ok((0, 0)));
    stream.session.start().unwrap();
    stream.send_buffer(0, 1);
    driver.command("receive");
    // A drain does not wait for buffers that the driver has taken.
    assert_eq!(stream.session.drain(0), Ok((0, 0)));
    assert_eq!(driver.shown("buffers_where"), "hc");
}

fn drain_times_out() {
    let (driver, mut stream) = running("input 2 64");
    stream.send_buffer(1, 1);
    let stops = driver.log("stops_drain");
    let start = Instant::now();
    assert_eq!(stream.session.drain(50_000_000), Err(Errno::TIMEDOUT));
    let waited = start.elapsed();
    assert!(waited >= Duration::from_millis(50), "{waited:?}");
    assert_eq!(driver.log("stops_drain"), stops, "the driver is not called");
    assert_eq!(
        stream.session.stream().state,
        IOSTREAM_STATE_RUNNING,
        "it goes on"
    );
    driver.command("receive");
    assert_eq!(driver.log("id"), 1);
}

extern "C" fn nothing(_: libc::c_int) {}

fn drain_interrupted() {
    let (driver, mut stream) = running("input 2 64");
    stream.send_buffer(1, 1);
    // SAFETY: The handler does nothing.
    unsafe { libc::signal(libc::SIGUSR1, nothing as *const () as libc::sighandler_t) };
    let (send, receive) = std::sync::mpsc::channel();
    let session = &stream.session;
    let drained = std::thread::scope(|scope| {
        let waiter = scope.spawn(move || {
            // SAFETY: No preconditions.
            send.send((this_thread(), unsafe { libc::pthread_self() }))
                .unwrap();
            session.drain(0)
        });
        let (task, thread) = receive.recv().unwrap();
        wait_asleep(&task, libc::SYS_ioctl);
        // SAFETY: The thread has not been joined, so the id is valid.
        unsafe { libc::pthread_kill(thread, libc::SIGUSR1) };
        waiter.join().unwrap()
    });
    assert_eq!(drained, Err(Errno::INTR));
    assert_eq!(session.stream().state, IOSTREAM_STATE_RUNNING);
    driver.command("receive");
}

/// A drain of a suspended stream is refused: its driver takes nothing.
fn drain_suspended() {
    let (_driver, mut stream) = running("input 2 64");
    stream.send_buffer(1, 1);
    stream.session.suspend().unwrap();
    assert_eq!(stream.session.drain(0), Err(Errno::BADFD));
    assert_eq!(stream.session.stream().state, IOSTREAM_STATE_SUSPENDED);
}

/// Buffers that the driver has sent stay queued to the client.
fn drain_leaves_output() {
    let (driver, mut stream) = running("input-output 4 64");
    driver.command("produce 3 10");
    assert_eq!(stream.session.drain(0), Ok((0, 0)));
    assert_eq!(stream.word(info::DISCARDED), 0);
    let taken: Vec<Descriptor> = stream.take_all();
    assert_eq!(taken.len(), 3);
    assert_eq!(stream.data(&taken[2]), crate::support::driver::entry(2, 10));
}

/// The client goes on sending while its stream is drained, stopped and started. Each descriptor is
/// taken by the driver or counted as discarded.
fn drain_loses_none() {
    let driver = Driver::stream("input 8 64");
    let mut stream = driver.open_stream();
    driver.command("auto consume");
    let before = driver.log("moved");
    let other = stream.session.as_fd().try_clone_to_owned().unwrap();
    let session = Session::from_fd(other);
    session.start().unwrap();
    let done = AtomicBool::new(false);
    let (sent, discarded) = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut free: Vec<u32> = (0..8).collect();
            let mut sent = 0;
            while !done.load(Relaxed) {
                for id in free.drain(..) {
                    stream.send_buffer(id, 8);
                    sent += 1;
                }
                free.extend(stream.take_all().iter().map(|one| one.buffer));
            }
            sent
        });
        let mut discarded = 0;
        for _ in 0..count(1000) {
            let (output, input) = session.drain(0).unwrap();
            assert_eq!(output, 0);
            discarded += input;
            session.start().unwrap();
        }
        done.store(true, Relaxed);
        (sender.join().unwrap(), discarded)
    });
    wait_until("the driver has taken the rest", || {
        driver.log("moved") - before + discarded == sent
    });
    assert_eq!(stream.counters().discarded, discarded);
    assert_eq!(
        numbers(&stream.counters())[1..],
        [sent, discarded, 0, 0, 0, 0, 0]
    );
    println!("{sent} sent, {discarded} discarded");
}
