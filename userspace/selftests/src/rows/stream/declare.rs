// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-01: a driver declares a stream and publishes it.

use std::fs::metadata;
use std::os::unix::fs::FileTypeExt;

use iostream_raw::stream::DESCRIPTOR_BYTES;
use iostream_raw::{node_called, page, Prot, Stream, INPUT, OUTPUT};
use iostream_ring::uapi::*;
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::driver::{entry, Driver};

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-01/declared-is-reported", declared_is_reported),
    Clause::new("S-01/queue-length-zero", queue_length_zero),
    Clause::new("S-01/queue-length-more", queue_length_more),
    Clause::new("S-01/queues-are-reported", queues_are_reported),
    Clause::new("S-01/format-and-description", format_and_description),
    Clause::new("S-01/neither-format-nor-description", nothing_said),
    Clause::new("S-01/named-node", named_node),
    Clause::new("S-01/odd-sizes", odd_sizes),
    Clause::new("S-01/no-buffers-refused", || {
        refused("output 0 4096", Errno::INVAL)
    }),
    Clause::new("S-01/no-data-refused", || {
        refused("input 4 0", Errno::INVAL)
    }),
    Clause::new("S-01/too-many-refused", || {
        refused("input-output 16385 64", Errno::TOOBIG)
    }),
    Clause::new("S-01/too-large-refused", || {
        refused(&format!("output 1 {}", (64 << 20) + 1), Errno::TOOBIG)
    }),
    Clause::new("S-01/control-too-large-refused", || {
        let control = (64 << 20) + 1;
        refused(&format!("output 1 64 control={control}"), Errno::TOOBIG)
    }),
    Clause::new("S-01/short-queue-refused", || {
        refused("output 4 4096 queue=3", Errno::INVAL)
    }),
    Clause::new("S-01/long-queue-refused", || {
        refused("output 4 4096 queue=16385", Errno::TOOBIG)
    }),
    Clause::new("S-01/long-description-refused", || {
        let words = "x".repeat(64);
        refused(&format!("output 4 64 description={words}"), Errno::INVAL)
    }),
    Clause::new("S-01/own-queues-refused", || {
        refused("output 4 4096 own-queue=1", Errno::INVAL)
    }),
    Clause::new("S-01/name-taken-refused", name_taken),
    Clause::new("S-01/one-buffer", || moves(1, 4096)),
    Clause::new("S-01/1024-buffers", || moves(1024, 4096)),
    Clause::new("S-01/64-byte-buffers", || moves(4, 64)),
    Clause::slow("S-01/16-mebibyte-buffers", 240, || moves(4, 16 << 20)),
    Clause::slow("S-01/64-streams", 120, many_streams),
];

fn declared_is_reported() {
    for (mode, number) in [
        ("output", IOSTREAM_MODE_OUTPUT),
        ("input", IOSTREAM_MODE_INPUT),
        ("input-output", IOSTREAM_MODE_INPUT_OUTPUT),
    ] {
        let driver = Driver::stream(&format!("{mode} 3 8192 control=128"));
        let session = driver.open();
        let stream = session.stream();
        assert_eq!(stream.mode, number);
        assert_eq!(stream.state, IOSTREAM_STATE_STOPPED);
        assert_eq!(stream.buffers, 3);
        assert_eq!((stream.data_bytes, stream.control_bytes), (8192, 128));
        assert_eq!(stream.clock, IOSTREAM_CLOCK_MONOTONIC);
        assert_eq!(stream.generation, 1);
        assert_eq!(
            iostream_raw::stream::numbers(&session.stream_counters()),
            [0; 8]
        );
        assert_eq!(driver.shown("mode"), mode);
        assert_eq!(driver.attribute("buffers"), 3);
        assert_eq!(driver.attribute("data_bytes"), 8192);
        assert_eq!(driver.attribute("control_bytes"), 128);
    }
}

fn queue_length_zero() {
    let driver = Driver::stream("output 5 64");
    assert_eq!(driver.open().stream().max_buffers, 5);
}

fn queue_length_more() {
    let driver = Driver::stream("output 5 64 queue=300");
    let session = driver.open();
    assert_eq!(session.stream().max_buffers, 300);
    for direction in [OUTPUT, INPUT] {
        assert!(session.queue(direction).data_bytes >= 300 * DESCRIPTOR_BYTES);
    }
}

