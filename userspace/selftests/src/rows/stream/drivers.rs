// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-15, S-16, S-18, S-20 and S-21 with the example drivers of streams.

use iostream_raw::stream::DESCRIPTOR_BYTES;
use iostream_raw::{node_called, Descriptor, Stream};
use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::clause::{count, long, Clause};
use crate::support::module::{insert, is_loaded, open_node, remove, Module};
use crate::support::waiting::woken_by;

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-20/pattern-flat-out", pattern_flat_out),
    Clause::new("S-20/pattern-at-a-rate", pattern_at_a_rate),
    Clause::new("S-20/pattern-loses-frames", pattern_loses_frames),
    Clause::new("S-20/pattern-suspended", pattern_suspended),
    Clause::new("S-20/pattern-several-clients", pattern_several_clients),
    Clause::new("S-20/pattern-wrong-parameters", pattern_wrong_parameters),
    Clause::new("S-20/sink-checks", sink_checks),
    Clause::new("S-15/sink", sink_notice),
    Clause::new("S-16/sink", sink_sync_notice),
    Clause::new("S-16/no-callback", no_callback),
    Clause::new("S-20/loopback-inverts", loopback_inverts),
    Clause::new("S-20/loopback-started-again", loopback_started_again),
    Clause::new("S-21/monitor", monitor),
    Clause::new("S-21/monitor-without-its-stream", monitor_alone),
    Clause::slow("S-18/modules-in-every-order", 240, every_order),
    Clause::slow(
        "S-18/modules-removed-while-moving",
        240,
        removed_while_moving,
    ),
];

const FRAME: usize = 32;

/// The checksum of a frame, as in iostream_frame.h.
fn check(sequence: u64, words: &[u64]) -> u64 {
    let all = [&[sequence, words.len() as u64 * 8][..], words].concat();
    all.iter().fold(0xcbf2_9ce4_8422_2325, |check: u64, word| {
        (check ^ word).wrapping_mul(0x100_0000_01b3)
    })
}

fn words(bytes: &[u8]) -> Vec<u64> {
    let chunks = bytes.chunks_exact(8);
    chunks
        .map(|chunk| u64::from_ne_bytes(chunk.try_into().unwrap()))
        .collect()
}

fn bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// Checks a frame; returns its number and its time.
#[track_caller]
fn frame(stream: &Stream, descriptor: &Descriptor) -> (u64, u64) {
    let control = words(&stream.control(descriptor));
    let data = words(&stream.data(descriptor));
    let [sequence, time, len, sum] = control[..] else {
        panic!("{control:?}");
    };
    assert_eq!(len, data.len() as u64 * 8);
    assert!(data
        .iter()
        .enumerate()
        .all(|(i, word)| *word == sequence + i as u64));
    assert_eq!(sum, check(sequence, &data));
    (sequence, time)
}

/// The next descriptor, slept for.
fn next(stream: &mut Stream) -> Descriptor {
    loop {
        if let Some(descriptor) = stream.take() {
            return descriptor;
        }
        assert_eq!(stream.session.poll(PollFlags::IN, -1), PollFlags::IN);
    }
}

fn opened(name: &str) -> Stream {
    let stream = Stream::new(open_node(name).expect("open"));
    stream.session.start().unwrap();
    stream
}

/// Frames are made as fast as they are taken, and none is lost.
fn pattern_flat_out() {
    let parameters = ["rate=0", "buffers=3", "data_bytes=4096"];
    let _pattern = Module::load("iostream_pattern", &parameters);
    let mut stream = opened("pattern");
    assert_eq!(stream.session.stream().control_bytes as usize, FRAME);
    let mut last = 0;
    for i in 0..count(5000) {
        let descriptor = next(&mut stream);
        let (sequence, time) = frame(&stream, &descriptor);
        assert_eq!((sequence, descriptor.frame), (i, i));
        assert!(time >= last);
        last = time;
        stream.give_back(descriptor.buffer);
    }
    // Many more frames than one call of the driver makes.
    drop(stream);
    let mut stream = opened("pattern");
    let mut held = Vec::new();
    for i in 0..count(2000) {
        let descriptor = next(&mut stream);
        assert_eq!(frame(&stream, &descriptor).0, i);
        held.push(descriptor.buffer);
        if held.len() == 3 {
            held.drain(..).for_each(|buffer| stream.give_back(buffer));
        }
    }
}

