// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Models of both wake-ups. A lost wake-up leaves all threads asleep, which loom reports as a
//! deadlock.

#![cfg(loom)]

mod loom_common;

use std::sync::Arc;

use iostream_ring::sync::{leave_out, Barrier};
use iostream_ring::{Consumer, Error, Producer};
use loom::sync::Notify;
use loom::thread;
use loom_common::{model, pair, Mem, Owned};

/// The side that leaves out its full barriers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    Producer,
    Consumer,
}

fn produce(producer: &mut Producer<Mem<Owned>>, i: u64, consumer: &Notify, me: &Notify) {
    while let Err(error) = producer.push(&i.to_ne_bytes()) {
        assert_eq!(error, Error::Full);
        if producer.must_wake_full() {
            consumer.notify();
        }
        if !producer.arm_room(16).unwrap() {
            me.wait();
        }
    }
    producer.publish();
    if producer.must_wake() {
        consumer.notify();
    }
}

fn consume(consumer: &mut Consumer<Mem<Owned>>, i: u64, producer: &Notify, me: &Notify) {
    let mut buffer = [0; 8];
    while let Err(error) = consumer.pop(&mut buffer) {
        assert_eq!(error, Error::Empty);
        if !consumer.arm().unwrap() {
            me.wait();
        }
    }
    assert_eq!(u64::from_ne_bytes(buffer), i);
    consumer.publish();
    if consumer.must_wake() {
        producer.notify();
    }
}

/// Passes `count` entries of two words through a ring; both sides sleep whenever they may.
fn pass(words: usize, count: u64, already: u64, without: Without) {
    model(3, move || {
        let (mut producer, mut consumer) = pair(words, None);
        let notify = Arc::new((Notify::new(), Notify::new()));
        for i in 1..=already {
            producer.push(&i.to_ne_bytes()).unwrap();
        }
        producer.publish();
        producer.must_wake();
        let other = notify.clone();
        let thread = thread::spawn(move || {
            if without == Without::Producer {
                leave_out(Barrier::Full);
            }
            for i in already + 1..=count {
                produce(&mut producer, i, &other.1, &other.0);
            }
        });
        if without == Without::Consumer {
            leave_out(Barrier::Full);
        }
        for i in 1..=count {
            consume(&mut consumer, i, &notify.0, &notify.1);
        }
        thread.join().unwrap();
    });
}

#[test]
fn consumer_never_sleeps_on_an_entry() {
    pass(8, 2, 0, Without::Nothing);
}

#[test]
#[should_panic(expected = "deadlock")]
fn control_entry_without_the_producers_barrier() {
    pass(8, 2, 0, Without::Producer);
}

#[test]
#[should_panic(expected = "deadlock")]
fn control_entry_without_the_consumers_barrier() {
    pass(8, 2, 0, Without::Consumer);
}

#[test]
fn producer_never_sleeps_on_room() {
    pass(2, 2, 1, Without::Nothing);
}

#[test]
fn never_both_asleep_on_the_smallest_ring() {
    pass(2, 3, 0, Without::Nothing);
}

/// The producer waits for room; the consumer only takes out and wakes, and does not sleep itself.
fn room(without: Without) {
    model(3, move || {
        let (mut producer, mut consumer) = pair(2, None);
        producer.push(&[1; 8]).unwrap();
        producer.publish();
        let notify = Arc::new(Notify::new());
        let other = notify.clone();
        let thread = thread::spawn(move || {
            if without == Without::Consumer {
                leave_out(Barrier::Full);
            }
            consumer.pop(&mut [0; 8]).unwrap();
            consumer.publish();
            if consumer.must_wake() {
                other.notify();
            }
        });
        if without == Without::Producer {
            leave_out(Barrier::Full);
        }
        while producer.push(&[2; 8]).is_err() {
            if !producer.arm_room(16).unwrap() {
                notify.wait();
            }
        }
        thread.join().unwrap();
    });
}

#[test]
fn room_wakes_the_producer() {
    room(Without::Nothing);
}

#[test]
#[should_panic(expected = "deadlock")]
fn control_room_without_the_producers_barrier() {
    room(Without::Producer);
}

#[test]
#[should_panic(expected = "deadlock")]
fn control_room_without_the_consumers_barrier() {
    room(Without::Consumer);
}

/// The steps of a producer that finds the ring full, before it sleeps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Full {
    ArmThenWake,
    WakeThenArm,
    ArmOnly,
}

/// The consumer waits for three words, and only two fit: the watermark is never reached. When the
/// consumer arms it also checks whether the producer waits for room.
fn watermark(full: Full) {
    model(3, move || {
        let (mut producer, mut consumer) = pair(3, None);
        let notify = Arc::new((Notify::new(), Notify::new()));
        let other = notify.clone();
        let thread = thread::spawn(move || {
            for i in 1..=2u64 {
                while producer.push(&i.to_ne_bytes()).is_err() {
                    if full == Full::WakeThenArm && producer.must_wake_full() {
                        other.1.notify();
                    }
                    let ready = producer.arm_room(16).unwrap();
                    if full == Full::ArmThenWake && producer.must_wake_full() {
                        other.1.notify();
                    }
                    if !ready {
                        other.0.wait();
                    }
                }
                producer.publish();
                if producer.must_wake() {
                    other.1.notify();
                }
            }
        });
        if !consumer.arm_watermark(24).unwrap() {
            notify.1.wait();
        }
        for i in 1..=2 {
            consume(&mut consumer, i, &notify.0, &notify.1);
        }
        thread.join().unwrap();
    });
}

#[test]
fn full_ring_wakes_below_the_watermark() {
    watermark(Full::ArmThenWake);
}

/// Control: a consumer that arms between the look and the arming of the room is never woken.
#[test]
#[should_panic(expected = "deadlock")]
fn control_full_ring_wakes_before_it_arms() {
    watermark(Full::WakeThenArm);
}

#[test]
#[should_panic(expected = "deadlock")]
fn control_full_ring_does_not_wake() {
    watermark(Full::ArmOnly);
}
