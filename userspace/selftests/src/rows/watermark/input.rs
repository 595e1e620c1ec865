// SPDX-License-Identifier: MIT OR Apache-2.0

//! B-02 for input queues: when a driver is woken for what a process sends.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::*;
use std::time::{Duration, Instant};

use iostream::Wake;
use iostream_raw::{page, Input, Random, Session, INPUT};
use iostream_ring::uapi::IOSTREAM_LATENCY_MAX_NS;
use rustix::io::Errno;

use crate::clause::{count, Clause};
use crate::support::driver::Driver;
use crate::support::race::RacePoint;
use crate::support::waiting::{deadline, wait_until, woken_by, HOUR_MS};
use crate::support::watermark::MS;

pub const CLAUSES: &[Clause] = &[
    Clause::new("B-02/input-watermark-callback", watermark_callback),
    Clause::new("B-02/input-timer-callback", timer_callback),
    Clause::new("B-02/input-watermark-before-timer", watermark_before_timer),
    Clause::new("B-02/input-full-callback", full_callback),
    Clause::new("B-02/input-full-by-write", full_by_write),
    Clause::new("B-02/input-flush-callback", flush_callback),
    Clause::new("B-02/input-driver-waits", driver_waits),
    Clause::new("B-02/input-driver-waits-for-timer", driver_waits_for_timer),
    Clause::new("B-02/input-set-while-waiting", set_while_waiting),
    Clause::new("B-02/input-out-of-range-refused", out_of_range_refused),
    Clause::new("B-02/input-outlives-session-and-reset", outlives),
    Clause::new(
        "B-02/input-close-with-timer-running",
        close_with_timer_running,
    ),
    Clause::new(
        "B-02/input-close-at-first-timer-start",
        close_at_first_timer_start,
    ),
    Clause::slow("B-02/input-no-lost-callback", 180, no_lost_callback),
];

/// A node with an input queue of a page, and how often its driver was called.
struct Sink {
    driver: Driver,
    before: u64,
}

impl Sink {
    fn new(bytes: u64, latency_ns: u64) -> Self {
        let driver = Driver::new(0, 4096);
        driver.command(&format!("watermark {bytes} {latency_ns}"));
        let before = driver.log("data_callbacks");
        Self { driver, before }
    }

    fn calls(&self) -> u64 {
        self.driver.log("data_callbacks") - self.before
    }

    /// Takes all entries, and finds the queue empty.
    fn drain(&self) -> u64 {
        let mut taken = 0;
        loop {
            match self.driver.count("drain 1000") {
                0 => return taken,
                some => taken += some,
            }
        }
    }
}

fn notifications(session: &Session) -> u64 {
    session.counters(INPUT).notifications
}

fn watermark_callback() {
    let sink = Sink::new(96, 0);
    let session = sink.driver.open();
    let mut input = Input::new(&session);
    for round in 1..=10 {
        for _ in 0..2 {
            assert!(input.push(&session, &[1; 24]));
            assert_eq!(sink.calls(), round - 1, "below it");
        }
        assert!(input.push(&session, &[1; 24]));
        assert_eq!(sink.calls(), round);
        assert!(input.push(&session, &[1; 24]));
        assert_eq!((sink.calls(), notifications(&session)), (round, round));
        assert_eq!(sink.drain(), 4);
    }
}

fn timer_callback() {
    // On a busy machine the timer may fire between two entries: then with a longer latency.
    let mut latency = 20 * MS;
    while !timer_callback_in_time(latency) {
        latency *= 2;
    }
}

/// Whether both entries of each round were sent before the timer could fire.
fn timer_callback_in_time(latency_ns: u64) -> bool {
    let latency = Duration::from_nanos(latency_ns);
    let sink = Sink::new(page(), latency_ns);
    let session = sink.driver.open();
    let mut input = Input::new(&session);
    for round in 1..=10 {
        let start = Instant::now();
        assert!(input.push(&session, &[1; 24]));
        assert!(input.push(&session, &[1; 24]));
        if start.elapsed() >= latency {
            return false;
        }
        wait_until("the driver is called", || sink.calls() == round);
        assert!(start.elapsed() >= latency, "{:?}", start.elapsed());
        assert_eq!(notifications(&session), round, "the first starts the timer");
        assert_eq!(sink.drain(), 2);
    }
    true
}

