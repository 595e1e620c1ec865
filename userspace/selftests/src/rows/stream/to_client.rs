// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-12: buffers on their way to the client.

use std::collections::VecDeque;

use iostream_raw::stream::numbers;
use iostream_raw::{Descriptor, Random, OUTPUT};
use rustix::io::Errno;

use crate::clause::{count, Clause};
use crate::support::driver::{entry, Driver};
use crate::support::system_calls::SystemCalls;

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-12/what-was-said-arrives", what_was_said_arrives),
    Clause::new("S-12/in-place", in_place),
    Clause::new("S-12/frame-number", frame_number),
    Clause::new("S-12/bad-range-refused", bad_range_refused),
    Clause::new("S-12/in-any-order", in_any_order),
    Clause::new("S-12/in-order-through-wraps", in_order_through_wraps),
    Clause::new("S-12/taken-only-when-free", taken_only_when_free),
    Clause::new("S-12/dropped-is-free", dropped_is_free),
    Clause::new("S-12/counted", counted),
    Clause::slow(
        "S-12/no-system-call-while-busy",
        240,
        no_system_call_while_busy,
    ),
];

/// Id, offsets and lengths reach the client as the driver stated them.
fn what_was_said_arrives() {
    let driver = Driver::stream("output 3 5000 control=100");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    for _ in 0..3 {
        driver.command("take");
    }
    for (range, control) in [
        ((0, 5000), (0, 100)),
        ((4999, 1), (100, 0)),
        ((17, 0), (99, 1)),
    ] {
        let id = driver_send(&driver, range, control);
        let got = stream.take().unwrap();
        assert_eq!((got.buffer, got.flags), (id, 0));
        assert_eq!((got.data_offset, got.data_len), range);
        assert_eq!((got.control_offset, got.control_len), control);
    }
}

/// The driver sends the first buffer that it holds. Returns its id.
fn driver_send(driver: &Driver, data: (u32, u32), control: (u32, u32)) -> u32 {
    let held = |id: &u32| driver.tell(&format!("look {id}")).is_ok();
    let id = (0..3).find(held).expect("one that it holds");
    driver.command(&format!("range {id} {} {}", data.0, data.1));
    driver.command(&format!("control-range {id} {} {}", control.0, control.1));
    driver.command(&format!("send {id}"));
    id
}

/// The process sees the very pages that the driver writes: sending copies nothing.
fn in_place() {
    let driver = Driver::stream("output 1 65536");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    driver.command("take");
    for seed in [3, 9] {
        driver.command(&format!("fill 0 {seed} 0 65536"));
        assert!(
            stream.buffers.read(0, 65536) == entry(seed, 65536),
            "before it is sent"
        );
    }
    driver.command("range 0 0 65536");
    driver.command("send 0");
    let descriptor = stream.take().unwrap();
    assert!(stream.data(&descriptor) == entry(9, 65536));
}

fn frame_number() {
    let driver = Driver::stream("output 2 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    for number in 0..10 {
        driver.command("produce 1 1");
        let descriptor = stream.take().unwrap();
        assert_eq!(descriptor.frame, number);
        stream.give_back(descriptor.buffer);
    }
}

fn bad_range_refused() {
    let driver = Driver::stream("output 1 5000 control=100");
    let _session = driver.open();
    driver.command("take");
    for (offset, len) in [
        (0, 5001),
        (5000, 1),
        (5001, 0),
        (1, u64::MAX),
        (u64::MAX, 1),
    ] {
        driver.fails(&format!("range 0 {offset} {len}"), Errno::INVAL);
    }
    for (offset, len) in [(0, 101), (100, 1), (101, 0), (u64::MAX, u64::MAX)] {
        driver.fails(&format!("control-range 0 {offset} {len}"), Errno::INVAL);
    }
    driver.command("look 0");
    assert_eq!((driver.log("len"), driver.log("control_len")), (0, 0));
}

/// The driver may hold many buffers and send them in any order.
fn in_any_order() {
    let driver = Driver::stream("output 6 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    for _ in 0..6 {
        driver.command("take");
    }
    let order = [3, 0, 5, 1, 4, 2];
    for id in order {
        driver.command(&format!("send {id}"));
    }
    let came: Vec<u32> = stream.take_all().iter().map(|one| one.buffer).collect();
    assert_eq!(came, order);
    driver.fails("send 3", Errno::INVAL);
}

