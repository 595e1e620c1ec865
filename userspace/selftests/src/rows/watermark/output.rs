// SPDX-License-Identifier: MIT OR Apache-2.0

//! B-02 for output queues: when a queue with a watermark is readable, and when its consumer is
//! woken.
//!
//! Entries of 24 bytes take 32, so the third reaches a watermark of 96.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::fence;
use std::sync::atomic::Ordering::*;
use std::time::{Duration, Instant};

use iostream_raw::{consumer, page, Area, Output, OUTPUT};
use iostream_ring::uapi::iostream_info;
use rustix::event::{eventfd, EventfdFlags, PollFlags};
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::driver::{entry, Driver};
use crate::support::waiting::woken_by;
use crate::support::watermark::{polled, wakeups, watched, MS, NONE};

pub const CLAUSES: &[Clause] = &[
    Clause::new("B-02/watermark-reached", watermark_reached),
    Clause::new("B-02/below-stays-asleep", below_stays_asleep),
    Clause::new("B-02/ready-until-consumed", ready_until_consumed),
    Clause::new("B-02/timer-expired", timer_expired),
    Clause::new("B-02/timer-for-each-entry", timer_for_each_entry),
    Clause::new("B-02/timer-from-interrupt", timer_from_interrupt),
    Clause::new("B-02/full-wakes", full_wakes),
    Clause::new("B-02/full-batch-wakes", full_batch_wakes),
    Clause::new("B-02/flush-wakes", flush_wakes),
    Clause::new("B-02/forced-entry-wakes", forced_entry_wakes),
    Clause::new("B-02/gone-wakes", gone_wakes),
    Clause::new("B-02/eventfd", by_eventfd),
    Clause::new("B-02/eventfd-armed-by-hand", eventfd_armed_by_hand),
    Clause::new("B-02/eventfd-set-when-ready", eventfd_set_when_ready),
    Clause::new("B-02/read-waits", read_waits),
    Clause::new("B-02/nonblocking-read-takes", nonblocking_read_takes),
    Clause::new("B-02/overwriting-queue", overwriting_queue),
];

fn watermark_reached() {
    let (driver, session) = watched(96, 0);
    let mut output = Output::new(&session);
    for _ in 0..10 {
        let before = wakeups(&session);
        let woken = polled(&session, || {
            for _ in 0..2 {
                driver.command("enqueue 24");
                assert_eq!(wakeups(&session), before);
            }
            driver.command("enqueue 24");
        });
        assert_eq!(woken, PollFlags::IN);
        assert_eq!((output.available(), wakeups(&session)), (96, before + 1));
        while output.take().is_some() {}
    }
    // One large entry, or a batch, reaches it as well.
    assert_eq!(
        polled(&session, || driver.command("enqueue 88")),
        PollFlags::IN
    );
    while output.take().is_some() {}
    assert_eq!(
        polled(&session, || driver.command("batch 3 24")),
        PollFlags::IN
    );
}

fn below_stays_asleep() {
    let (driver, session) = watched(96, 0);
    assert_eq!(session.poll(PollFlags::IN, 0), NONE);
    let counted = || {
        let counters = session.counters(OUTPUT);
        (counters.wakeups_sent, counters.wakeups_suppressed)
    };
    // Only the third entry ends the sleep.
    let woken = polled(&session, || {
        for suppressed in 1..=2 {
            driver.command("enqueue 24");
            assert_eq!(counted(), (0, suppressed));
        }
        driver.command("enqueue 24");
    });
    assert_eq!((woken, counted()), (PollFlags::IN, (1, 2)));
}

/// A queue that became ready stays ready until it is consumed: a program that takes one entry a
/// turn would otherwise sleep on the rest.
fn ready_until_consumed() {
    let (driver, session) = watched(96, 0);
    let mut output = Output::new(&session);
    for _ in 0..3 {
        driver.command("enqueue 24");
    }
    for _ in 0..3 {
        assert_eq!(session.poll(PollFlags::IN, -1), PollFlags::IN);
        output.take().unwrap();
    }
    assert_eq!(session.poll(PollFlags::IN, 0), NONE);
    driver.command("enqueue 24");
    assert_eq!(session.poll(PollFlags::IN, 0), NONE, "counted anew");
}

