// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-13: what the client sends, valid or not.

use std::mem::offset_of;
use std::sync::atomic::Ordering::*;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use iostream_raw::stream::{numbers, to_bytes, DESCRIPTOR_BYTES};
use iostream_raw::{consumer, producer, Descriptor, Stream, INPUT, OUTPUT};
use iostream_ring::uapi::*;
use rustix::io::Errno;

use crate::clause::{count, Clause};
use crate::support::driver::Driver;

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-13/what-was-said-arrives", what_was_said_arrives),
    Clause::new("S-13/bad-id", bad_id),
    Clause::new("S-13/not-owned", not_owned),
    Clause::new("S-13/sent-twice", sent_twice),
    Clause::new("S-13/data-out-of-bounds", data_out_of_bounds),
    Clause::new("S-13/control-out-of-bounds", control_out_of_bounds),
    Clause::new("S-13/offset-and-length-overflow", overflow),
    Clause::new("S-13/between-descriptors", between_descriptors),
    Clause::new("S-13/unknown-flags", unknown_flags),
    Clause::new("S-13/flag-of-the-kernel", flag_of_the_kernel),
    Clause::new("S-13/refused-keeps-the-buffer", refused_keeps_the_buffer),
    Clause::new("S-13/returned-in-output-mode", returned_in_output_mode),
    Clause::new("S-13/unused-comes-back", unused_comes_back),
    Clause::new("S-13/dropped-comes-back", dropped_comes_back),
    Clause::slow("S-13/rewritten-after-sending", 300, rewritten_after_sending),
    Clause::new("S-13/flood-of-nonsense", flood_of_nonsense),
    Clause::new("S-13/flood-of-unused", flood_of_unused),
    Clause::new("S-13/others-go-on", others_go_on),
    Clause::new("S-13/corrupt-input-position", corrupt_input_position),
    Clause::new("S-13/corrupt-output-position", corrupt_output_position),
    Clause::new("S-13/no-reset", no_reset),
];

fn running(plan: &str) -> (Driver, Stream) {
    let driver = Driver::stream(plan);
    let stream = driver.open_stream();
    stream.session.start().unwrap();
    (driver, stream)
}

fn what_was_said_arrives() {
    let (driver, mut stream) = running("input 4 5000 control=100");
    stream.write(2, 0, &[1; 5000]);
    stream.write_control(2, 0, &[2; 100]);
    for (data, control) in [
        ((0, 5000), (0, 100)),
        ((4999, 1), (100, 0)),
        ((5000, 0), (1, 99)),
    ] {
        stream.send(Descriptor {
            buffer: 2,
            data_offset: data.0,
            data_len: data.1,
            control_offset: control.0,
            control_len: control.1,
            frame: u64::MAX - 7,
            ..Default::default()
        });
        driver.command("receive");
        assert_eq!(driver.log("id"), 2);
        assert_eq!(
            (driver.log("offset"), driver.log("len")),
            (data.0.into(), data.1.into())
        );
        let got = (driver.log("control_offset"), driver.log("control_len"));
        assert_eq!(got, (control.0.into(), control.1.into()));
        assert_eq!(driver.log("sum"), u64::from(data.1));
        assert_eq!(driver.log("control_sum"), 2 * u64::from(control.1));
        assert_eq!(driver.log("frame"), u64::MAX - 7);
        driver.command("release 2");
        driver.fails("receive", Errno::NODATA);
        assert_eq!(stream.take().unwrap().buffer, 2);
    }
    assert_eq!(numbers(&stream.counters()), [3, 3, 0, 0, 0, 0, 0, 0]);
}

/// Sends invalid descriptors: each is dropped and counted once under its own kind, and the
/// descriptor after it arrives.
fn rejected(plan: &str, which: usize, descriptors: &[Descriptor]) {
    let (driver, mut stream) = running(plan);
    for (number, descriptor) in descriptors.iter().enumerate() {
        stream.send(*descriptor);
        stream.send_buffer(1, 3);
        driver.command("receive");
        assert_eq!((driver.log("id"), driver.log("len")), (1, 3));
        driver.fails("receive", Errno::NODATA);
        driver.command("release-all");
        driver.fails("receive", Errno::NODATA);
        assert_eq!(stream.take().unwrap().buffer, 1);
        let counters = numbers(&stream.counters());
        let sum: u64 = counters[3..].iter().sum();
        let wrong = number as u64 + 1;
        assert_eq!((counters[which], sum), (wrong, wrong), "{descriptor:?}");
    }
    let names = ["id", "owner", "range", "flags"];
    let shown = driver.attribute(&format!("stream/rejected_{}", names[which - 3]));
    assert_eq!(shown, descriptors.len() as u64);
    assert_eq!(
        stream.session.counters(INPUT).corrupt,
        0,
        "the queue itself is sound"
    );
}