/// Many laps of both queues, while the client keeps some buffers back.
fn in_order_through_wraps() {
    let driver = Driver::stream("output 7 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    let mut held: Vec<Descriptor> = Vec::new();
    let mut expected = 0;
    for round in 0..count(20_000) {
        let free = 7 - held.len() as u64;
        driver.command(&format!("produce {free} 8"));
        for number in 0..free {
            let descriptor = stream.take().unwrap();
            assert_eq!(descriptor.frame, expected);
            assert_eq!(stream.data(&descriptor), entry(number, 8));
            expected += 1;
            held.push(descriptor);
        }
        assert!(stream.take().is_none());
        // They are returned in reverse order.
        held.reverse();
        let keep = (round % 6) as usize;
        for descriptor in held.drain(keep..) {
            stream.give_back(descriptor.buffer);
        }
    }
    assert_eq!(stream.counters().rejected_owner, 0);
}

fn taken_only_when_free() {
    let driver = Driver::stream("output 2 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    driver.command("produce 2 1");
    driver.fails("take", Errno::NOSPC);
    let first = stream.take().unwrap();
    driver.fails("take", Errno::NOSPC);
    let told = driver.log("room_callbacks");
    stream.give_back(first.buffer);
    assert_eq!(
        driver.log("room_callbacks"),
        told + 1,
        "the driver is called"
    );
    driver.command("take");
    assert_eq!(driver.log("id"), first.buffer.into());
    driver.fails("take", Errno::NOSPC);
}

/// Each buffer that the driver drops is free once, and they are taken in the order in which they
/// were dropped.
fn dropped_is_free() {
    let driver = Driver::stream("output 5 64");
    let _session = driver.open();
    let mut random = Random::seeded();
    let mut free: VecDeque<u64> = (0..5).collect();
    let mut held = Vec::new();
    for _ in 0..200 {
        if random.chance(2) && !held.is_empty() {
            let id = held.swap_remove(random.below(held.len() as u64) as usize);
            driver.command(&format!("release {id}"));
            free.push_back(id);
        } else if let Some(id) = free.pop_front() {
            driver.command("take");
            assert_eq!(driver.log("id"), id, "{free:?} were free, too");
            held.push(id);
        } else {
            driver.fails("take", Errno::NOSPC);
        }
    }
}

fn counted() {
    let driver = Driver::stream("output 4 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    driver.command("produce 3 50");
    for descriptor in stream.take_all() {
        stream.give_back(descriptor.buffer);
    }
    // The driver takes returned buffers before those that it has never sent.
    driver.command("take");
    assert_eq!(numbers(&stream.counters()), [3, 1, 0, 0, 0, 0, 0, 0]);
    let page = iostream_raw::stream::info::COUNTERS;
    assert_eq!((stream.word(page), stream.word(page + 8)), (3, 1));
    assert_eq!(driver.attribute("stream/sent"), 3);
    assert_eq!(driver.attribute("stream/received"), 1);
    let counters = stream.session.counters(OUTPUT);
    assert_eq!((counters.entries, counters.bytes), (3, 150));
}

/// The driver sends as fast as it can, in a thread of its own, and the process takes and returns
/// without entering the kernel.
fn no_system_call_while_busy() {
    if std::thread::available_parallelism().unwrap().get() < 2 {
        crate::clause::skip("both sides are busy only with two processors");
    }
    let driver = Driver::stream("output 16 4096");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    // The driver is notified of the very first buffer that comes back.
    driver.command("produce 1 1");
    let first = stream.take().unwrap();
    stream.give_back(first.buffer);
    let total = count(200_000);
    let made = std::thread::scope(|scope| {
        let pump = scope.spawn(|| driver.count(&format!("pump {total} 64")));
        while stream.output.available() == 0 {
            std::hint::spin_loop();
        }
        let calls = SystemCalls::of_this_thread();
        for number in 1..=total {
            let descriptor = loop {
                match stream.take() {
                    Some(descriptor) => break descriptor,
                    None => std::hint::spin_loop(),
                }
            };
            assert_eq!(descriptor.frame, number);
            stream.give_back(descriptor.buffer);
        }
        let made = calls.count();
        assert_eq!(pump.join().unwrap(), total);
        made
    });
    println!("{total} buffers, {made} system calls");
    assert_eq!(made, 0);
}
