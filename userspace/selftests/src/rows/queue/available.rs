// SPDX-License-Identifier: MIT OR Apache-2.0

//! what waits and what is free, asked without a system call.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::*;

use iostream::{Setup, Wake};
use iostream_raw::{page, page_len, Input, Output};

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
        240,
        busy_sides_make_few_calls,
    ),
    Clause::new("Q-15/user", user),
    Clause::new("Q-15/driver", driver),
];

fn user_looks() {
    let session = Setup::echo().input_bytes(page()).open().unwrap();
    let (mut producer, mut consumer) = (session.producer().unwrap(), session.consumer().unwrap());
    assert_eq!(producer.room_bytes(), Ok(page()));
    assert_eq!(consumer.available_bytes(), Ok(0));
    assert!(!consumer.is_ready().unwrap());
    producer.enqueue_with(&[1; 100], Wake::Suppress).unwrap();
    assert_eq!(producer.room_bytes(), Ok(page() - 112));
    producer.enqueue(&[1; 1]).unwrap();
    consumer.wait(None).unwrap();
    assert_eq!(producer.room_bytes(), Ok(page()));
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

/// A million entries, each published on its own, while the driver takes them in another thread. It
/// always leaves one, so that it never has to be told of the next: it is as busy as can be.
fn busy_sides_make_few_calls() {
    let driver = Driver::new(0, 1 << 16);
    let session = iostream::Session::open(driver.path()).unwrap();
    let mut producer = session.producer().unwrap();
    // It looks until there is room, however long the other thread has to wait for a processor.
    producer.set_spin(u32::MAX);
    let total = count(1_000_000);
    // The driver has not looked yet, so it is told of the first entry.
    producer.enqueue(&[0; 40]).unwrap();
    let sent = AtomicU64::new(1);
    let calls = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut taken = 0;
            while taken + 1 < total {
                match sent.load(Acquire) - taken - 1 {
                    0 => std::thread::yield_now(),
                    waiting => taken += driver.count(&format!("drain {waiting}")),
                }
            }
        });
        let calls = SystemCalls::of_this_thread();
        for i in 1..total {
            producer.enqueue_wait(&[i as u8; 40], None).unwrap();
            sent.store(i + 1, Release);
        }
        calls.count()
    });
    assert_eq!((calls, driver.count("drain 2")), (0, 1));
}

/// Size, count, and whether they fit into the free bytes of an empty queue of a page.
fn in_a_page() -> [(usize, u64, bool); 9] {
    let longest = page_len() - 8;
    [
        (0, page() / 8, true),
        (0, page() / 8 + 1, false),
        (8, page() / 16, true),
        (8, page() / 16 + 1, false),
        (9, page() / 24, true),
        (9, page() / 24 + 1, false),
        (longest, 1, true),
        (longest, 2, false),
        (longest + 1, 1, false),
    ]
}

fn user() {
    let session = Setup::sink().input_bytes(page()).open().unwrap();
    let mut producer = session.producer().unwrap();
    for (len, count, fits) in in_a_page() {
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
    batch.enqueue(&vec![0; page_len() - 96]).unwrap();
    assert_eq!(batch.room_bytes(), Ok(88));
}

fn driver() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let can = |len: usize, count: u64| driver.count(&format!("can {len} {count}")) == 1;
    for (len, count, fits) in in_a_page() {
        assert_eq!(can(len, count), fits, "{count} of {len}");
    }
    assert!(!can(8, u64::MAX));
    driver.tell(&format!("enqueue {}", page() - 96)).unwrap();
    assert!(can(80, 1) && can(0, 11));
    assert!(!can(81, 1) && !can(0, 12));
    let mut output = Output::new(&session);
    output.take().unwrap();
    assert!(can(page_len() - 8, 1));
}
