// SPDX-License-Identifier: MIT OR Apache-2.0

//! B-01: the ioctl that copies counters, for a buffer of any size.

use std::os::fd::{AsFd, AsRawFd};

use iostream_raw::stream::{info, numbers};
use iostream_raw::{echo, page, sink, source, Area, Session, INPUT, OUTPUT};
use iostream_ring::uapi::*;
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::counters::named;
use crate::support::driver::Driver;

pub const CLAUSES: &[Clause] = &[
    Clause::new("B-01/ioctl-any-size", any_size),
    Clause::new("B-01/ioctl-errors", errors),
    Clause::new("B-01/ioctl-bad-buffer", bad_buffer),
    Clause::new("B-01/stream-counters-agree", stream_agrees),
    Clause::new("B-01/stream-bytes", stream_bytes),
];

/// What lies in a buffer that the kernel has not written.
const UNTOUCHED: u64 = 0x5555_5555_5555_5555;

/// The kernel copies what fits, fills the rest with zeros, writes nothing beyond, and says how much
/// it has.
fn fills(session: &Session, which: u32, expected: &[u64]) {
    let most = IOSTREAM_COUNTERS_MAX_BYTES as usize / 8;
    let sizes = (0..=expected.len() + 3).chain([most - 1, most]);
    for size in sizes {
        let mut buffer = vec![UNTOUCHED; most + 1];
        let has = session.copy_counters(which, &mut buffer[..size]).unwrap();
        assert_eq!(
            has as usize,
            size_of_val(expected),
            "{size} counters of {which}"
        );
        let known = size.min(expected.len());
        assert_eq!(buffer[..known], expected[..known], "{size} of {which}");
        assert!(
            buffer[known..size].iter().all(|word| *word == 0),
            "{size} of {which}"
        );
        assert!(
            buffer[size..].iter().all(|word| *word == UNTOUCHED),
            "{size} of {which}"
        );
    }
}

fn any_size() {
    let session = Session::nonblocking(echo(4096));
    for _ in 0..7 {
        session.write_entry(b"five!");
    }
    while session.write(&[0; 1000]).is_ok() {}
    session.read_entry();
    let queues = [
        (OUTPUT, IOSTREAM_COUNTERS_OUTPUT),
        (INPUT, IOSTREAM_COUNTERS_INPUT),
    ];
    for (direction, which) in queues {
        let page = session.map(direction, Area::Info).queue_info().counters;
        let expected = named(&page).map(|(_, value)| value);
        assert!(expected[0] > 7 && expected[8] > 0, "{expected:?}");
        fills(&session, which, &expected);
    }
    let seen = session.endpoint().unwrap();
    let expected = [
        seen.entries,
        seen.bytes,
        seen.bad,
        seen.missed,
        seen.dropped,
    ];
    assert!(seen.entries > 7 && seen.bytes > seen.entries);
    fills(&session, IOSTREAM_COUNTERS_ENDPOINT, &expected);

    let driver = Driver::stream("output 3 64");
    let stream = driver.open_stream();
    stream.session.start().unwrap();
    driver.command("produce 3 50");
    let page = (0..8).map(|i| stream.word(info::COUNTERS + 8 * i));
    let expected: Vec<_> = page.collect();
    assert_eq!(expected, [3, 0, 0, 0, 0, 0, 0, 0]);
    fills(&stream.session, IOSTREAM_COUNTERS_STREAM, &expected);
}

fn errors() {
    let copy = |session: &Session, which, buffer_bytes, buffer: &mut [u64]| {
        let mut request = iostream_counters {
            which,
            buffer_bytes,
            buffer: buffer.as_mut_ptr().expose_provenance() as u64,
            ..Default::default()
        };
        session.pass(IOSTREAM_IOC_COUNTERS, &mut request)
    };
    let mut buffer = [UNTOUCHED; 513];
    let session = Session::new(echo(4096));
    for which in [IOSTREAM_COUNTERS_ENDPOINT + 1, 100, u32::MAX] {
        assert_eq!(copy(&session, which, 8, &mut buffer), Err(Errno::INVAL));
    }
    for which in [OUTPUT, INPUT, IOSTREAM_COUNTERS_ENDPOINT] {
        for size in [1, 4, 7, 9, 4095, 4097, u32::MAX] {
            let result = copy(&session, which, size, &mut buffer);
            assert_eq!(result, Err(Errno::INVAL), "{size} bytes");
        }
        for size in [4104, 1 << 16, u32::MAX - 7] {
            let result = copy(&session, which, size, &mut buffer);
            assert_eq!(result, Err(Errno::TOOBIG), "{size} bytes");
        }
    }
    let one = |session: &Session, which| session.copy_counters(which, &mut [0; 1]).err();
    assert_eq!(one(&session, IOSTREAM_COUNTERS_STREAM), Some(Errno::NOTTY));
    assert_eq!(one(&Session::new(sink(4096)), OUTPUT), Some(Errno::NXIO));
    assert_eq!(
        one(&Session::new(source(4096, 16, 16, 0)), INPUT),
        Some(Errno::NXIO)
    );
    let bare = Session::bare();
    for which in [OUTPUT, INPUT, IOSTREAM_COUNTERS_ENDPOINT] {
        assert_eq!(one(&bare, which), Some(Errno::BADFD));
    }
    let driver = Driver::stream("output 3 64");
    let session = driver.open();
    assert_eq!(
        one(&session, IOSTREAM_COUNTERS_ENDPOINT),
        Some(Errno::NOTTY)
    );
    driver.tell("unpublish").unwrap();
    for which in [OUTPUT, INPUT, IOSTREAM_COUNTERS_STREAM] {
        assert_eq!(one(&session, which), Some(Errno::NODEV));
    }
    assert!(buffer.iter().all(|word| *word == UNTOUCHED));
}

