// SPDX-License-Identifier: MIT OR Apache-2.0

//! B-02: waiting for a watermark by epoll and with the crate, without losing a wake-up.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::*;
use std::time::{Duration, Instant};

use iostream::{Error, Setup};
use iostream_raw::{check_record, page, source, wait_for, Output, Random, Session};
use iostream_ring::uapi::iostream_run;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventFlags};
use rustix::event::{eventfd, EventfdFlags, PollFlags, Timespec};

use crate::clause::{count, Clause};
use crate::support::driver::Driver;
use crate::support::waiting::woken_by;
use crate::support::watermark::{watched, MS};

pub const CLAUSES: &[Clause] = &[
    Clause::new("B-02/epoll-level", epoll_level),
    Clause::new("B-02/watermark-epoll-edge", epoll_edge),
    Clause::new("B-02/epoll-one-shot", epoll_one_shot),
    Clause::new("B-02/crate-wait", crate_wait),
    Clause::new("B-02/crate-wait-for-timer", crate_wait_for_timer),
    Clause::new("B-02/crate-wait-ends-when-gone", crate_wait_ends_when_gone),
    Clause::new("B-02/crate-overwrite-reader", crate_overwrite_reader),
    Clause::new("B-02/crate-eventfd", crate_eventfd),
    Clause::new("B-02/crate-refuses", crate_refuses),
    Clause::slow(
        "B-02/no-lost-wakeup-epoll-edge",
        240,
        no_lost_wakeup_epoll_edge,
    ),
    Clause::slow("B-02/no-lost-wakeup-timer", 240, no_lost_wakeup_timer),
    Clause::slow("B-02/no-lost-wakeup-eventfd", 240, no_lost_wakeup_eventfd),
];

fn new_epoll(session: &Session, flags: EventFlags) -> OwnedFd {
    let fd = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    epoll::add(&fd, session, epoll::EventData::new_u64(7), flags).unwrap();
    fd
}

/// Whether epoll reports the session readable, now or (`wait`) once it does.
fn readable(epoll: &OwnedFd, wait: bool) -> bool {
    let zero = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let mut found = Vec::with_capacity(4);
    epoll::wait(epoll, spare_capacity(&mut found), (!wait).then_some(&zero)).unwrap();
    found
        .iter()
        .all(|event: &epoll::Event| { event.flags } == EventFlags::IN)
        && !found.is_empty()
}

fn epoll_level() {
    let (driver, session) = watched(96, 0);
    let mut output = Output::new(&session);
    let epoll = new_epoll(&session, EventFlags::IN);
    for _ in 0..5 {
        for expected in [false, false, true, true] {
            driver.command("enqueue 24");
            assert_eq!(readable(&epoll, false), expected);
        }
        for _ in 0..4 {
            assert!(readable(&epoll, true));
            output.take().unwrap();
        }
        assert!(!readable(&epoll, false));
    }
}

fn epoll_edge() {
    let (driver, session) = watched(96, 0);
    let mut output = Output::new(&session);
    let epoll = new_epoll(&session, EventFlags::IN | EventFlags::ET);
    assert!(!readable(&epoll, false));
    for _ in 0..10 {
        for _ in 0..2 {
            driver.command("enqueue 24");
            assert!(!readable(&epoll, false));
        }
        let woken = woken_by(
            libc::SYS_epoll_pwait,
            || readable(&epoll, true),
            || driver.command("enqueue 24"),
        );
        assert!(woken);
        assert!(!readable(&epoll, false), "told once");
        // A new entry is a new edge, even while an older one is left.
        output.take().unwrap();
        driver.command("enqueue 24");
        assert!(readable(&epoll, true));
        while output.take().is_some() {}
        assert!(!readable(&epoll, false));
    }
    // By the timer, and by a full queue.
    session.watermark(page(), MS).unwrap();
    for _ in 0..10 {
        driver.command("enqueue 24");
        assert!(readable(&epoll, true));
        assert!(!readable(&epoll, false));
        output.take().unwrap();
    }
    session.watermark(page(), 0).unwrap();
    driver.command(&format!("batch {} 1000", page() / 400));
    assert!(readable(&epoll, true));
}

