// SPDX-License-Identifier: MIT OR Apache-2.0

//! The kernel's end sleeps in a call, and the process wakes it by the header's rule: it notifies
//! when it crosses the position at which the kernel has armed.

use std::sync::atomic::{fence, Ordering::*};

use super::pace::{pause, pin, spin_closely, spin_until, WakerAim};
use super::Progress;
use crate::sys;
use iostream_raw::Random;
use iostream_raw::{crossed, occupied, page, sink, source, Ring, Session, INPUT, OUTPUT};

/// Bytes of an entry that the kernel waits for.
const LEN: u64 = 40;
/// Bytes of an entry that the kernel makes. It waits for room for a quarter of the ring, which is
/// this and a header.
fn quarter_len() -> u64 {
    page() / 4 - 8
}

/// Every other meeting is aimed at the moment in which the kernel arms.
fn is_aimed(meeting: u64) -> bool {
    meeting % 2 == 0
}

/// Runs the endpoint for as long as the process lives, in a thread of its own.
fn run_forever(session: &Session) {
    let session = sys::duplicate(session);
    std::thread::spawn(move || {
        pin(1);
        let (_, result) = session.run_for(0, 0);
        eprintln!("IOSTREAM_IOC_RUN ended: {result:?}");
        sys::exit_now(3);
    });
}

/// The kernel consumes, and sleeps when the queue is empty.
pub fn for_entries(progress: &Progress, wakeups: u64) {
    let session = Session::nonblocking(sink(page()));
    let ring = Ring::new(&session, INPUT).expect("the queue");
    run_forever(&session);
    pin(0);
    let (mut random, mut aim) = (Random::new(3), WakerAim::new(5));
    let (mut pos, mut sequence, mut sent) = (0_u64, 0, 0);
    while sent < wakeups {
        ring.put_record(pos, sequence, LEN);
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
        spin_closely(|| ring.consumer_pos().load(Acquire) == pos);
        progress.entry();
        if is_aimed(sequence) {
            aim.pause();
        } else {
            // The kernel spins for a while before it sleeps: wait until it has armed.
            spin_until(|| ring.consumer_wake().load(Relaxed) == pos + 8);
            pause(&mut random);
        }
    }
    // The run is not over, but bad and missing records are counted at once.
    let seen = session.endpoint().expect("endpoint");
    assert_eq!((seen.bad, seen.missed), (0, 0));
    sys::exit_now(0);
}

/// The kernel produces, and sleeps when the queue is full.
pub fn for_room(progress: &Progress, wakeups: u64) {
    let session = Session::nonblocking(source(
        page(),
        quarter_len() as u32,
        quarter_len() as u32,
        0,
    ));
    let ring = Ring::new(&session, OUTPUT).expect("the queue");
    run_forever(&session);
    pin(0);
    let (mut random, mut aim) = (Random::new(4), WakerAim::new(6));
    let (mut pos, mut sequence, mut sent) = (0_u64, 0, 0);
    while sent < wakeups {
        // The kernel publishes when it finds the ring full, looks once more, and arms: the process
        // has to be quick.
        spin_closely(|| ring.producer_pos().load(Acquire) - pos == ring.size);
        if is_aimed(sequence) {
            aim.pause();
        } else {
            // Wait until it has armed.
            spin_until(|| ring.producer_wake().load(Relaxed).wrapping_sub(pos) as i64 > 0);
            pause(&mut random);
        }
        let next = pos + occupied(quarter_len());
        ring.consumer_pos().store(next, Release);
        fence(SeqCst);
        let armed = crossed(ring.producer_wake().load(Relaxed), pos, next);
        if armed {
            session.notify(OUTPUT).expect("notify");
            sent += 1;
            progress.set_wakeups(sent);
        }
        if is_aimed(sequence) {
            aim.learn(armed);
        }
        (pos, sequence) = (next, sequence + 1);
        progress.entry();
        // Checks the next entry to be consumed, while the kernel makes another one.
        ring.expect_record(pos, sequence, quarter_len());
    }
    sys::exit_now(0);
}