/// Both queues are whole pages, with room for a descriptor of each buffer.
fn queues_are_reported() {
    let driver = Driver::stream("input 200 64");
    let session = driver.open();
    for direction in [OUTPUT, INPUT] {
        let queue = session.queue(direction);
        assert_eq!(queue.data_bytes, 16384);
        assert_eq!(queue.max_entry_bytes, 64, "the length of each entry");
        assert_eq!((queue.flags, queue.generation), (IOSTREAM_QUEUE_SLOTS, 1));
    }
}

fn format_and_description() {
    let words = "y".repeat(63);
    let driver = Driver::stream(&format!("output 1 64 format=YUYV description={words}"));
    let stream = driver.open().stream();
    assert_eq!(stream.format.to_le_bytes(), *b"YUYV");
    assert_eq!(&stream.description[..63], words.as_bytes());
    assert_eq!(stream.description[63], 0);
    assert_eq!(driver.shown("format"), "YUYV");
    assert_eq!(driver.shown("description"), words);
}

fn nothing_said() {
    let driver = Driver::stream("output 1 64");
    let stream = driver.open().stream();
    assert_eq!(stream.format, 0);
    assert_eq!(stream.description, [0; 64]);
}

fn named_node() {
    let driver = Driver::stream("input-output 1 64");
    assert!(metadata(driver.path())
        .unwrap()
        .file_type()
        .is_char_device());
    let version = driver.open().version().unwrap();
    assert!(version.name.starts_with(b"selftest\0"));
}

/// Each area begins on its own page and has the declared length.
fn odd_sizes() {
    for (data, control, start, stride) in [
        (1, 0, page(), page()),
        (page(), 1, page(), 2 * page()),
        (page() + 1, page(), 2 * page(), 3 * page()),
        (3 * page() + 57, page() + 1, 4 * page(), 6 * page()),
    ] {
        let driver = Driver::stream(&format!("input 2 {data} control={control}"));
        let session = driver.open();
        let stream = session.stream();
        let areas = (stream.data_bytes.into(), stream.control_bytes.into());
        assert_eq!(areas, (data, control));
        assert_eq!(
            (stream.control_start, stream.buffer_stride),
            (start, stride)
        );
        let map = session.try_map_buffers(0..2, Prot::READ).unwrap();
        assert_eq!(map.len() as u64, 2 * stride);
    }
}

fn refused(plan: &str, error: Errno) {
    let driver = Driver::unpublished_stream();
    driver.fails(&format!("publish selftest {plan}"), error);
    assert_eq!(node_called("selftest"), None);
    driver.command("publish selftest output 1 64");
}

fn name_taken() {
    let driver = Driver::unpublished_stream();
    driver.fails("publish itout output 1 64", Errno::EXIST);
}

/// Every buffer goes to the process, full, and comes back, twice.
fn moves(count: u32, bytes: u32) {
    let driver = Driver::stream(&format!("output {count} {bytes}"));
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    for _ in 0..2 {
        driver.command(&format!("produce {count} {bytes}"));
        driver.fails("take", Errno::NOSPC);
        let descriptors = stream.take_all();
        assert_eq!(descriptors.len() as u32, count);
        for (number, descriptor) in descriptors.iter().enumerate() {
            let expected = entry(number as u64, bytes as usize);
            assert!(stream.data(descriptor) == expected, "buffer {number}");
        }
        for descriptor in descriptors {
            stream.give_back(descriptor.buffer);
        }
    }
    assert_eq!(stream.counters().sent, 2 * u64::from(count));
}

fn many_streams() {
    let driver = Driver::unpublished_stream();
    driver.command("many 64 selftest output 2 4096");
    let mut streams: Vec<Stream> = (0..64)
        .map(|number| {
            let path = node_called(&format!("selftest-{number}")).expect("a node");
            let session = iostream_raw::Session::open(path, rustix::fs::OFlags::RDWR);
            let stream = Stream::new(session.expect("open"));
            stream.session.start().unwrap();
            stream
        })
        .collect();
    for _ in 0..10 {
        assert_eq!(driver.count("many-send 100"), 64);
        for (number, stream) in streams.iter_mut().enumerate() {
            let descriptor = stream.take().expect("a buffer");
            assert_eq!(stream.data(&descriptor), entry(number as u64, 100));
            stream.give_back(descriptor.buffer);
            assert!(stream.take().is_none());
        }
    }
}
