// SPDX-License-Identifier: MIT OR Apache-2.0

//! B-02: no entry waits for longer than the latency, even right after the latency was changed, and
//! even while more entries come.
//!
//! A few latencies are in time. A busy machine may take longer once, and then it is tried again: an
//! entry that waits for many latencies does so each time. One that waits for the old latency waits
//! for an hour.

use std::time::{Duration, Instant};

use iostream_raw::stream::DESCRIPTOR_BYTES;
use iostream_raw::{page, Input, Output, Session, Stream, INPUT};
use iostream_ring::uapi::IOSTREAM_LATENCY_MAX_NS;
use rustix::event::PollFlags;

use crate::clause::{limit, Clause};
use crate::support::driver::Driver;
use crate::support::race::RacePoint;
use crate::support::waiting::{deadline, wait_until};
use crate::support::watermark::{polled, wakeups, watched, MS};

pub const CLAUSES: &[Clause] = &[
    Clause::slow("B-02/told-within-latency", SECONDS, told_within_latency),
    Clause::slow(
        "B-02/input-told-within-latency",
        SECONDS,
        input_told_within_latency,
    ),
    Clause::slow(
        "B-02/stream-told-within-latency",
        SECONDS,
        stream_told_within_latency,
    ),
    Clause::new("B-02/changed-at-timer-start", changed_at_timer_start),
    Clause::new(
        "B-02/input-changed-at-timer-start",
        input_changed_at_timer_start,
    ),
];

/// The latency that has to be kept.
const SHORT: u64 = 200 * MS;
/// What is told after this time is in time.
const FEW: Duration = Duration::from_nanos(5 * SHORT);
/// Seconds for all tries.
const SECONDS: u64 = 180;

/// Tries until it is told in time.
#[track_caller]
fn in_time(case: Case, mut told_after: impl FnMut() -> Duration) {
    let start = Instant::now();
    loop {
        let waited = told_after();
        if waited < FEW {
            return;
        }
        println!("# {case:?}: told after {waited:?}");
        assert!(start.elapsed() < deadline(), "{case:?}: each time too late");
    }
}

/// The moment from which on the latency counts.
struct Watch(Instant);

impl Watch {
    fn start() -> Self {
        Self(Instant::now())
    }

    /// How long it took.
    ///
    /// # Panics
    ///
    /// If it would go on for ever.
    #[track_caller]
    fn time(&self) -> Duration {
        let waited = self.0.elapsed();
        let most = Duration::from_nanos(SHORT) + limit(20);
        assert!(waited < most, "an entry waits for {waited:?}");
        waited
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
        in_time(case, || {
            let (driver, session) = watched(page(), case.before);
            let mut output = Output::new(&session);
            told_after(
                case,
                &session,
                || driver.command("enqueue 24"),
                || {
                    while output.available() > 32 {
                        output.take();
                    }
                },
            )
        });
    }
}

fn stream_told_within_latency() {
    for case in cases() {
        in_time(case, || {
            let driver = Driver::stream("output 64 64 queue=64");
            let session = driver.open();
            session.start().unwrap();
            session.watermark(page(), case.before).unwrap();
            let same = rustix::io::fcntl_dupfd_cloexec(&session, 0).unwrap();
            let mut stream = Stream::new(Session::from_fd(same));
            told_after(
                case,
                &session,
                || driver.command("produce 1 8"),
                || {
                    while stream.output.available() > DESCRIPTOR_BYTES {
                        let descriptor = stream.take().unwrap();
                        stream.give_back(descriptor.buffer);
                    }
                },
            )
        });
    }
}

/// How long the first entry waits.
fn told_after(
    case: Case,
    session: &Session,
    send: impl Fn(),
    mut keep_one: impl FnMut(),
) -> Duration {
    let mut watch = Watch::start();
    let woken = polled(session, || {
        if case.waits {
            send();
        }
        session.watermark(page(), SHORT).unwrap();
        watch = Watch::start();
        if !case.waits {
            send();
        }
        while case.trickle && wakeups(session) == 0 {
            watch.time();
            send();
            // One is always left, so that the queue is never empty, nor at its watermark.
            keep_one();
        }
    });
    assert_eq!(woken, PollFlags::IN);
    watch.time()
}

fn input_told_within_latency() {
    for case in cases() {
        in_time(case, || input_told_after(case));
    }
}

fn input_told_after(case: Case) -> Duration {
    let driver = Driver::new(0, page());
    let set = |latency| driver.command(&format!("watermark {} {latency}", page()));
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
        watch.time();
        send();
        // As a process that does not look at the armed position.
        session.notify(INPUT).unwrap();
        // One is always left, as above.
        driver.command("dequeue 24");
    }
    wait_until("the driver is called", is_called);
    watch.time()
}

/// The latency is changed while a producer is about to start the timer. The entry that comes next
/// must not wait for the old latency.
fn changed_at_timer_start() {
    let (driver, session) = watched(page(), IOSTREAM_LATENCY_MAX_NS);
    let mut output = Output::new(&session);
    let point = RacePoint::set("output-timer-start");
    std::thread::scope(|scope| {
        let producer = scope.spawn(|| driver.command("enqueue 24"));
        point.wait_held();
        session.watermark(page(), MS).unwrap();
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
    let driver = Driver::new(0, page());
    driver.command(&format!("watermark {} {IOSTREAM_LATENCY_MAX_NS}", page()));
    let session = driver.open();
    let mut input = Input::new(&session);
    let calls = driver.log("data_callbacks");
    let point = RacePoint::set("input-timer-start");
    std::thread::scope(|scope| {
        let process = scope.spawn(|| assert!(input.push(&session, &[1; 24])));
        point.wait_held();
        driver.command(&format!("watermark {} {MS}", page()));
        driver.wait_for("data_callbacks", |now| now == calls + 1);
        driver.command("dequeue 24");
        drop(point);
        process.join().unwrap();
    });
    assert_eq!(driver.count("drain 10"), 0);
    assert!(input.push(&session, &[1; 24]));
    driver.wait_for("data_callbacks", |now| now > calls + 1);
}