fn timer_expired() {
    let (driver, session) = watched(page(), 40 * MS);
    let mut start = Instant::now();
    let woken = polled(&session, || {
        start = Instant::now();
        driver.command("enqueue 24");
    });
    let waited = start.elapsed();
    assert_eq!((woken, wakeups(&session)), (PollFlags::IN, 1));
    assert!(waited >= Duration::from_millis(40), "{waited:?}");
    // The consumer is woken once.
    assert_eq!(session.poll(PollFlags::IN, 0), PollFlags::IN);
    assert_eq!(wakeups(&session), 1);
}

/// The first entry after the timer has fired starts it again.
fn timer_for_each_entry() {
    let (driver, session) = watched(page(), MS);
    let mut output = Output::new(&session);
    for i in 0..50 {
        assert_eq!(
            polled(&session, || driver.command("enqueue 24")),
            PollFlags::IN
        );
        assert_eq!(output.take().unwrap().bytes, entry(i, 24));
        assert_eq!(output.take(), None);
    }
    // Also while the entry before is not consumed.
    for _ in 0..10 {
        let before = session.map(OUTPUT, Area::Info);
        let ready = before.word(std::mem::offset_of!(iostream_info, ready_pos));
        let told = ready.load(Relaxed);
        driver.command("enqueue 24");
        crate::support::waiting::wait_until("it is made ready", || {
            ready.load(Relaxed) == told + 32
        });
    }
}

fn timer_from_interrupt() {
    let (driver, session) = watched(page(), MS);
    let mut output = Output::new(&session);
    for context in ["softirq", "hardirq"] {
        for _ in 0..10 {
            let command = format!("enqueue 24 {context}");
            assert_eq!(polled(&session, || driver.command(&command)), PollFlags::IN);
            assert_eq!(output.take().unwrap().bytes.len(), 24);
        }
    }
}

/// Entries of 1000 bytes never reach this watermark: the enqueue that finds no room wakes.
fn full_wakes() {
    let (driver, session) = watched(page(), 0);
    let mut output = Output::new(&session);
    for _ in 0..5 {
        let before = wakeups(&session);
        let woken = polled(&session, || {
            for _ in 0..page() / 1008 {
                driver.command("enqueue 1000");
            }
            assert_eq!(wakeups(&session), before);
            driver.fails("enqueue 1000", Errno::NOSPC);
        });
        assert_eq!((woken, wakeups(&session)), (PollFlags::IN, before + 1));
        // All entries that were there stay ready, even after room was made.
        output.take().unwrap();
        assert_eq!(session.poll(PollFlags::IN, 0), PollFlags::IN);
        while output.take().is_some() {}
        assert_eq!(session.poll(PollFlags::IN, 0), NONE);
    }
}

fn full_batch_wakes() {
    let (driver, session) = watched(page(), 0);
    let woken = polled(&session, || driver.command("batch 1000 1000"));
    assert_eq!((woken, driver.log("count")), (PollFlags::IN, page() / 1008));
}

fn flush_wakes() {
    let (driver, session) = watched(96, 0);
    let mut output = Output::new(&session);
    let woken = polled(&session, || {
        driver.command("enqueue 24");
        driver.command("enqueue 24");
        assert_eq!(wakeups(&session), 0);
        driver.command("flush");
    });
    assert_eq!((woken, wakeups(&session)), (PollFlags::IN, 1));
    while output.take().is_some() {}
    // A flush of an empty queue makes nothing ready, now or later.
    driver.command("flush");
    assert_eq!(session.poll(PollFlags::IN, 0), NONE);
    driver.command("enqueue 24");
    assert_eq!(session.poll(PollFlags::IN, 0), NONE);
}

fn forced_entry_wakes() {
    let (driver, session) = watched(96, 0);
    let woken = polled(&session, || driver.command("enqueue 24 task force"));
    assert_eq!((woken, wakeups(&session)), (PollFlags::IN, 1));
}