fn pattern_at_a_rate() {
    let parameters = ["rate=1000", "buffers=16", "data_bytes=64"];
    let _pattern = Module::load("iostream_pattern", &parameters);
    let mut stream = opened("pattern");
    let mut times = Vec::new();
    for _ in 0..100 {
        let descriptor = next(&mut stream);
        times.push(frame(&stream, &descriptor));
        stream.give_back(descriptor.buffer);
    }
    let (first, last) = (times[0], times[99]);
    // The timer may be late and then uses the next interval, but it is never early.
    let frames = last.0 - first.0;
    assert!(frames >= 99);
    assert!(last.1 - first.1 >= (frames - 1) * 1_000_000, "{times:?}");
}

/// A frame for which there is no buffer is lost.
fn pattern_loses_frames() {
    let parameters = ["rate=1000", "buffers=2", "data_bytes=64"];
    let _pattern = Module::load("iostream_pattern", &parameters);
    let mut stream = opened("pattern");
    let full = node_called("pattern").unwrap();
    let full = std::path::Path::new("/sys/class/iostream")
        .join(full.file_name().unwrap())
        .join("output/full");
    let lost = || -> u64 {
        let text = std::fs::read_to_string(&full).unwrap();
        text.trim().parse().unwrap()
    };
    while lost() < 10 {
        std::thread::yield_now();
    }
    let held = stream.take_all();
    assert_eq!(held.len(), 2);
    assert_eq!(frame(&stream, &held[1]).0, 1);
    held.iter()
        .for_each(|descriptor| stream.give_back(descriptor.buffer));
    let descriptor = next(&mut stream);
    let number = frame(&stream, &descriptor).0;
    assert!(number >= 12);
    assert_eq!((descriptor.frame, descriptor.lost), (number, number - 2));
}

/// A suspended stream sends nothing, and goes on when it is started again.
fn pattern_suspended() {
    let parameters = ["rate=1000", "buffers=4", "data_bytes=64"];
    let _pattern = Module::load("iostream_pattern", &parameters);
    let mut stream = opened("pattern");
    let mut wanted = 0;
    for _ in 0..10 {
        let descriptor = next(&mut stream);
        let sequence = frame(&stream, &descriptor).0;
        assert!(sequence >= wanted);
        stream.give_back(descriptor.buffer);
        stream.session.suspend().unwrap();
        wanted = sequence + 1;
        for descriptor in stream.take_all() {
            wanted = frame(&stream, &descriptor).0 + 1;
            stream.give_back(descriptor.buffer);
        }
        let sent = stream.counters().sent;
        assert_eq!(stream.session.poll(PollFlags::IN, 20), PollFlags::empty());
        assert_eq!(stream.counters().sent, sent);
        stream.session.start().unwrap();
    }
}

fn pattern_several_clients() {
    let parameters = ["rate=0", "clients=2", "buffers=2", "data_bytes=64"];
    let _pattern = Module::load("iostream_pattern", &parameters);
    let (mut one, mut two) = (opened("pattern"), opened("pattern"));
    assert_eq!(open_node("pattern").err(), Some(Errno::BUSY));
    for i in 0..100 {
        let descriptor = next(&mut one);
        assert_eq!(frame(&one, &descriptor).0, i);
        one.give_back(descriptor.buffer);
        if i % 3 == 0 {
            let descriptor = next(&mut two);
            assert_eq!(frame(&two, &descriptor).0, i / 3);
            two.give_back(descriptor.buffer);
        }
    }
    drop(one);
    let descriptor = next(&mut opened("pattern"));
    assert_eq!(descriptor.frame, 0);
}

fn pattern_wrong_parameters() {
    for parameters in [
        &["data_bytes=63"][..],
        &["data_bytes=0"],
        &["buffers=0"],
        &["buffers=20000"],
        &["rate=10001", "data_bytes=64"],
        &["rate=1", "data_bytes=131072"],
        &["rate=10000", "data_bytes=16384"],
        &["clients=0"],
    ] {
        let done = insert("iostream_pattern", parameters);
        assert!(!done.status.success(), "{parameters:?}");
        assert!(!is_loaded("iostream_pattern"));
        assert_eq!(node_called("pattern"), None);
    }
}

/// A frame for the sink, in a buffer.
fn write_frame(stream: &Stream, buffer: u32, sequence: u64, len: u64) -> Descriptor {
    let data: Vec<u64> = (0..len).map(|i| sequence + i).collect();
    let control = [sequence, 0, len * 8, check(sequence, &data)];
    stream.write(buffer, 0, &bytes(&data));
    stream.write_control(buffer, 0, &bytes(&control));
    Descriptor {
        buffer,
        data_len: len as u32 * 8,
        control_len: FRAME as u32,
        ..Default::default()
    }
}

