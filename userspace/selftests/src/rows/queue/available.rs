// SPDX-License-Identifier: MIT OR Apache-2.0

//! what waits and what is free, asked without a system call.

use std::time::Duration;

use iostream::{Error, Setup, Wake};
use iostream_raw::{Input, Output};

use crate::clause::{count, Clause};
use crate::support::driver::Driver;
use crate::support::system_calls::SystemCalls;

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-16/user-looks", user_looks),
    Clause::new("Q-16/driver-looks", driver_looks),
    Clause::new("Q-16/looks-make-no-call", looks_make_no_call),
    Clause::new(
        "Q-16/full-queue-drains-without-call",
        full_queue_drains_without_call,
    ),
    Clause::slow(
        "Q-16/busy-sides-make-few-calls",
        120,
        busy_sides_make_few_calls,
    ),
    Clause::new("Q-15/user", user),
    Clause::new("Q-15/driver", driver),
];

fn user_looks() {
    let session = Setup::echo().input_bytes(4096).open().unwrap();
    let (mut producer, mut consumer) = (session.producer().unwrap(), session.consumer().unwrap());
    assert_eq!(producer.room_bytes(), Ok(4096));
    assert_eq!(consumer.available_bytes(), Ok(0));
    assert!(!consumer.is_ready().unwrap());
    producer.enqueue_with(&[1; 100], Wake::Suppress).unwrap();
    assert_eq!(producer.room_bytes(), Ok(4096 - 112));
    producer.enqueue(&[1; 1]).unwrap();
    consumer.wait(None).unwrap();
    assert_eq!(producer.room_bytes(), Ok(4096));
    assert_eq!(consumer.available_bytes(), Ok(128));
    assert!(consumer.is_ready().unwrap());
}

fn driver_looks() {
    let driver = Driver::new(0, 4096);
    let session = driver.open();
    let mut input = Input::new(&session);
    assert_eq!(driver.count("available"), 0);
    assert!(input.put(&[1; 100]));
    assert_eq!(driver.count("available"), 0, "not shown yet");
    input.publish();
    assert_eq!(driver.count("available"), 112);
    driver.tell("dequeue 100").unwrap();
    assert_eq!(driver.count("available"), 0);
}

fn looks_make_no_call() {
    let session = Setup::echo().open().unwrap();
    let (mut producer, mut consumer) = (session.producer().unwrap(), session.consumer().unwrap());
    let calls = SystemCalls::of_this_thread();
    for _ in 0..1000 {
        producer.room_bytes().unwrap();
        producer.can_enqueue(10, 10).unwrap();
        consumer.available_bytes().unwrap();
        consumer.is_ready().unwrap();
        let _ = (producer.counters(), consumer.counters());
    }
    assert_eq!(calls.count(), 0);
    // The counter works: calls that are made show in it.
    let calls = SystemCalls::of_this_thread();
    for _ in 0..10 {
        session.queue_info(iostream::Direction::Input).unwrap();
    }
    assert_eq!(calls.count(), 10);
}

fn full_queue_drains_without_call() {
    let session = Setup::source(16, 16).output_bytes(1 << 20).open().unwrap();
    let mut consumer = session.consumer().unwrap();
    let filled = (1 << 20) / 24;
    let run = session.run(filled, None);
    assert_eq!((run.entries, run.result), (filled, Ok(())));
    let calls = SystemCalls::of_this_thread();
    for _ in 0..filled {
        drop(consumer.dequeue().unwrap());
    }
    assert_eq!(calls.count(), 0);
}

/// A million entries, each published on its own, while the other side is busy as well.
///
/// Whether both sides are busy depends on the machine: a side whose processor is taken away for a
/// while sleeps. So there are several attempts, and one must succeed.
fn busy_sides_make_few_calls() {
    if crate::clause::patience() > 1 {
        crate::clause::skip("a kernel that checks itself is too slow for this figure");
    }
    if std::thread::available_parallelism().unwrap().get() < 2 {
        crate::clause::skip("both sides are busy only with two processors");
    }
    let few = (0..8).any(|_| calls_of_busy_sides() <= 100);
    assert!(few, "more than 100 in each try");
}

fn calls_of_busy_sides() -> usize {
    let session = Setup::sink().input_bytes(1 << 20).open().unwrap();
    let mut producer = session.producer().unwrap();
    // Bounded, and longer than the other side usually pauses.
    producer.set_spin(1 << 20);
    let total = count(1_000_000);
    let calls = std::thread::scope(|scope| {
        let runner = session.clone();
        let run = scope.spawn(move || runner.run(0, Some(Duration::from_millis(300))));
        // The other side works before the count begins.
        while producer.enqueue_with(&[0; 40], Wake::Suppress).is_ok() {}
        producer.wait_room(1 << 19, None).unwrap();
        let calls = SystemCalls::of_this_thread();
        for i in 0..total {
            producer.enqueue_wait(&[i as u8; 40], None).unwrap();
        }
        let made = calls.count();
        assert_eq!(run.join().unwrap().result, Err(Error::TimedOut));
        made
    });
    println!("{total} entries, {calls} system calls");
    assert!(session.endpoint_stats().unwrap().entries >= total);
    calls
}

/// Size, count, and whether they fit into 4096 free bytes.
const EMPTY: [(usize, u64, bool); 9] = [
    (0, 512, true),
    (0, 513, false),
    (8, 256, true),
    (8, 257, false),
    (9, 170, true),
    (9, 171, false),
    (4088, 1, true),
    (4088, 2, false),
    (4089, 1, false),
];

fn user() {
    let session = Setup::sink().input_bytes(4096).open().unwrap();
    let mut producer = session.producer().unwrap();
    for (len, count, fits) in EMPTY {
        assert_eq!(
            producer.can_enqueue(len, count),
            Ok(fits),
            "{count} of {len}"
        );
    }
    assert_eq!(producer.can_enqueue(8, u64::MAX), Ok(false));
    assert_eq!(producer.can_enqueue(usize::MAX, 1), Ok(false));
    // What is committed but not yet published takes room as well.
    let mut batch = producer.batch();
    batch.enqueue(&[0; 4000]).unwrap();
    assert_eq!(batch.room_bytes(), Ok(88));
}

fn driver() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let can = |len: usize, count: u64| driver.count(&format!("can {len} {count}")) == 1;
    for (len, count, fits) in EMPTY {
        assert_eq!(can(len, count), fits, "{count} of {len}");
    }
    assert!(!can(8, u64::MAX));
    driver.tell("enqueue 4000").unwrap();
    assert!(can(80, 1) && can(0, 11));
    assert!(!can(81, 1) && !can(0, 12));
    let mut output = Output::new(&session);
    output.take().unwrap();
    assert!(can(4088, 1));
}