fn gone_wakes() {
    let (driver, session) = watched(96, 0);
    let mut output = Output::new(&session);
    driver.command("enqueue 24");
    let woken = polled(&session, || driver.unpublish());
    // No error while something can be read.
    assert_eq!(woken, PollFlags::IN | PollFlags::HUP);
    output.take().unwrap();
    let left = session.poll(PollFlags::IN, 0);
    assert_eq!(left, PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
    assert_eq!(session.watermark(0, 0), Err(Errno::NODEV));
}

fn new_eventfd() -> OwnedFd {
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap()
}

/// How often it was signalled since the last call.
fn signals(fd: &OwnedFd) -> u64 {
    let mut value = [0; 8];
    match rustix::io::read(fd, &mut value) {
        Ok(_) => u64::from_ne_bytes(value),
        Err(error) => {
            assert_eq!(error, Errno::AGAIN);
            0
        }
    }
}

fn by_eventfd() {
    let (driver, session) = watched(96, 0);
    let event = new_eventfd();
    session.eventfd(OUTPUT, event.as_fd().as_raw_fd()).unwrap();
    for expected in [0, 0, 1, 0] {
        driver.command("enqueue 24");
        assert_eq!(signals(&event), expected);
    }
}

/// A client that never polls: it arms at its own position plus the watermark.
fn eventfd_armed_by_hand() {
    let (driver, session) = watched(96, 0);
    let mut output = Output::new(&session);
    let event = new_eventfd();
    session.eventfd(OUTPUT, event.as_fd().as_raw_fd()).unwrap();
    // Uses up the arming by the call that set it.
    driver.command("flush");
    assert_eq!(signals(&event), 1);
    for round in 0..10 {
        let wake = output.consumer.word(consumer::WAKE);
        wake.store(output.pos + 96, Relaxed);
        fence(SeqCst);
        assert_eq!(output.available(), 0);
        for expected in [0, 0, 1, 0, 0] {
            driver.command("enqueue 24");
            assert_eq!(signals(&event), expected, "round {round}");
        }
        while output.take().is_some() {}
    }
    // The timer wakes such a client, too.
    session.watermark(96, MS).unwrap();
    output
        .consumer
        .word(consumer::WAKE)
        .store(output.pos + 96, Relaxed);
    driver.command("enqueue 24");
    crate::support::waiting::wait_until("the timer", || signals(&event) == 1);
}

fn eventfd_set_when_ready() {
    let (driver, session) = watched(96, 0);
    let event = new_eventfd();
    let set = || session.eventfd(OUTPUT, event.as_fd().as_raw_fd()).unwrap();
    for expected in [0, 0, 1, 1] {
        driver.command("enqueue 24");
        signals(&event);
        set();
        assert_eq!(signals(&event), expected);
    }
}

fn read_waits() {
    let (driver, session) = watched(96, 0);
    driver.command("enqueue 24");
    let first = woken_by(
        libc::SYS_read,
        || session.read_entry(),
        || {
            driver.command("enqueue 24");
            assert_eq!(wakeups(&session), 0);
            driver.command("enqueue 24");
        },
    );
    assert_eq!(first, entry(0, 24));
    // The entries that waited then are taken without waiting.
    assert_eq!(session.read_entry(), entry(1, 24));
    assert_eq!(session.read_entry(), entry(2, 24));
    let next = woken_by(
        libc::SYS_read,
        || session.read_entry(),
        || {
            driver.command("enqueue 24");
            driver.command("flush");
        },
    );
    assert_eq!(next, entry(3, 24));
}

fn nonblocking_read_takes() {
    let driver = Driver::new(4096, 0);
    let session = driver.open_nonblocking();
    session.watermark(96, 0).unwrap();
    assert_eq!(session.read(&mut [0; 100]), Err(Errno::AGAIN));
    driver.command("enqueue 24");
    assert_eq!(session.poll(PollFlags::IN, 0), NONE);
    assert_eq!(session.read(&mut [0; 100]), Ok(24));
    assert_eq!(session.read(&mut [0; 100]), Err(Errno::AGAIN));
}

fn overwriting_queue() {
    let driver = Driver::overwriting(4096);
    let session = driver.open_nonblocking();
    session.watermark(96, 0).unwrap();
    for round in 0..3 {
        for expected in [NONE, NONE, PollFlags::IN, PollFlags::IN] {
            driver.command("enqueue 24");
            assert_eq!(session.poll(PollFlags::IN, 0), expected, "round {round}");
        }
        while session.read(&mut [0; 100]).is_ok() {}
    }
    // The producer is laps ahead of the reader: the queue is ready.
    driver.command("batch 1000 24");
    assert_eq!(session.poll(PollFlags::IN, 0), PollFlags::IN);
    session.watermark(page(), MS).unwrap();
    while session.read(&mut [0; 100]).is_ok() {}
    assert_eq!(
        polled(&session, || driver.command("enqueue 24")),
        PollFlags::IN
    );
}