fn sink_checks() {
    let sink = Module::load("iostream_sink", &["buffers=2", "data_bytes=4096"]);
    let mut stream = opened("sink");
    let mut free = vec![0, 1];
    let mut bad = 0;
    let mut missed = 0;
    let mut sequence = 0;
    for i in 0..200_u64 {
        let buffer = free.pop().unwrap_or_else(|| next(&mut stream).buffer);
        if i % 20 == 19 {
            sequence += 3;
            missed += 3;
        }
        let mut descriptor = write_frame(&stream, buffer, sequence, 1 + i);
        sequence += 1;
        match i % 10 {
            // A wrong bit in the data, a wrong bit in the checksum, no control data, half the data.
            3 => stream.write(buffer, i as usize, &[!(sequence as u8)]),
            5 => stream.write_control(buffer, 30, &[0xaa]),
            6 => descriptor.control_len = 0,
            7 => descriptor.data_len = (i as u32 + 1) / 2 * 8,
            _ => {}
        }
        if [3, 5, 6, 7].contains(&(i % 10)) {
            bad += 1;
            // A bad frame's number is not read, so one frame seems to be missing before the next.
            missed += 1;
        }
        stream.send(descriptor);
    }
    sink.wait_for("frames", |frames| frames == 200);
    assert_eq!((sink.count("bad"), sink.count("missed")), (bad, missed));
}

fn sink_notice() {
    let sink = Module::load("iostream_sink", &[]);
    let stream = opened("sink");
    stream.session.notice(0x1234_5678).unwrap();
    sink.wait_for("notices", |notices| notices == 1);
    assert_eq!(sink.count("last_token"), 0x1234_5678);
}

/// A synchronous notice asks the sink whether all frames are there; it has looked when the call
/// returns.
fn sink_sync_notice() {
    let sink = Module::load("iostream_sink", &[]);
    let mut stream = opened("sink");
    assert_eq!(stream.session.notice_sync(0), Ok(()));
    for sequence in 0..5 {
        let frame = write_frame(&stream, sequence as u32, sequence, 100);
        // Without a notification of the driver.
        stream.input.put(&iostream_raw::stream::to_bytes(&frame));
        stream.input.publish();
    }
    assert_eq!(sink.count("frames"), 0);
    assert_eq!(stream.session.notice_sync(5), Ok(()));
    assert_eq!((sink.count("frames"), sink.count("sync_notices")), (5, 2));
    assert_eq!(stream.session.notice_sync(6), Err(Errno::BADMSG));
}

fn no_callback() {
    let _pattern = Module::load("iostream_pattern", &[]);
    let session = open_node("pattern").unwrap();
    assert_eq!(session.notice_sync(1), Err(Errno::OPNOTSUPP));
    // In a worker there is no caller for the error.
    assert_eq!(session.notice(1), Ok(()));
}

fn loopback_inverts() {
    let _loopback = Module::load("iostream_loopback", &["buffers=4", "data_bytes=5000"]);
    let mut stream = opened("loopback");
    for i in 0..count(2000) as usize {
        let mut descriptor = next(&mut stream);
        let (offset, len) = (i % 7, i * 31 % 4900);
        let data: Vec<u8> = (0..len).map(|at| (at + i) as u8).collect();
        stream.write(descriptor.buffer, offset, &data);
        (descriptor.data_offset, descriptor.data_len) = (offset as u32, len as u32);
        stream.send(descriptor);
        // Earlier answers come first, in order.
        let answer = loop {
            let answer = next(&mut stream);
            if answer.buffer == descriptor.buffer {
                break answer;
            }
            stream.send(answer);
        };
        let inverted: Vec<u8> = data.iter().map(|byte| !byte).collect();
        assert_eq!(stream.data(&answer), inverted);
        stream.send(Descriptor {
            data_len: 0,
            ..answer
        });
    }
}