/// The first entry starts the timer, and the watermark still applies.
fn watermark_before_timer() {
    let sink = Sink::new(96, IOSTREAM_LATENCY_MAX_NS);
    let session = sink.driver.open();
    let mut input = Input::new(&session);
    for round in 1..=10 {
        for _ in 0..2 {
            assert!(input.push(&session, &[1; 24]));
            assert_eq!(sink.calls(), round - 1);
        }
        assert!(input.push(&session, &[1; 24]));
        assert_eq!((sink.calls(), notifications(&session)), (round, 2 * round));
        assert_eq!(sink.drain(), 3);
    }
}

fn full_callback() {
    for latency in [0, IOSTREAM_LATENCY_MAX_NS] {
        let sink = Sink::new(page(), latency);
        let session = iostream::Session::open(sink.driver.path()).unwrap();
        let mut producer = session.producer().unwrap();
        for round in 1..=5 {
            for _ in 0..page() / 1008 {
                producer.enqueue(&[1; 1000]).unwrap();
            }
            assert_eq!(sink.calls(), round - 1);
            assert_eq!(producer.enqueue(&[1; 1000]), Err(iostream::Error::Full));
            assert_eq!(sink.calls(), round);
            assert_eq!(sink.drain(), page() / 1008);
        }
    }
}

fn full_by_write() {
    let sink = Sink::new(page(), 0);
    let session = sink.driver.open_nonblocking();
    for _ in 0..page() / 1008 {
        session.write_entry(&[1; 1000]);
    }
    assert_eq!(sink.calls(), 0);
    assert_eq!(session.write(&[1; 1000]), Err(Errno::AGAIN));
    assert_eq!(sink.calls(), 1);
}

fn flush_callback() {
    for latency in [0, IOSTREAM_LATENCY_MAX_NS] {
        let sink = Sink::new(page(), latency);
        let session = iostream::Session::open(sink.driver.path()).unwrap();
        let mut producer = session.producer().unwrap();
        for round in 1..=5 {
            producer.enqueue(&[1; 24]).unwrap();
            assert_eq!(sink.calls(), round - 1);
            producer.enqueue_with(&[1; 24], Wake::Force).unwrap();
            assert_eq!(sink.calls(), round);
            assert_eq!(sink.drain(), 2);
        }
    }
}

fn driver_waits() {
    let sink = Sink::new(96, 0);
    let session = sink.driver.open();
    let mut input = Input::new(&session);
    assert!(input.push(&session, &[1; 24]));
    sink.driver.fails("dequeue-wait 24 30", Errno::TIMEDOUT);
    let done = woken_by(
        libc::SYS_write,
        || sink.driver.tell(&format!("dequeue-wait 24 {HOUR_MS}")),
        || {
            assert!(input.push(&session, &[2; 24]));
            assert_eq!(notifications(&session), 0);
            assert!(input.push(&session, &[3; 24]));
        },
    );
    assert_eq!((done, sink.driver.log("sum")), (Ok(()), 24));
    // The entries that waited then are taken without waiting.
    sink.driver.command("dequeue-wait 24 0");
    sink.driver.command("dequeue-wait 24 0");
    assert_eq!(sink.driver.log("sum"), 72);
    // A call that does not wait takes what is there.
    assert!(input.push(&session, &[4; 24]));
    sink.driver.command("dequeue 24");
}

fn driver_waits_for_timer() {
    let sink = Sink::new(page(), 10 * MS);
    let session = sink.driver.open();
    let mut input = Input::new(&session);
    for _ in 0..10 {
        assert!(input.push(&session, &[1; 24]));
        sink.driver.command(&format!("dequeue-wait 24 {HOUR_MS}"));
        // These entries are there before the driver begins to wait.
        assert!(input.push(&session, &[1; 24]) && input.push(&session, &[1; 24]));
        sink.driver.command("dequeue 24");
        sink.driver.command(&format!("dequeue-wait 24 {HOUR_MS}"));
        sink.drain();
    }
}

fn set_while_waiting() {
    let sink = Sink::new(page(), 0);
    let session = sink.driver.open();
    let mut input = Input::new(&session);
    assert!(input.push(&session, &[1; 24]));
    sink.driver.command("watermark 64 0");
    assert!(input.push(&session, &[1; 24]));
    assert_eq!(sink.calls(), 1, "armed anew");
    sink.drain();
    assert!(input.push(&session, &[1; 24]));
    sink.driver.command("watermark 32 0");
    wait_until("called for the entries that wait", || sink.calls() == 2);
    sink.drain();
    sink.driver.command(&format!("watermark {} 0", page()));
    assert!(input.push(&session, &[1; 24]));
    sink.driver
        .command(&format!("watermark {} {}", page(), 5 * MS));
    wait_until("called by the timer", || sink.calls() == 3);
    sink.drain();
    sink.driver.command(&format!("watermark {} 0", page()));
    assert!(input.push(&session, &[1; 24]));
    sink.driver.command("watermark 0 0");
    wait_until("called once the watermark is removed", || sink.calls() == 4);
    sink.drain();
    assert!(input.push(&session, b""));
    assert_eq!(sink.calls(), 5);
}