fn epoll_one_shot() {
    let (driver, session) = watched(96, 0);
    let flags = EventFlags::IN | EventFlags::ONESHOT;
    let epoll = new_epoll(&session, flags);
    let again = || {
        epoll::modify(&epoll, &session, epoll::EventData::new_u64(7), flags).unwrap();
    };
    for expected in [false, false, true] {
        driver.command("enqueue 24");
        assert_eq!(readable(&epoll, false), expected);
    }
    driver.command("enqueue 24");
    assert!(!readable(&epoll, false), "not asked again");
    again();
    assert!(readable(&epoll, true));
    let mut output = Output::new(&session);
    while output.take().is_some() {}
    again();
    assert!(!readable(&epoll, false));
    let woken = woken_by(
        libc::SYS_epoll_pwait,
        || readable(&epoll, true),
        || driver.command("batch 3 24"),
    );
    assert!(woken);
}

/// A session of the crate on a driver's node.
fn crate_session() -> (Driver, iostream::Session) {
    let driver = Driver::new(4096, 0);
    let session = iostream::Session::open(driver.path()).unwrap();
    (driver, session)
}

fn crate_wait() {
    let (driver, session) = crate_session();
    let mut consumer = session.consumer().unwrap();
    consumer.set_spin(0);
    consumer.set_watermark(96, Duration::ZERO).unwrap();
    assert_eq!(consumer.watermark(), (96, Duration::ZERO));
    for round in 0..10 {
        driver.command("enqueue 24");
        let short = Some(Duration::from_millis(10));
        assert_eq!(consumer.wait(short), Err(Error::TimedOut));
        assert_eq!(consumer.dequeue_wait(short).err(), Some(Error::TimedOut));
        let calls = session.system_calls();
        woken_by(
            libc::SYS_ppoll,
            || consumer.wait(None).unwrap(),
            || {
                driver.command("enqueue 24");
                driver.command("enqueue 24");
            },
        );
        // It sleeps once and is woken once for all three.
        assert_eq!(session.system_calls(), calls + 1, "round {round}");
        for _ in 0..3 {
            consumer.dequeue_wait(Some(Duration::ZERO)).unwrap();
        }
        assert_eq!(session.system_calls(), calls + 1);
        assert!(!consumer.is_ready().unwrap());
        assert_eq!(consumer.counters().wakeups_sent, round + 1);
    }
    // A call that does not wait takes what is there.
    driver.command("enqueue 24");
    assert!(consumer.is_ready().unwrap());
    assert_eq!(consumer.dequeue().unwrap().len(), 24);
}

fn crate_wait_for_timer() {
    let (driver, session) = crate_session();
    let mut consumer = session.consumer().unwrap();
    consumer
        .set_watermark(page(), Duration::from_millis(10))
        .unwrap();
    for _ in 0..10 {
        let start = Instant::now();
        driver.command("enqueue 24");
        assert_eq!(consumer.dequeue_wait(None).unwrap().len(), 24);
        assert!(start.elapsed() >= Duration::from_millis(10));
    }
    consumer.set_watermark(0, Duration::ZERO).unwrap();
    driver.command("enqueue 24");
    assert_eq!(consumer.dequeue_wait(None).unwrap().len(), 24);
}

fn crate_wait_ends_when_gone() {
    let (driver, session) = crate_session();
    let mut consumer = session.consumer().unwrap();
    consumer.set_spin(0);
    consumer.set_watermark(page(), Duration::ZERO).unwrap();
    driver.command("enqueue 24");
    let received = woken_by(
        libc::SYS_ppoll,
        || consumer.dequeue_wait(None).map(|entry| entry.len()),
        || driver.unpublish(),
    );
    assert_eq!(received, Ok(24));
    assert_eq!(consumer.dequeue_wait(None).err(), Some(Error::Gone));
}

fn crate_overwrite_reader() {
    let session = Setup::source(24, 24)
        .output_bytes(page())
        .overwrite(true)
        .open()
        .unwrap();
    let mut reader = session.overwrite_reader().unwrap();
    reader.set_watermark(96, Duration::ZERO).unwrap();
    let mut buffer = [0; 24];
    for _ in 0..5 {
        assert_eq!(session.run(2, None).entries, 2);
        assert_eq!(
            reader.wait(Some(Duration::from_millis(10))),
            Err(Error::TimedOut)
        );
        assert_eq!(session.run(1, None).entries, 1);
        for _ in 0..3 {
            reader.wait(None).unwrap();
            reader.read_into(&mut buffer).unwrap();
        }
        assert_eq!(reader.wait(Some(Duration::ZERO)), Err(Error::TimedOut));
    }
    reader.set_watermark(96, Duration::from_millis(5)).unwrap();
    assert_eq!(session.run(1, None).entries, 1);
    reader.wait(None).unwrap();
}