/// Buffers that a stop discarded are sent out again, however they come back.
fn loopback_started_again() {
    let _loopback = Module::load("iostream_loopback", &["buffers=4", "data_bytes=64"]);
    let mut stream = opened("loopback");
    for round in 0..20 {
        let mut held: Vec<Descriptor> = (0..3).map(|_| next(&mut stream)).collect();
        let (last, discarded) = (
            held.pop().unwrap(),
            stream.output.available() / DESCRIPTOR_BYTES,
        );
        stream.session.suspend().unwrap();
        stream.send(held.pop().unwrap());
        let said = stream.session.stop().unwrap();
        assert_eq!(said, (discarded, 1), "round {round}");
        if round % 2 == 0 {
            stream.session.start().unwrap();
        }
        // The buffers before discarded_pos, unread.
        for _ in 0..discarded {
            let descriptor = stream.take().unwrap();
            stream.give_back(descriptor.buffer);
        }
        stream.give_back(last.buffer);
        stream.send(held.pop().unwrap());
        if round % 2 == 1 {
            stream.session.start().unwrap();
        }
        // All four come.
        let mut ids: Vec<u32> = (0..4).map(|_| next(&mut stream).buffer).collect();
        ids.sort_unstable();
        assert_eq!(ids, [0, 1, 2, 3], "round {round}");
        ids.into_iter().for_each(|id| stream.send_buffer(id, 8));
    }
}

fn monitor() {
    let pattern = Module::load("iostream_pattern", &["rate=0", "data_bytes=4096"]);
    let monitor = Module::load("iostream_monitor", &[]);
    assert_eq!(open_node("pattern").err(), Some(Errno::BUSY));
    monitor.wait_for("frames", |frames| frames >= count(10_000));
    pattern.unload();
    assert_eq!(node_called("pattern"), None);
    monitor.wait_for("gone", |gone| gone == 1);
    assert_eq!((monitor.count("bad"), monitor.count("missed")), (0, 0));
    assert_eq!(monitor.count("bytes"), 4096 * monitor.count("frames"));
    // The old session does not prevent the new one.
    let _pattern = Module::load("iostream_pattern", &["rate=0"]);
    drop(opened("pattern"));
    let frames = monitor.count("frames");
    monitor.unload();
    assert!(frames > 0);
}

fn monitor_alone() {
    let refused = |why: &str| {
        let done = insert("iostream_monitor", &[]);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!done.status.success() && said.contains(why), "{said}");
    };
    // This is busybox's text for ENOENT.
    refused("unknown symbol");
    let _pattern = Module::load("iostream_pattern", &[]);
    let session = open_node("pattern").unwrap();
    refused("busy");
    drop(session);
    drop(Module::load("iostream_monitor", &[]));
}

/// All four modules, loaded and removed in every order (only some orders, except in the long run),
/// each with a client that has it mapped.
fn every_order() {
    const NAMES: [&str; 4] = [
        "iostream_pattern",
        "iostream_sink",
        "iostream_loopback",
        "iostream_ticker",
    ];
    let orders = (0..24_usize).step_by(if long() { 1 } else { 5 });
    for (round, order) in orders.enumerate() {
        let mut left = NAMES.to_vec();
        let mut rest = order;
        let order: Vec<&'static str> = (0..4)
            .map(|i| {
                let at = rest % (4 - i);
                rest /= 4 - i;
                left.remove(at)
            })
            .collect();
        let mut modules: Vec<Module> = order.iter().map(|name| Module::load(name, &[])).collect();
        let streams = ["pattern", "sink", "loopback"].map(opened);
        let ticker = open_node("ticker").unwrap();
        assert!(!remove("iostream").status.success(), "in use");
        // In alternating directions.
        while !modules.is_empty() {
            let at = if round % 2 == 0 { 0 } else { modules.len() - 1 };
            modules.remove(at).unload();
        }
        for stream in streams {
            assert_eq!(stream.session.start(), Err(Errno::NODEV));
            stream.buffers.read(0, 64);
        }
        // After the entries that wait.
        while ticker.read(&mut [0; 8]).is_ok() {}
        assert_eq!(ticker.read(&mut [0; 8]), Err(Errno::NODEV));
    }
}

/// Pattern and monitor are removed in both orders at any moment, while a process waits.
fn removed_while_moving() {
    for round in 0..count(100) {
        let pattern = Module::load(
            "iostream_pattern",
            &["rate=0", "data_bytes=512", "clients=2"],
        );
        let monitor = Module::load("iostream_monitor", &[]);
        monitor.wait_for("frames", |frames| frames > 10 * round);
        let mut stream = opened("pattern");
        next(&mut stream);
        stream.session.suspend().unwrap();
        stream.take_all();
        let wait = || stream.session.poll(PollFlags::IN, -1);
        let said = woken_by(libc::SYS_ppoll, wait, || {
            if round % 2 == 0 {
                monitor.unload();
                pattern.unload();
            } else {
                pattern.unload();
                monitor.wait_for("gone", |gone| gone == 1);
                assert_eq!(monitor.count("bad"), 0);
                monitor.unload();
            }
        });
        assert!(said.contains(PollFlags::HUP | PollFlags::ERR));
    }
}
