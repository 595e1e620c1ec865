// SPDX-License-Identifier: MIT OR Apache-2.0

//! the owner resets a queue.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::*;

use iostream::{Direction, Error, Setup};
use iostream_raw::{
    consumer, echo, make_record, page, producer, sink, Input, Session, INPUT, OUTPUT,
};
use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::clause::{count, Clause};
use crate::support::driver::Driver;
use crate::support::process::{End, Mapper};
use crate::support::race::RacePoint;
use crate::support::waiting::wait_until;

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-19/reset", reset),
    Clause::new("Q-19/reset-while-busy", reset_while_busy),
    Clause::new("Q-19/old-handles-fail", old_handles_fail),
    Clause::new("Q-19/kernel-handles-from-before-fail", handles_fail),
    Clause::new("Q-19/kernel-goes-on-after-reset", goes_on_after_reset),
    Clause::new(
        "Q-19/reset-refused-while-another-maps",
        refused_while_another_maps,
    ),
    Clause::new("Q-19/poll-during-a-reset", poll_during_reset),
    Clause::new("Q-19/no-call-is-refused-as-stale", none_is_stale),
];

fn reset() {
    let session = Session::new(sink(page()));
    let mut input = Input::new(&session);
    for generation in (3..19).step_by(2) {
        assert!(input.push(&session, &make_record(0, 24)));
        input.producer.word(producer::POS).store(12345, Relaxed);
        assert_eq!(session.run(1).1, Err(Errno::BADMSG));
        session.reset(INPUT).unwrap();
        let queue = session.queue(INPUT);
        assert_eq!((queue.generation, queue.data_bytes), (generation, page()));
        assert_eq!(input.consumer.word(consumer::POS).load(Relaxed), 0);
        assert_eq!(input.producer.word(producer::POS).load(Relaxed), 0);
        input = input.again();
    }
    let corrupt = session.counters(INPUT).corrupt;
    assert_eq!(corrupt, 8, "what was counted stays counted");
}

fn reset_while_busy() {
    let session = Session::nonblocking(echo(page()));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    let _ = session.write(&[1; 100]);
                    let _ = session.run_with(iostream_ring::uapi::iostream_run {
                        entries: 5,
                        timeout_ns: 1,
                        ..Default::default()
                    });
                }
            });
        }
        for _ in 0..count(500) {
            for direction in [INPUT, OUTPUT] {
                // A reset does not wait for a write(2): it fails, and the test tries again.
                while session.reset(direction) == Err(Errno::BUSY) {
                    std::thread::yield_now();
                }
            }
        }
        done.store(true, Relaxed);
    });
    session.reset(INPUT).unwrap();
    session.reset(OUTPUT).unwrap();
    session.write_entry(b"after all");
    assert_eq!(session.read_entry(), b"after all");
}

fn old_handles_fail() {
    let session = Setup::echo().open().unwrap();
    let (mut producer, mut consumer) = (session.producer().unwrap(), session.consumer().unwrap());
    producer.enqueue(b"before").unwrap();
    consumer.wait(None).unwrap();
    let raw = Session::from_fd(rustix::io::fcntl_dupfd_cloexec(&session, 0).unwrap());
    raw.reset(INPUT).unwrap();
    assert_eq!(producer.enqueue(b"old"), Err(Error::Stale));
    assert_eq!(producer.reserve(8).err(), Some(Error::Stale));
    assert_eq!(
        &*consumer.peek().unwrap(),
        b"before",
        "the other queue was not reset"
    );
    raw.reset(OUTPUT).unwrap();
    assert_eq!(consumer.peek().err(), Some(Error::Stale));
    assert_eq!(consumer.dequeue().err(), Some(Error::Stale));
    producer.renew().unwrap();
    consumer.renew().unwrap();
    assert_eq!((producer.generation(), consumer.generation()), (3, 3));
    producer.enqueue(b"after").unwrap();
    assert_eq!(&*consumer.dequeue_wait(None).unwrap(), b"after");
    assert_eq!(session.queue_info(Direction::Input).unwrap().generation, 3);
}

/// A release does not remove another entry than the one that was peeked at before the reset.
fn handles_fail() {
    let driver = Driver::new(0, 4096);
    let session: Session = driver.open();
    session.write_entry(b"old");
    let done = driver.held("release hold", || {
        session.reset(INPUT).unwrap();
        session.write_entry(b"fresh");
    });
    assert_eq!(done, Err(Errno::STALE));
    driver.command("peek");
    assert_eq!(driver.log("len"), 5, "it is still there");
    let done = driver.held("release hold", || {
        assert_eq!(session.queue(INPUT).generation, 3);
    });
    assert_eq!(done, Ok(()));
    driver.fails("peek", Errno::NODATA);
}

