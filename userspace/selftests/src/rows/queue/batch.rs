// SPDX-License-Identifier: MIT OR Apache-2.0

//! batches, suppressed and forced wake-ups; a full queue wakes in any case.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use iostream::{Setup, Wake};
use iostream_raw::{page, source, wait_for, Output, Session, OUTPUT};
use iostream_ring::uapi::iostream_run;
use rustix::event::{eventfd, EventfdFlags, PollFlags};
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::driver::Driver;
use crate::support::waiting::{wait_until, woken_by};

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-14/batch-is-one-publication", batch_is_one_publication),
    Clause::new("Q-14/driver-batch", driver_batch),
    Clause::new("Q-14/driver-suppresses", driver_suppresses),
    Clause::new("Q-14/driver-forces", driver_forces),
    Clause::new("Q-14/full-wakes-in-any-case", full_wakes_in_any_case),
    Clause::new("Q-14/full-wakes-each-time", full_wakes_each_time),
    Clause::new("Q-14/crate-batch", crate_batch),
    Clause::new(
        "Q-14/crate-suppresses-and-forces",
        crate_suppresses_and_forces,
    ),
    Clause::new("Q-14/crate-consumer-batch", crate_consumer_batch),
    Clause::new("Q-14/driver-flush", driver_flush),
    Clause::new("Q-14/full-batch-is-shown", full_batch_is_shown),
];

/// Sent and suppressed wake-ups of an output queue.
fn wakeups(session: &Session) -> (u64, u64) {
    let counters = session.counters(OUTPUT);
    (counters.wakeups_sent, counters.wakeups_suppressed)
}

fn batch_is_one_publication() {
    for (batch, publications) in [(0, 60), (1, 60), (20, 3), (60, 1), (1000, 1)] {
        let session = Session::new(source(4096, 16, 16, 0));
        let output = Output::new(&session);
        assert!(!output.arm());
        let run = iostream_run {
            entries: 60,
            batch,
            ..Default::default()
        };
        assert_eq!(session.run_with(run), (60, Ok(())));
        assert_eq!(
            wakeups(&session),
            (1, publications - 1),
            "batches of {batch}"
        );
    }
}

fn eventfd_of(session: &Session) -> OwnedFd {
    let event = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
    session.eventfd(OUTPUT, event.as_raw_fd()).unwrap();
    event
}

fn taken(event: &OwnedFd) -> u64 {
    if wait_for(event, PollFlags::IN, 0).is_empty() {
        return 0;
    }
    let mut count = [0; 8];
    rustix::io::read(event, &mut count).unwrap();
    u64::from_ne_bytes(count)
}

fn driver_batch() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let mut output = Output::new(&session);
    let event = eventfd_of(&session);
    assert!(!output.arm());
    assert_eq!(driver.count("batch 50 16"), 50);
    assert_eq!((taken(&event), wakeups(&session)), (1, (1, 0)));
    for _ in 0..50 {
        assert_eq!(output.take().unwrap().bytes.len(), 16);
    }
    // The first entry that does not fit ends the batch; those before it are published.
    assert_eq!(driver.count("batch 1000 100"), page() / 112);
    assert_eq!(output.available(), page() / 112 * 112);
}

fn driver_suppresses() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let mut output = Output::new(&session);
    let event = eventfd_of(&session);
    assert!(!output.arm());
    for _ in 0..10 {
        driver.tell("enqueue 16 task suppress").unwrap();
    }
    assert_eq!(taken(&event), 0);
    assert_eq!(output.available(), 240, "published, without a wake-up");
    driver.tell("enqueue 16").unwrap();
    assert_eq!(taken(&event), 1, "the next one wakes for all");
    while output.take().is_some() {}
    assert!(!output.arm());
    driver.tell("enqueue 16 task suppress").unwrap();
    assert_eq!(taken(&event), 0);
    driver.tell("flush").unwrap();
    assert_eq!(taken(&event), 1);
}

fn driver_forces() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let event = eventfd_of(&session);
    driver.tell("enqueue 16").unwrap();
    taken(&event);
    driver.tell("enqueue 16").unwrap();
    assert_eq!(taken(&event), 0, "nobody armed");
    driver.tell("enqueue 16 task force").unwrap();
    assert_eq!(taken(&event), 1);
}

/// A producer that suppresses wake-ups until the queue is full wakes the sleeper then: otherwise
/// both sides would wait.
fn full_wakes_in_any_case() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let mut output = Output::new(&session);
    let event = eventfd_of(&session);
    for _ in 0..5 {
        assert!(!output.arm());
        loop {
            match driver.tell("enqueue 100 task suppress") {
                Ok(()) => assert_eq!(taken(&event), 0),
                Err(error) => {
                    assert_eq!(error, Errno::NOSPC);
                    break;
                }
            }
        }
        assert_eq!(taken(&event), 1);
        assert_eq!(driver.tell("enqueue 100 task suppress"), Err(Errno::NOSPC));
        assert_eq!(taken(&event), 0, "nobody armed again");
        while output.take().is_some() {}
    }
    // The same for a sleeper in poll.
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| session.poll(PollFlags::IN, -1));
        while driver.tell("enqueue 100 task suppress").is_ok() {}
        assert_eq!(sleeper.join().unwrap(), PollFlags::IN);
    });
}