fn crate_eventfd() {
    let (driver, session) = crate_session();
    let mut consumer = session.consumer().unwrap();
    consumer.set_watermark(96, Duration::ZERO).unwrap();
    let event = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
    consumer.set_eventfd(Some(event.as_fd())).unwrap();
    for _ in 0..10 {
        assert!(!consumer.arm().unwrap());
        for expected in [PollFlags::empty(), PollFlags::empty(), PollFlags::IN] {
            driver.command("enqueue 24");
            assert_eq!(wait_for(&event, PollFlags::IN, 0), expected);
        }
        rustix::io::read(&event, &mut [0; 8]).unwrap();
        assert!(consumer.arm().unwrap(), "ready");
        for _ in 0..3 {
            assert!(consumer.arm().unwrap(), "until consumed");
            consumer.dequeue().unwrap();
        }
    }
}

fn crate_refuses() {
    let (_driver, session) = crate_session();
    let mut consumer = session.consumer().unwrap();
    for (bytes, latency) in [
        (page() + 1, Duration::ZERO),
        (u64::MAX, Duration::ZERO),
        (0, Duration::from_millis(1)),
        (96, Duration::from_nanos(1)),
        (96, Duration::from_secs(3601)),
        (96, Duration::MAX),
    ] {
        let refused = consumer.set_watermark(bytes, latency);
        assert!(matches!(refused, Err(Error::InvalidArgument(_))), "{bytes}");
        assert_eq!(consumer.watermark(), (0, Duration::ZERO));
    }
}

/// A consumer that sleeps in `wait` until it is woken, and then takes all entries, while its
/// watermark keeps changing. A lost wake-up would leave it, and so the producer, asleep.
fn no_lost_wakeup(latencies: &[u64], wait: impl Fn(&Session, &Output, u64)) {
    let mut random = Random::seeded();
    let session = Session::new(source(4096, 16, 400, 0));
    let mut output = Output::new(&session);
    let total = count(200_000);
    let (mut next, mut sleeps) = (0, 0u64);
    let stopped = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let run = iostream_run {
                entries: total,
                ..Default::default()
            };
            assert_eq!(session.run_with(run), (total, Ok(())));
            if latencies.contains(&0) {
                // Neither a timer nor anything else announces the last entries.
                stopped.store(true, Release);
                session.watermark(0, 0).unwrap();
            }
        });
        let mut watermark = 0;
        while next < total {
            while let Some(entry) = output.take_and_notify(&session) {
                assert_eq!(check_record(&entry.bytes), next);
                next += 1;
                if random.below(200) == 0 && !stopped.load(Acquire) {
                    watermark = 1 + random.below(page());
                    let latency = latencies[random.below(latencies.len() as u64) as usize];
                    session.watermark(watermark, latency).unwrap();
                    if stopped.load(Acquire) {
                        session.watermark(0, 0).unwrap();
                    }
                }
            }
            if next < total {
                sleeps += 1;
                wait(&session, &output, watermark);
            }
        }
    });
    println!("{total} entries, {sleeps} sleeps");
    assert!(sleeps > 0);
}

fn no_lost_wakeup_epoll_edge() {
    let epoll = std::cell::OnceCell::new();
    no_lost_wakeup(&[0], |session, _, _| {
        let epoll = epoll.get_or_init(|| new_epoll(session, EventFlags::IN | EventFlags::ET));
        assert!(readable(epoll, true));
    });
}

fn no_lost_wakeup_timer() {
    let epoll = std::cell::OnceCell::new();
    no_lost_wakeup(&[50_000, 200_000, MS], |session, _, _| {
        let epoll = epoll.get_or_init(|| new_epoll(session, EventFlags::IN | EventFlags::ET));
        assert!(readable(epoll, true));
    });
}

/// It never polls, but arms by itself, at its position plus the watermark.
fn no_lost_wakeup_eventfd() {
    let event = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
    let set = std::cell::Cell::new(false);
    no_lost_wakeup(&[0, 100_000], |session, output, watermark| {
        if !set.replace(true) {
            session
                .eventfd(iostream_raw::OUTPUT, event.as_raw_fd())
                .unwrap();
        }
        if !output.arm_watermark(watermark) {
            rustix::io::read(&event, &mut [0; 8]).unwrap();
        }
    });
}