fn goes_on_after_reset() {
    let driver = Driver::new(4096, 4096);
    let session: Session = driver.open();
    let mut input = Input::new(&session);
    for round in 1..=3 {
        input.producer.word(producer::POS).store(12, Release);
        driver.fails("peek", Errno::BADMSG);
        // The other direction is not affected.
        driver.command("enqueue 10");
        assert_eq!(session.read_entry().len(), 10);
        session.reset(INPUT).unwrap();
        assert_eq!(session.counters(INPUT).corrupt, round);
        assert_eq!(session.queue(INPUT).generation, 1 + 2 * round);
        assert_eq!(session.queue(iostream_raw::OUTPUT).generation, 1);
        input.pos = 0;
        assert!(input.push(&session, &[3; 5]));
        driver.command("dequeue 5");
        assert_eq!(driver.log("sum"), 15);
    }
}

/// A reset is refused while another process has the queue's words mapped, however long, and
/// wherever it moves them. It is possible again once that process has no such mapping.
fn refused_while_another_maps() {
    for direction in [INPUT, OUTPUT] {
        for end in End::ALL {
            println!("queue {direction}, {end:?}");
            let session = Session::new(echo(page()));
            session.reset(direction).unwrap();
            let mapper = Mapper::new(&session, direction);
            for _ in 0..2 {
                assert_eq!(session.reset(direction), Err(Errno::BUSY));
                assert_eq!(session.queue(direction).generation, 3);
                // The other queue is nobody else's.
                session.reset(INPUT + OUTPUT - direction).unwrap();
                mapper.move_it();
            }
            mapper.end(end);
            wait_until("the mapping is gone", || session.reset(direction) == Ok(()));
            assert_eq!(session.queue(direction).generation, 5);
        }
    }
}

/// Halfway through a reset the positions do not fit together, which is no corruption.
fn poll_during_reset() {
    let driver = Driver::new(page(), page());
    let session = driver.open();
    // Several times around both queues.
    for _ in 0..page() / 100 {
        driver.command("enqueue 100");
        session.read_entry();
        session.write_entry(&[3; 100]);
        driver.command("dequeue 100");
    }
    let all = PollFlags::IN | PollFlags::OUT;
    for (direction, other) in [(OUTPUT, PollFlags::OUT), (INPUT, PollFlags::empty())] {
        let point = RacePoint::set("reset-halfway");
        std::thread::scope(|scope| {
            let reset = scope.spawn(|| session.reset(direction));
            point.wait_held();
            assert_eq!(session.poll(all, 0), other, "direction {direction}");
            drop(point);
            assert_eq!(reset.join().unwrap(), Ok(()));
        });
        assert_eq!(session.poll(all, 0), PollFlags::OUT);
    }
}

/// The commands that make each call of a driver's ends, with the errnos that it may get while the
/// client is there and resets.
const DRIVERS_CALLS: &[(&str, u32, &[Errno])] = &[
    ("enqueue 24", OUTPUT, &[Errno::NOSPC]),
    ("enqueue 24 task force", OUTPUT, &[Errno::NOSPC]),
    ("batch 3 24", OUTPUT, &[Errno::NOSPC]),
    ("reserve 24 discard", OUTPUT, &[Errno::NOSPC]),
    ("can 24 1", OUTPUT, &[]),
    ("lost 1", OUTPUT, &[]),
    ("flush", OUTPUT, &[]),
    ("dequeue 64", INPUT, &[Errno::NODATA]),
    ("drain 8", INPUT, &[Errno::NODATA]),
    ("peek", INPUT, &[Errno::NODATA]),
    ("available", INPUT, &[]),
];

/// To a driver a reset is like a close and an open: a call that comes meanwhile finds the node not
/// open.
fn none_is_stale() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    let done = AtomicBool::new(false);
    for &(call, direction, may_fail) in DRIVERS_CALLS {
        println!("# {call}");
        done.store(false, Relaxed);
        std::thread::scope(|scope| {
            let resets = scope.spawn(|| {
                while !done.load(Relaxed) {
                    session.reset(direction).unwrap();
                }
            });
            wait_until("the call meets a reset", || match driver.tell(call) {
                Err(Errno::NOTCONN) => true,
                Err(error) if !may_fail.contains(&error) => {
                    done.store(true, Relaxed);
                    panic!("{call}: {error}");
                }
                _ => false,
            });
            done.store(true, Relaxed);
            resets.join().expect("the thread that resets");
        });
    }
}
