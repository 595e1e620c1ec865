// SPDX-License-Identifier: MIT OR Apache-2.0

//! B-02: no entry waits for longer than the latency, even right after the latency was changed, and
//! even while more entries come.
//!
//! The limit is the short latency and a margin of seconds. An entry that waits for the old latency
//! waits for an hour.

use std::time::{Duration, Instant};

use iostream_raw::{Input, Output, Session, INPUT};
use iostream_ring::uapi::IOSTREAM_LATENCY_MAX_NS;
use rustix::event::PollFlags;

use crate::clause::{limit, Clause};
use crate::support::driver::Driver;
use crate::support::race::RacePoint;
use crate::support::waiting::wait_until;
use crate::support::watermark::{polled, wakeups, watched, MS};

pub const CLAUSES: &[Clause] = &[
    Clause::new("B-02/told-within-latency", told_within_latency),
    Clause::new("B-02/input-told-within-latency", input_told_within_latency),
    Clause::new("B-02/changed-at-timer-start", changed_at_timer_start),
    Clause::new(
        "B-02/input-changed-at-timer-start",
        input_changed_at_timer_start,
    ),
];

/// Bytes of the watermark, which no test reaches.
const BYTES: u64 = 4096;
/// The latency that has to be kept.
const SHORT: u64 = 200 * MS;

/// The moment from which on the latency counts, and how long it took.
struct Watch(Instant);

impl Watch {
    fn start() -> Self {
        Self(Instant::now())
    }

    /// Whether the entry may still wait.
    #[track_caller]
    fn check(&self, what: &str) {
        let waited = self.0.elapsed();
        let most = Duration::from_nanos(SHORT) + limit(20);
        assert!(waited < most, "{what}: an entry waits for {waited:?}");
    }
}

/// What a test does, in order: each of these before the short latency is set, or after it.
#[derive(Clone, Copy, Debug)]
struct Case {
    /// The latency before the change; 0: none.
    before: u64,
    /// An entry waits already when the latency is changed.
    waits: bool,
    /// More entries come all the while.
    trickle: bool,
}

fn cases() -> impl Iterator<Item = Case> {
    let latencies = [0, SHORT, IOSTREAM_LATENCY_MAX_NS].into_iter();
    latencies.flat_map(|before| {
        [(false, false), (false, true), (true, false), (true, true)].map(|(waits, trickle)| Case {
            before,
            waits,
            trickle,
        })
    })
}

fn told_within_latency() {
    for case in cases() {
        let what = format!("{case:?}");
        let (driver, session) = watched(BYTES, case.before);
        let mut output = Output::new(&session);
        let mut watch = Watch::start();
        let woken = polled(&session, || {
            if case.waits {
                driver.command("enqueue 24");
            }
            session.watermark(BYTES, SHORT).unwrap();
            watch = Watch::start();
            if !case.waits {
                driver.command("enqueue 24");
            }
            while case.trickle && wakeups(&session) == 0 {
                watch.check(&what);
                driver.command("enqueue 24");
                // One is always left, so that the queue is never empty, nor at its watermark.
                while output.available() > 32 {
                    output.take();
                }
            }
        });
        assert_eq!(woken, PollFlags::IN, "{what}");
        watch.check(&what);
    }
}

fn input_told_within_latency() {
    for case in cases() {
        let what = format!("{case:?}");
        let driver = Driver::new(0, BYTES);
        let set = |latency| driver.command(&format!("watermark {BYTES} {latency}"));
        set(case.before);
        let calls = driver.log("data_callbacks");
        let is_called = || driver.log("data_callbacks") != calls;
        let session = driver.open();
        let mut input = Input::new(&session);
        let mut send = || assert!(input.push(&session, &[1; 24]));
        if case.waits {
            send();
        }
        set(SHORT);
        let watch = Watch::start();
        if !case.waits {
            send();
        }
        while case.trickle && !is_called() {
            watch.check(&what);
            send();
            // As a process that does not look at the armed position.
            session.notify(INPUT).unwrap();
            // One is always left, as above.
            driver.command("dequeue 24");
        }
        wait_until("the driver is called", is_called);
        watch.check(&what);
    }
}

/// The latency is changed while a producer is about to start the timer. The entry that comes next
/// must not wait for the old latency.
fn changed_at_timer_start() {
    let (driver, session) = watched(BYTES, IOSTREAM_LATENCY_MAX_NS);
    let mut output = Output::new(&session);
    let point = RacePoint::set("output-timer-start");
    std::thread::scope(|scope| {
        let producer = scope.spawn(|| driver.command("enqueue 24"));
        point.wait_held();
        session.watermark(BYTES, MS).unwrap();
        assert_eq!(session.poll(PollFlags::IN, -1), PollFlags::IN);
        output.take().unwrap();
        drop(point);
        producer.join().unwrap();
    });
    told_next(&driver, &session);
}

/// The next entry is told by the timer.
fn told_next(driver: &Driver, session: &Session) {
    assert_eq!(session.poll(PollFlags::IN, 0), PollFlags::empty());
    let woken = polled(session, || driver.command("enqueue 24"));
    assert_eq!(woken, PollFlags::IN);
}

/// The same for a driver that changes the latency of its input queue while the process notifies.
fn input_changed_at_timer_start() {
    let driver = Driver::new(0, BYTES);
    driver.command(&format!("watermark {BYTES} {IOSTREAM_LATENCY_MAX_NS}"));
    let session = driver.open();
    let mut input = Input::new(&session);
    let calls = driver.log("data_callbacks");
    let point = RacePoint::set("input-timer-start");
    std::thread::scope(|scope| {
        let process = scope.spawn(|| assert!(input.push(&session, &[1; 24])));
        point.wait_held();
        driver.command(&format!("watermark {BYTES} {MS}"));
        driver.wait_for("data_callbacks", |now| now == calls + 1);
        driver.command("dequeue 24");
        drop(point);
        process.join().unwrap();
    });
    assert_eq!(driver.count("drain 10"), 0);
    assert!(input.push(&session, &[1; 24]));
    driver.wait_for("data_callbacks", |now| now > calls + 1);
}