/// A consumer that armed for a full lap, found less, and armed the same position again is woken
/// again: the queue is still full for the producer.
fn full_wakes_each_time() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let output = Output::new(&session);
    let event = eventfd_of(&session);
    while driver.tell("enqueue 1000 task suppress").is_ok() {}
    taken(&event);
    for _ in 0..5 {
        assert!(!output.arm_watermark(page()));
        assert_eq!(driver.tell("enqueue 1000"), Err(Errno::NOSPC));
        assert_eq!(taken(&event), 1);
    }
}

fn crate_batch() {
    let session = Setup::echo().open().unwrap();
    let (mut producer, mut consumer) = (session.producer().unwrap(), session.consumer().unwrap());
    let calls = session.system_calls();
    let mut batch = producer.batch();
    for i in 0..100 {
        batch.enqueue(&[i; 10]).unwrap();
    }
    assert!(
        !consumer.is_ready().unwrap(),
        "nothing is shown before the end"
    );
    assert_eq!(session.system_calls(), calls);
    batch.finish().unwrap();
    assert_eq!(session.system_calls(), calls + 1, "one notification");
    for i in 0..100 {
        assert_eq!(&*consumer.dequeue_wait(None).unwrap(), [i; 10]);
    }
}

fn crate_suppresses_and_forces() {
    let session = Setup::echo().input_bytes(page()).open().unwrap();
    let (mut producer, mut consumer) = (session.producer().unwrap(), session.consumer().unwrap());
    producer.enqueue_with(b"quiet", Wake::Suppress).unwrap();
    assert!(!consumer.is_ready().unwrap(), "the echo sleeps on");
    producer.enqueue(b"loud").unwrap();
    assert_eq!(&*consumer.dequeue_wait(None).unwrap(), b"quiet");
    assert_eq!(&*consumer.dequeue_wait(None).unwrap(), b"loud");
    let notifications = |session: &iostream::Session| {
        let counters = session.queue_counters(iostream::Direction::Input);
        counters.unwrap().notifications
    };
    let before = notifications(&session);
    producer.enqueue_with(b"forced", Wake::Force).unwrap();
    assert_eq!(notifications(&session), before + 1);
    // A full queue wakes the other side, whatever the flag.
    while producer.enqueue_with(&[1; 100], Wake::Suppress).is_ok() {}
    assert_eq!(&*consumer.dequeue_wait(None).unwrap(), b"forced");
    assert_eq!(&*consumer.dequeue_wait(None).unwrap(), [1; 100]);
}

/// A batch of dequeues notifies the kernel of the room once, at its end.
fn crate_consumer_batch() {
    let driver = Driver::new(4096, 0);
    let session = iostream::Session::open(driver.path()).unwrap();
    let mut consumer = session.consumer().unwrap();
    driver.count("fill 100");
    assert_eq!(driver.tell("enqueue 100"), Err(Errno::NOSPC));
    let calls = driver.log("room_callbacks");
    let mut batch = consumer.batch();
    for _ in 0..10 {
        drop(batch.dequeue().unwrap());
    }
    assert_eq!(driver.tell("enqueue 100"), Err(Errno::NOSPC), "not yet");
    batch.finish().unwrap();
    assert_eq!(driver.log("room_callbacks"), calls + 1);
    for _ in 0..10 {
        assert_eq!(driver.tell("enqueue 100"), Ok(()));
    }
}

/// An eventfd for the output queue. Setting it arms it.
fn listener(session: &Session) -> OwnedFd {
    let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap();
    session.eventfd(OUTPUT, fd.as_fd().as_raw_fd()).unwrap();
    assert_eq!(signals(&fd), 0);
    fd
}

/// How often an eventfd was signalled since the last call.
fn signals(fd: &OwnedFd) -> u64 {
    let mut value = [0; 8];
    match rustix::io::read(fd, &mut value) {
        Ok(8) => u64::from_ne_bytes(value),
        Err(Errno::AGAIN) => 0,
        other => panic!("read of an eventfd: {other:?}"),
    }
}

fn wakeups_sent(session: &Session) -> u64 {
    session.counters(OUTPUT).wakeups_sent
}

fn driver_flush() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let woken = woken_by(
        libc::SYS_ppoll,
        || session.poll(PollFlags::IN, -1),
        || {
            driver.command("enqueue 8 task suppress");
            assert_eq!(wakeups_sent(&session), 0);
            driver.command("flush");
        },
    );
    assert_eq!((woken, wakeups_sent(&session)), (PollFlags::IN, 1));
    assert_eq!(session.counters(OUTPUT).entries, 1);
}

/// A batch that does not fit publishes the entries that do and wakes the consumer: otherwise nobody
/// would ever make room.
fn full_batch_is_shown() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let mut output = Output::new(&session);
    let fd = listener(&session);
    driver.command("batch 1000 248");
    assert_eq!((driver.log("count"), signals(&fd)), (page() / 256, 1));
    assert_eq!(output.available(), page());
    while output.take().is_some() {}
    driver.command("batch 3 248");
    assert_eq!(output.available(), 3 * 256);
    while output.take().is_some() {}
    // While the batch goes on: only what is shown is taken, and makes room for more.
    std::thread::scope(|scope| {
        let batch = scope.spawn(|| driver.command("batch 100 248 patient"));
        let mut taken = 0;
        wait_until("the batch's end", || {
            let ended = batch.is_finished();
            taken += std::iter::from_fn(|| output.take()).count();
            ended
        });
        assert_eq!(taken, 100);
    });
}