const ID: usize = 3;
const RANGE: usize = 5;
const FLAGS: usize = 6;

fn bad_id() {
    let of = |buffer| Descriptor {
        buffer,
        ..Default::default()
    };
    rejected("input 4 64", ID, &[4, 5, 1 << 31, u32::MAX].map(of));
    // The queue has room for eight descriptors, but the stream has four buffers.
    rejected("input 4 64 queue=8", ID, &[4, 7, 8].map(of));
}

/// In the output modes all buffers are free at first.
fn not_owned() {
    let (driver, mut stream) = running("input-output 3 64");
    for id in 0..3 {
        stream.send_buffer(id, 1);
    }
    driver.fails("receive", Errno::NODATA);
    assert_eq!(stream.counters().rejected_owner, 3);
    // Nor may the client send a buffer that the driver holds.
    driver.command("take");
    stream.send_buffer(0, 1);
    driver.fails("receive", Errno::NODATA);
    assert_eq!(stream.counters().rejected_owner, 4);
    driver.command("send 0");
    stream.send_buffer(0, 1);
    driver.command("receive");
    assert_eq!(driver.shown("buffers_where"), "hff");
}

fn sent_twice() {
    let (driver, mut stream) = running("input 2 64");
    for len in [1, 2, 3] {
        stream.send_buffer(0, len);
    }
    driver.command("receive");
    assert_eq!(driver.log("len"), 1, "the first");
    driver.fails("receive", Errno::NODATA);
    assert_eq!(stream.counters().rejected_owner, 2);
    // Nor one that the driver has released, until the client has received it.
    driver.command("release 0");
    stream.send_buffer(0, 4);
    driver.command("receive");
    assert_eq!(driver.log("len"), 4, "`receive` has returned it first");
}

fn ranges(list: &[(u32, u32, u32, u32)]) -> Vec<Descriptor> {
    let of = |range: &(u32, u32, u32, u32)| Descriptor {
        data_offset: range.0,
        data_len: range.1,
        control_offset: range.2,
        control_len: range.3,
        ..Default::default()
    };
    list.iter().map(of).collect()
}

fn data_out_of_bounds() {
    let wrong = ranges(&[
        (0, 5001, 0, 0),
        (1, 5000, 0, 0),
        (5000, 1, 0, 0),
        (5001, 0, 0, 0),
    ]);
    rejected("input 4 5000 control=100", RANGE, &wrong);
    // The rest of the page beyond the area is not part of it.
    rejected(
        "input 4 5000",
        RANGE,
        &ranges(&[(0, 8192, 0, 0), (5000, 3192, 0, 0)]),
    );
}

fn control_out_of_bounds() {
    let wrong = ranges(&[
        (0, 1, 0, 101),
        (0, 1, 1, 100),
        (0, 1, 100, 1),
        (0, 1, 101, 0),
    ]);
    rejected("input 4 5000 control=100", RANGE, &wrong);
    rejected("input 4 64", RANGE, &ranges(&[(0, 1, 0, 1), (0, 1, 1, 0)]));
}

fn overflow() {
    const MAX: u32 = u32::MAX;
    let wrong = ranges(&[
        (MAX, 1, 0, 0),
        (1, MAX, 0, 0),
        (MAX, MAX, 0, 0),
        (1 << 31, 1 << 31, 0, 0),
        (MAX - 4999, 5000, 0, 0),
        (0, 0, MAX, 1),
        (0, 0, 1, MAX),
        (0, 0, 1 << 31, 1 << 31),
    ]);
    rejected("input 4 5000 control=100", RANGE, &wrong);
}

/// A position between the ends of two descriptors is invalid.
fn between_descriptors() {
    let (driver, mut stream) = running("input 4 64");
    let word = |stream: &Stream, pos| {
        stream
            .input
            .producer
            .word(producer::POS)
            .store(pos, Release)
    };
    for (number, pos) in [1, 8, 16, 32, 63, 65, 96, 127].into_iter().enumerate() {
        word(&stream, pos);
        driver.fails("receive", Errno::BADMSG);
        let counters = stream.session.counters(INPUT);
        assert_eq!((counters.corrupt, counters.entries), (number as u64 + 1, 0));
    }
    word(&stream, 0);
    stream.send_buffer(0, 1);
    driver.command("receive");
    assert_eq!(stream.session.queue(INPUT).flags, IOSTREAM_QUEUE_SLOTS);
    assert_eq!(stream.session.queue(INPUT).max_entry_bytes, 64);
}

