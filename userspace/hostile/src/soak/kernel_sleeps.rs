// SPDX-License-Identifier: MIT OR Apache-2.0

//! The kernel's end sleeps in a call, and the process wakes it: as the header says, by looking at
//! the position that the other side has armed.

use std::sync::atomic::{fence, Ordering::*};

use super::pace::{pause, pin, spin_until, WakerAim};
use super::Progress;
use crate::device::{occupied, sink, source, Ring, Session, INPUT, OUTPUT, PAGE};
use crate::random::Random;
use crate::record;
use crate::sys;

const LEN: u64 = 40;

/// Whether a step from `old` to `new` crosses an armed position.
fn crossed(wake: u64, old: u64, new: u64) -> bool {
    new.wrapping_sub(wake) < new.wrapping_sub(old)
}

/// Every other meeting is aimed at the moment in which the kernel arms.
fn is_aimed(meeting: u64) -> bool {
    meeting % 2 == 0
}

/// Runs the endpoint for as long as the process lives, in a thread of its own.
fn run_for_ever(session: &Session) {
    let fd = session.fd;
    std::thread::spawn(move || {
        pin(1);
        let session = std::mem::ManuallyDrop::new(Session { fd });
        let (_, result) = session.run(0, 0);
        eprintln!("IOSTREAM_IOC_RUN ended: {result:?}");
        sys::exit_now(3);
    });
}

/// The kernel consumes, and sleeps when the queue is empty.
pub fn for_entries(progress: &Progress, wakeups: u64) {
    let session = Session::new(sink(PAGE));
    let ring = Ring::new(&session, INPUT).expect("the queue");
    run_for_ever(&session);
    pin(0);
    let (mut random, mut aim) = (Random::new(3), WakerAim::new(5));
    let (mut pos, mut sequence, mut sent) = (0_u64, 0, 0);
    while sent < wakeups {
        record::make(&ring, pos, sequence, LEN);
        let next = pos + occupied(LEN);
        ring.producer_pos().store(next, Release);
        fence(SeqCst);
        let armed = crossed(ring.consumer_wake().load(Relaxed), pos, next);
        if armed {
            session.notify(INPUT).expect("notify");
            sent += 1;
            progress.set_wakeups(sent);
        }
        if is_aimed(sequence) {
            aim.learn(armed);
        }
        (pos, sequence) = (next, sequence + 1);
        spin_until(|| ring.consumer_pos().load(Acquire) == pos);
        progress.entry();
        if is_aimed(sequence) {
            aim.pause();
        } else {
            // It looks a while before it sleeps: until it says that it is about to.
            spin_until(|| ring.consumer_wake().load(Relaxed) == pos + 8);
            pause(&mut random);
        }
    }
    // The run still has what it counted: what is wrong would be missing at once.
    let seen = session.endpoint().expect("endpoint");
    assert_eq!((seen.bad, seen.missed), (0, 0));
    sys::exit_now(0);
}

/// The kernel produces, and sleeps when the queue is full.
pub fn for_room(progress: &Progress, wakeups: u64) {
    let session = Session::new(source(PAGE, LEN as u32, 0));
    let ring = Ring::new(&session, OUTPUT).expect("the queue");
    run_for_ever(&session);
    pin(0);
    let (mut random, mut aim) = (Random::new(4), WakerAim::new(6));
    let (mut pos, mut sequence, mut sent) = (0_u64, 0, 0);
    for round in 0.. {
        if sent >= wakeups {
            break;
        }
        let full = || ring.size - (ring.producer_pos().load(Acquire) - pos) < occupied(LEN);
        spin_until(full);
        if is_aimed(round) {
            aim.pause();
        } else {
            // Until it says that it is about to sleep.
            spin_until(|| ring.producer_wake().load(Relaxed).wrapping_sub(pos) as i64 > 0);
            pause(&mut random);
        }
        let old = pos;
        while ring.producer_pos().load(Acquire) != pos {
            assert_eq!(ring.data_word(pos).load(Relaxed), LEN, "the header");
            record::check(&ring, pos, sequence, LEN);
            sequence += 1;
            pos += occupied(LEN);
            progress.entry();
        }
        ring.consumer_pos().store(pos, Release);
        fence(SeqCst);
        let armed = crossed(ring.producer_wake().load(Relaxed), old, pos);
        if armed {
            session.notify(OUTPUT).expect("notify");
            sent += 1;
            progress.set_wakeups(sent);
        }
        if is_aimed(round) {
            aim.learn(armed);
        }
    }
    sys::exit_now(0);
}
