// SPDX-License-Identifier: MIT OR Apache-2.0

//! B-02: the watermark is set, changed, removed, refused and shown.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::Ordering::Acquire;

use iostream_raw::{ioctl, page, sink, Area, Output, Session, INPUT, OUTPUT};
use iostream_ring::uapi::*;
use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::watermark::{polled, wakeups, watched, MS, NONE};

pub const CLAUSES: &[Clause] = &[
    Clause::new("B-02/out-of-range-refused", out_of_range_refused),
    Clause::new("B-02/changed-while-waiting", changed_while_waiting),
    Clause::new("B-02/latency-set-while-waiting", latency_set_while_waiting),
    Clause::new("B-02/removed-while-waiting", removed_while_waiting),
    Clause::new("B-02/outlives-reset", outlives_reset),
    Clause::new("B-02/told-in-info-and-fdinfo", told_in_info_and_fdinfo),
    Clause::new("B-02/close-with-timer-running", close_with_timer_running),
];

fn out_of_range_refused() {
    let (driver, session) = watched(96, 0);
    let min = u64::from(IOSTREAM_LATENCY_MIN_NS);
    let max = IOSTREAM_LATENCY_MAX_NS;
    for (bytes, latency, expected) in [
        (page() + 1, 0, Err(Errno::RANGE)),
        (u64::MAX, 0, Err(Errno::RANGE)),
        (96, 1, Err(Errno::RANGE)),
        (96, min - 1, Err(Errno::RANGE)),
        (96, max + 1, Err(Errno::RANGE)),
        (96, u64::MAX, Err(Errno::RANGE)),
        (96, 1 << 63, Err(Errno::RANGE)),
        (0, MS, Err(Errno::INVAL)),
        (1, min, Ok(())),
        (page(), max, Ok(())),
        (0, 0, Ok(())),
    ] {
        assert_eq!(
            session.watermark(bytes, latency),
            expected,
            "{bytes} bytes, {latency} ns"
        );
    }
    let call = |session: &Session, mut argument: iostream_watermark| {
        let argument = std::ptr::from_mut(&mut argument).cast();
        ioctl(session, IOSTREAM_IOC_WATERMARK, argument)
    };
    let right = iostream_watermark {
        bytes: 8,
        ..Default::default()
    };
    for direction in [INPUT, 2, u32::MAX] {
        let wrong = iostream_watermark { direction, ..right };
        assert_eq!(call(&session, wrong), Err(Errno::INVAL));
    }
    let reserved = iostream_watermark {
        reserved: 1,
        ..right
    };
    assert_eq!(call(&session, reserved), Err(Errno::INVAL));
    let null = std::ptr::null_mut();
    assert_eq!(
        ioctl(&session, IOSTREAM_IOC_WATERMARK, null),
        Err(Errno::FAULT)
    );
    assert_eq!(Session::bare().watermark(8, 0), Err(Errno::BADFD));
    assert_eq!(Session::new(sink(4096)).watermark(8, 0), Err(Errno::NXIO));
    // A refused call has changed nothing.
    driver.command("enqueue 24");
    assert_eq!(session.poll(PollFlags::IN, 0), PollFlags::IN);
}

fn changed_while_waiting() {
    let (driver, session) = watched(96, 0);
    let woken = polled(&session, || {
        driver.command("enqueue 24");
        session.watermark(64, 0).unwrap();
        assert_eq!(wakeups(&session), 0, "not reached yet");
        session.watermark(32, 0).unwrap();
    });
    assert_eq!((woken, wakeups(&session)), (PollFlags::IN, 1));
}

/// Entries wait already, without a timer.
fn latency_set_while_waiting() {
    let (driver, session) = watched(96, 0);
    let woken = polled(&session, || {
        driver.command("enqueue 24");
        session.watermark(96, 20 * MS).unwrap();
    });
    assert_eq!(woken, PollFlags::IN);
    // A timer that runs with a longer latency is replaced.
    let (driver, session) = watched(96, IOSTREAM_LATENCY_MAX_NS);
    let woken = polled(&session, || {
        driver.command("enqueue 24");
        session.watermark(96, 20 * MS).unwrap();
    });
    assert_eq!(woken, PollFlags::IN);
}

fn removed_while_waiting() {
    let (driver, session) = watched(page(), IOSTREAM_LATENCY_MAX_NS);
    let woken = polled(&session, || {
        driver.command("enqueue 24");
        session.watermark(0, 0).unwrap();
    });
    assert_eq!(woken, PollFlags::IN);
    let mut output = Output::new(&session);
    while output.take().is_some() {}
    // The queue behaves as if it never had a watermark.
    assert_eq!(
        polled(&session, || driver.command("enqueue 0")),
        PollFlags::IN
    );
}

fn outlives_reset() {
    let (driver, session) = watched(96, 0);
    for _ in 0..5 {
        driver.command("enqueue 24");
    }
    assert_eq!(session.poll(PollFlags::IN, 0), PollFlags::IN);
    session.reset(OUTPUT).unwrap();
    for expected in [NONE, NONE, PollFlags::IN] {
        driver.command("enqueue 24");
        assert_eq!(session.poll(PollFlags::IN, 0), expected);
    }
    // A timer that was started for earlier entries does not make later ones ready.
    session.watermark(96, 30 * MS).unwrap();
    session.reset(OUTPUT).unwrap();
    assert_eq!(
        polled(&session, || driver.command("enqueue 24")),
        PollFlags::IN
    );
}

fn told_in_info_and_fdinfo() {
    let (driver, session) = watched(96, MS);
    let info = session.map(OUTPUT, Area::Info);
    let word = |offset| info.word(offset).load(Acquire);
    let read = || {
        (
            word(std::mem::offset_of!(iostream_info, watermark_bytes)),
            word(std::mem::offset_of!(iostream_info, latency_ns)),
            word(std::mem::offset_of!(iostream_info, ready_pos)),
        )
    };
    assert_eq!(read(), (96, MS, 0));
    driver.command("batch 3 24");
    assert_eq!(read(), (96, MS, 96));
    let path = format!("/proc/self/fdinfo/{}", session.as_fd().as_raw_fd());
    let fdinfo = || std::fs::read_to_string(&path).unwrap();
    assert!(fdinfo().contains("watermark_bytes 96 latency_ns 1000000"));
    session.watermark(0, 0).unwrap();
    assert_eq!(read(), (0, 0, 96));
    assert!(fdinfo().contains("watermark_bytes 0 latency_ns 0"));
}

/// The queue's timer ends with the queue, at any time.
fn close_with_timer_running() {
    for i in 0..200 {
        let latency = u64::from(IOSTREAM_LATENCY_MIN_NS) + 5_000 * (i % 40);
        let (driver, session) = watched(page(), latency);
        driver.command("enqueue 24");
        if i % 2 == 0 {
            driver.unpublish();
        }
        drop(session);
    }
}