fn unknown_flags() {
    let of = |flags| Descriptor {
        flags,
        ..Default::default()
    };
    rejected(
        "input 4 64",
        FLAGS,
        &[1 << 5, 1 << 15, 1 << 24, (1 << 31) | 1, u32::MAX].map(of),
    );
}

/// Only the kernel sets the flag for discarded buffers.
fn flag_of_the_kernel() {
    let of = |flags| Descriptor {
        flags,
        ..Default::default()
    };
    let discarded = IOSTREAM_DESCRIPTOR_DISCARDED;
    let both = discarded | IOSTREAM_DESCRIPTOR_UNUSED;
    rejected("input 4 64", FLAGS, &[discarded, both].map(of));
}

/// A buffer whose descriptor is refused stays with the client, which can send it again.
fn refused_keeps_the_buffer() {
    let (driver, mut stream) = running("input 1 64");
    stream.send_buffer(0, 65);
    stream.send(Descriptor {
        flags: 8,
        ..Default::default()
    });
    driver.fails("receive", Errno::NODATA);
    assert_eq!(driver.shown("buffers_where"), "c");
    stream.send_buffer(0, 64);
    driver.command("receive");
}

/// Returned buffers are empty: the driver does not see them.
fn returned_in_output_mode() {
    let (driver, mut stream) = running("shared-output 2 64");
    driver.command("produce 2 1");
    stream.take_all();
    stream.send_buffer(0, 10);
    stream.give_back(1);
    driver.fails("receive", Errno::NODATA);
    assert_eq!(driver.shown("buffers_where"), "ff");
}

/// In input mode an unused buffer goes back to the client without the driver seeing it.
fn unused_comes_back() {
    let (driver, mut stream) = running("input 1 64");
    for _ in 0..3 {
        stream.give_back(0);
        driver.fails("receive", Errno::NODATA);
        let back = stream.take().expect("the only buffer comes back");
        assert_eq!((back.buffer, back.flags, back.data_len), (0, 0, 0));
    }
    // The driver drops it: otherwise no side could do anything.
    stream.send_buffer(0, 1);
    driver.command("receive");
}

fn dropped_comes_back() {
    let (driver, mut stream) = running("input 2 64");
    driver.command("auto consume");
    for _ in 0..10 {
        stream.send_buffer(0, 5);
        stream.send_buffer(1, 5);
        let mut back: Vec<u32> = stream.take_all().iter().map(|one| one.buffer).collect();
        back.sort_unstable();
        assert_eq!(back, [0, 1]);
    }
}

/// Another thread keeps changing a descriptor: what the driver gets is always consistent, in
/// bounds, and a buffer that the client held.
fn rewritten_after_sending() {
    let (driver, mut stream) = running("input 4 4096");
    stream.buffers.write(0, &vec![1; stream.buffers.len()]);
    let done = AtomicBool::new(false);
    let size = stream.input.size;
    let (mut good, mut bad) = (0, 0);
    let data = stream.input.data.as_ptr().expose_provenance();
    // The word that changes: the data length of the next descriptor.
    let target = AtomicUsize::new(usize::MAX);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut len = 0;
            while !done.load(Relaxed) {
                let at = target.load(Relaxed);
                if at != usize::MAX {
                    len = if len == 4096 { u32::MAX } else { 4096 };
                    let word = std::ptr::with_exposed_provenance_mut::<u32>(data + at);
                    // SAFETY: The word is aligned and inside the mapping, which outlives the scope.
                    unsafe { word.write_volatile(len) };
                }
            }
        });
        for _ in 0..count(20_000) {
            let at = (stream.input.pos % size) as usize + 8 + offset_of!(Descriptor, data_len);
            target.store(at, Relaxed);
            stream.send_buffer(3, 4096);
            match driver.tell("receive") {
                Ok(()) => {
                    assert_eq!((driver.log("id"), driver.log("len")), (3, 4096));
                    assert_eq!(driver.log("sum"), 4096);
                    driver.command("release 3");
                    driver.fails("receive", Errno::NODATA);
                    assert_eq!(stream.take().unwrap().buffer, 3);
                    good += 1;
                }
                Err(Errno::NODATA) => bad += 1,
                Err(error) => panic!("{error}"),
            }
        }
        done.store(true, Relaxed);
    });
    println!("{good} right, {bad} wrong");
    assert_eq!(stream.counters().rejected_range, bad);
    assert_eq!(stream.counters().received, good);
    assert!(good > 0);
}