/// A buffer that is not there, or only its first half.
fn bad_buffer() {
    let session = Session::new(echo(4096));
    let page = page();
    // SAFETY: A new mapping, whose second page is made inaccessible.
    let start = unsafe {
        let start = libc::mmap(
            std::ptr::null_mut(),
            2 * page as usize,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        assert_ne!(start, libc::MAP_FAILED);
        assert_eq!(
            libc::mprotect(start.byte_add(page as usize), page as usize, 0),
            0
        );
        start.addr() as u64
    };
    let addresses = [
        1,
        page,
        start + page,
        start + page - 8,
        1 << 47,
        1 << 63,
        u64::MAX - 71,
    ];
    for buffer in addresses {
        let mut request = iostream_counters {
            buffer_bytes: 72,
            buffer,
            ..Default::default()
        };
        let result = session.pass(IOSTREAM_IOC_COUNTERS, &mut request);
        assert_eq!(
            (result, request.counter_bytes),
            (Err(Errno::FAULT), 0),
            "{buffer:#x}"
        );
    }
    // The last word before the inaccessible page.
    let mut request = iostream_counters {
        buffer_bytes: 8,
        buffer: start + page - 8,
        ..Default::default()
    };
    assert_eq!(session.pass(IOSTREAM_IOC_COUNTERS, &mut request), Ok(()));
}

/// Info page, ioctl, fdinfo and sysfs show the same counters of a stream, all of which count.
fn stream_agrees() {
    let driver = Driver::stream("input-output 4 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    driver.command("produce 3 8");
    for descriptor in stream.take_all() {
        stream.give_back(descriptor.buffer);
    }
    let bad = [
        iostream_descriptor {
            buffer: 9,
            ..Default::default()
        },
        iostream_descriptor {
            buffer: 9,
            ..Default::default()
        },
        iostream_descriptor {
            buffer: 3,
            ..Default::default()
        },
        iostream_descriptor {
            data_len: 65,
            ..Default::default()
        },
        iostream_descriptor {
            flags: 1 << 31,
            ..Default::default()
        },
    ];
    for descriptor in bad {
        stream.send(descriptor);
        driver.tell("receive").ok();
    }
    driver.command("produce 1 8");
    stream.session.stop().unwrap();
    let fd = stream.session.as_fd().as_raw_fd();
    let fdinfo = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
    let line = fdinfo
        .lines()
        .find(|line| line.starts_with("iostream-stream:"));
    let words: Vec<_> = line
        .expect("a line for the stream")
        .split_whitespace()
        .collect();
    let counters = numbers(&stream.counters());
    let names = [
        "sent",
        "received",
        "discarded",
        "rejected_id",
        "rejected_owner",
        "rejected_range",
        "rejected_flags",
    ];
    for (i, (name, value)) in names.into_iter().zip(counters).enumerate() {
        assert!(value > 0, "{name}: {counters:?}");
        assert_eq!(stream.word(info::COUNTERS + 8 * i), value, "{name}");
        assert_eq!(driver.attribute(&format!("stream/{name}")), value, "{name}");
        let at = words.iter().position(|word| *word == name).expect(name);
        assert_eq!(words[at + 1], value.to_string(), "{name}");
    }
}

/// Bytes count on the side that fills a buffer, in each mode, and only if the buffer arrives.
fn stream_bytes() {
    for (plan, driver_fills, process_fills) in [
        ("output 5 5000", true, false),
        ("input 5 5000", false, true),
        ("input-output 5 5000", true, true),
    ] {
        let driver = Driver::stream(plan);
        let mut stream = driver.open_stream();
        stream.session.start().unwrap();
        let (mut sent, mut received) = (0, 0);
        for (i, len) in [77, 0, 1, 5000, 4999].into_iter().enumerate() {
            let mut buffer = i as u32;
            if driver_fills {
                driver.command(&format!("produce 1 {len}"));
                buffer = stream.wait().buffer;
                sent += u64::from(len);
            }
            let says = |data_len, flags| iostream_descriptor {
                buffer,
                data_len,
                flags,
                ..Default::default()
            };
            // One that is refused, one that comes back to the process at once in input mode, and one
            // that arrives.
            stream.send(says(5001, 0));
            driver.tell("receive").ok();
            if !driver_fills {
                stream.send(says(len, IOSTREAM_DESCRIPTOR_UNUSED));
                driver.tell("receive").ok();
                assert_eq!(stream.wait().buffer, buffer);
            }
            stream.send(says(len, 0));
            driver.tell("receive").ok();
            driver.tell("release-all").ok();
            stream.take_all();
            if process_fills {
                received += u64::from(len);
            }
            let bytes = |direction| stream.session.counters(direction).bytes;
            assert_eq!(
                (bytes(OUTPUT), bytes(INPUT)),
                (sent, received),
                "{plan}, {len}"
            );
        }
        assert_eq!(driver.attribute("output/bytes"), sent, "{plan}");
        assert_eq!(driver.attribute("input/bytes"), received, "{plan}");
    }
}