fn out_of_range_refused() {
    let sink = Sink::new(96, 0);
    let above = format!("{} 0", page() + 1);
    for wrong in [
        above.as_str(),
        "0 1000000",
        "96 1",
        "96 49999",
        "96 3600000000001",
    ] {
        sink.driver
            .fails(&format!("watermark {wrong}"), Errno::INVAL);
    }
    sink.driver
        .command(&format!("watermark {} 3600000000000", page()));
}

fn outlives() {
    let sink = Sink::new(96, 0);
    let mut told = 0;
    for _ in 0..3 {
        let session = sink.driver.open();
        let mut input = Input::new(&session);
        for _ in 0..2 {
            for _ in 0..2 {
                assert!(input.push(&session, &[1; 24]));
                assert_eq!(sink.calls(), told);
            }
            assert!(input.push(&session, &[1; 24]));
            told += 1;
            assert_eq!(sink.calls(), told);
            session.reset(INPUT).unwrap();
            input = input.again();
        }
    }
}

fn close_with_timer_running() {
    for i in 0..100 {
        let sink = Sink::new(page(), 50_000 + 5_000 * (i % 40));
        let session = sink.driver.open();
        let mut input = Input::new(&session);
        assert!(input.push(&session, &[1; 24]));
        if i % 2 == 0 {
            sink.driver.unpublish();
        }
        drop((input, session));
    }
}

/// A driver's thread is about to start the timer for the first time when the session ends and the
/// driver is removed, or it is removed after that: the timer must not outlive the port that contains
/// it.
fn close_at_first_timer_start() {
    close_at_first_timer_start_and_remove(false);
    close_at_first_timer_start_and_remove(true);
}

fn close_at_first_timer_start_and_remove(meanwhile: bool) {
    let sink = Sink::new(page(), IOSTREAM_LATENCY_MAX_NS);
    let session = sink.driver.open();
    let mut input = Input::new(&session);
    // Published without a notification, so that the driver itself finds the entry first.
    assert!(input.put(&[1; 24]));
    input.publish();
    let point = RacePoint::set("input-timer-start");
    std::thread::scope(|scope| {
        let wait = format!("dequeue-wait 64 {HOUR_MS}");
        let error = if meanwhile {
            Errno::NODEV
        } else {
            Errno::NOTCONN
        };
        let driver = &sink.driver;
        scope.spawn(move || driver.fails(&wait, error));
        point.wait_held();
        drop((input, session));
        if meanwhile {
            // Nothing but the drop of the port comes after the start of the timer.
            sink.driver.unpublish();
        }
        drop(point);
    });
    sink.driver.unpublish();
    // The test driver keeps the ends of its port until it gets others.
    sink.driver.publish(0, 4096);
    wait_until("the port is freed, and its timer stopped", || {
        let timers = std::fs::read_to_string("/proc/timer_list").unwrap();
        !timers.contains("latency_over")
    });
}

/// A driver that takes entries only in its callback, and then all of them. A lost callback would
/// leave the process waiting for room, or for its last entries to be taken.
fn no_lost_callback() {
    let mut random = Random::seeded();
    for latency in [0, 50_000, MS] {
        let sink = Sink::new(2000, latency);
        let session = iostream::Session::open(sink.driver.path()).unwrap();
        let mut producer = session.producer().unwrap();
        let done = AtomicBool::new(false);
        let total = count(3000);
        let taken = std::thread::scope(|scope| {
            let consumer = scope.spawn(|| {
                let (mut taken, mut seen) = (0, 0);
                while taken < total {
                    let calls = sink.calls();
                    if calls == seen && !done.load(Acquire) {
                        std::thread::yield_now();
                        continue;
                    }
                    seen = calls;
                    taken += sink.drain();
                }
                taken
            });
            for _ in 0..total {
                let entry = [7; 300];
                let len = random.below(300) as usize;
                producer
                    .enqueue_wait(&entry[..len], Some(deadline()))
                    .unwrap();
            }
            if latency == 0 {
                // Nothing else announces the last entries.
                done.store(true, Release);
            }
            consumer.join().unwrap()
        });
        println!("{total} entries, {} callbacks", sink.calls());
        assert_eq!(taken, total);
        assert!(sink.calls() < total / 2, "it batches");
    }
}