/// A client that sends invalid descriptors as fast as it can does not keep the driver in its call.
fn flood_of_nonsense() {
    let (driver, mut stream) = running("input 1 64 queue=1000");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let Stream { session, input, .. } = &mut stream;
        scope.spawn(|| {
            while !done.load(Relaxed) {
                input.push(
                    session,
                    &to_bytes(&Descriptor {
                        buffer: 9,
                        ..Default::default()
                    }),
                );
            }
        });
        while driver.attribute("stream/rejected_id") < count(100_000) {
            let got = driver.tell("receive");
            assert!(matches!(got, Err(Errno::NODATA | Errno::BADMSG)), "{got:?}");
        }
        done.store(true, Relaxed);
    });
    while driver.tell("receive") == Err(Errno::BADMSG) {}
    stream.send_buffer(0, 5);
    driver.command("receive");
}

/// Nor does a client that returns each buffer unused at once; and the driver is called again.
fn flood_of_unused() {
    let (driver, mut stream) = running("input 200 64");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (0..200).for_each(|id| stream.give_back(id));
            while !done.load(Relaxed) {
                if let Some(descriptor) = stream.take() {
                    stream.give_back(descriptor.buffer);
                }
            }
        });
        let told = driver.log("data_callbacks");
        for _ in 0..count(1000) {
            driver.fails("receive", Errno::NODATA);
        }
        driver.wait_for("data_callbacks", |now| now > told);
        done.store(true, Relaxed);
    });
    driver.command("auto consume");
    let moved = driver.log("moved");
    stream.session.notify(INPUT).unwrap();
    let back = loop {
        if let Some(descriptor) = stream.take() {
            break descriptor;
        }
    };
    stream.send_buffer(back.buffer, 5);
    driver.wait_for("moved", |now| now > moved);
}

/// One client's invalid descriptors do not affect another client.
fn others_go_on() {
    let driver = Driver::stream("input 2 64 clients=2");
    let (mut bad, mut good) = (driver.open_stream(), driver.open_stream());
    bad.session.start().unwrap();
    good.session.start().unwrap();
    for _ in 0..50 {
        bad.send_buffer(77, 0);
        good.send_buffer(1, 2);
        driver.command("client 0");
        driver.fails("receive", Errno::NODATA);
        driver.command("client 1");
        driver.command("receive");
        driver.command("release 1");
        driver.fails("receive", Errno::NODATA);
        assert_eq!(good.take().unwrap().buffer, 1);
    }
    assert_eq!(numbers(&good.counters()), [50, 50, 0, 0, 0, 0, 0, 0]);
    assert_eq!(numbers(&bad.counters())[3], 50);
}

fn corrupt_input_position() {
    let (driver, stream) = running("input 2 64");
    for pos in [1 << 40, u64::MAX, 4, 4096 + 8] {
        stream
            .input
            .producer
            .word(producer::POS)
            .store(pos, Relaxed);
        driver.fails("receive", Errno::BADMSG);
        driver.fails("queued", Errno::BADMSG);
    }
    assert_eq!(stream.session.counters(INPUT).corrupt, 4, "once each");
    stream.input.producer.word(producer::POS).store(0, Relaxed);
    driver.fails("receive", Errno::NODATA);
}

fn corrupt_output_position() {
    let (driver, stream) = running("output 200 64");
    driver.command("produce 200 1");
    for pos in [201 * DESCRIPTOR_BYTES, u64::MAX, 4, 16] {
        stream
            .output
            .consumer
            .word(consumer::POS)
            .store(pos, Relaxed);
        driver.fails("queued", Errno::BADMSG);
    }
    assert_eq!(stream.session.counters(OUTPUT).corrupt, 4, "once each");
    stream.output.consumer.word(consumer::POS).store(0, Relaxed);
    driver.command("queued");
    assert_eq!(driver.log("queued_output"), 200);
}

/// A reset is refused: it would lose the buffers in the queue.
fn no_reset() {
    let (driver, mut stream) = running("output 2 64");
    driver.command("produce 2 1");
    for direction in [OUTPUT, INPUT] {
        assert_eq!(stream.session.reset(direction), Err(Errno::OPNOTSUPP));
    }
    assert_eq!(stream.take_all().len(), 2);
}
