// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Models of the watermark: it is reached, others make the queue ready, and its timer fires. A lost
//! wake-up leaves all threads asleep, which loom reports as a deadlock.
//!
//! The kernel's part (`Queue::mark_ready`, `Timer`) is modelled with the same words and barriers.

#![cfg(loom)]

mod loom_common;

use std::sync::Arc;

use iostream_ring::sync::{full_barrier, leave_out, Barrier, Word};
use iostream_ring::{Consumer, Producer};
use loom::sync::Notify;
use loom::thread;
use loom_common::{model, pair, Mem, Owned};

/// The side that leaves out its full barriers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    Producer,
    Consumer,
    Timer,
}

fn push(producer: &mut Producer<Mem<Owned>>, i: u64) {
    producer.push(&i.to_ne_bytes()).unwrap();
    producer.publish();
}

fn take(consumer: &mut Consumer<Mem<Owned>>, i: u64) {
    let mut buffer = [0; 8];
    consumer.pop(&mut buffer).unwrap();
    assert_eq!(u64::from_ne_bytes(buffer), i);
    consumer.publish();
}

/// The consumer sleeps until two entries of two words wait.
fn reached(without: Without) {
    model(3, move || {
        let (mut producer, mut consumer) = pair(8, None);
        let notify = Arc::new(Notify::new());
        let other = notify.clone();
        let thread = thread::spawn(move || {
            if without == Without::Producer {
                leave_out(Barrier::Full);
            }
            let mut wakes = 0;
            for i in 1..=2 {
                push(&mut producer, i);
                if producer.must_wake() {
                    wakes += 1;
                    other.notify();
                }
            }
            assert!(wakes <= 1, "woken below the watermark, or twice");
        });
        if without == Without::Consumer {
            leave_out(Barrier::Full);
        }
        // A wait may end without reason.
        while !consumer.arm_watermark(32).unwrap() {
            notify.wait();
        }
        assert_eq!(consumer.available().unwrap(), 32);
        take(&mut consumer, 1);
        take(&mut consumer, 2);
        thread.join().unwrap();
    });
}

#[test]
fn watermark_wakes() {
    reached(Without::Nothing);
}

#[test]
#[should_panic(expected = "deadlock")]
fn control_watermark_without_the_producers_barrier() {
    reached(Without::Producer);
}

#[test]
#[should_panic(expected = "deadlock")]
fn control_watermark_without_the_consumers_barrier() {
    reached(Without::Consumer);
}

/// Entries below the watermark are made ready while the consumer goes to sleep.
fn made_ready(without: Without) {
    model(3, move || {
        let (mut producer, mut consumer) = pair(8, None);
        let shared = Arc::new((Notify::new(), Word::new(0)));
        let other = shared.clone();
        let thread = thread::spawn(move || {
            if without == Without::Producer {
                leave_out(Barrier::Full);
            }
            push(&mut producer, 1);
            other.1.store_release(producer.published_pos());
            if producer.must_wake_full() {
                other.0.notify();
            }
        });
        if without == Without::Consumer {
            leave_out(Barrier::Full);
        }
        while !consumer.arm_watermark(32).unwrap() && shared.1.load_acquire() == 0 {
            shared.0.wait();
        }
        thread.join().unwrap();
        take(&mut consumer, 1);
    });
}

#[test]
fn made_ready_wakes() {
    made_ready(Without::Nothing);
}

#[test]
#[should_panic(expected = "deadlock")]
fn control_made_ready_without_the_producers_barrier() {
    made_ready(Without::Producer);
}

#[test]
#[should_panic(expected = "deadlock")]
fn control_made_ready_without_the_consumers_barrier() {
    made_ready(Without::Consumer);
}

/// A timer, as the kernel starts it: pending until its callback begins.
struct Timer {
    pending: Word,
    /// The number of entries that a callback has seen.
    seen: Word,
}

/// An entry comes while the timer fires that was started for the entry before.
fn timer(without: Without) {
    model(3, move || {
        let (mut producer, consumer) = pair(8, None);
        push(&mut producer, 1);
        let timer = Arc::new(Timer {
            pending: Word::new(1),
            seen: Word::new(0),
        });
        let fires = timer.clone();
        let positions = consumer.memory().clone();
        let thread = thread::spawn(move || {
            if without == Without::Timer {
                leave_out(Barrier::Full);
            }
            fires.pending.store_relaxed(0);
            full_barrier();
            let pos = iostream_ring::Memory::producer_pos(&positions).load_acquire();
            fires.seen.store_relaxed(pos);
        });
        if without == Without::Producer {
            leave_out(Barrier::Full);
        }
        push(&mut producer, 2);
        full_barrier();
        let started = timer.pending.load_relaxed() == 0;
        thread.join().unwrap();
        assert!(
            started || timer.seen.load_relaxed() == 32,
            "left to each other"
        );
    });
}

#[test]
fn timer_or_start_sees_the_entry() {
    timer(Without::Nothing);
}

#[test]
#[should_panic(expected = "left to each other")]
fn control_timer_without_the_producers_barrier() {
    timer(Without::Producer);
}

#[test]
#[should_panic(expected = "left to each other")]
fn control_timer_without_the_callbacks_barrier() {
    timer(Without::Timer);
}
