// SPDX-License-Identifier: MIT OR Apache-2.0

//! Invalid descriptors.

use crate::mode;
use crate::tests::stream_loopback::{StreamLoopback, CONTROL_BYTES, DATA_BYTES};
use crate::uapi::iostream_descriptor;
use crate::Error;

/// Which buffer the error names, and why.
fn bad(error: Error) -> (u32, &'static str) {
    match error {
        Error::BadDescriptor { buffer, why } => (buffer, why),
        other => panic!("{other}"),
    }
}

#[test]
fn ranges_out_of_bounds_are_refused_and_the_buffer_goes_back() {
    let (mut driver, mut stream) = StreamLoopback::new::<mode::Duplex>(2, 2);
    let wrong: [fn(&mut iostream_descriptor); 7] = [
        |d| d.data_len = DATA_BYTES as u32 + 1,
        |d| d.data_offset = DATA_BYTES as u32 + 1,
        |d| (d.data_offset, d.data_len) = (u32::MAX, u32::MAX),
        |d| (d.data_offset, d.data_len) = (1, DATA_BYTES as u32),
        |d| d.control_len = CONTROL_BYTES as u32 + 1,
        |d| d.control_offset = u32::MAX,
        |d| (d.control_offset, d.control_len) = (u32::MAX, 1),
    ];
    for spoil in wrong {
        let mut descriptor = driver.descriptor(1, 0, 0);
        spoil(&mut descriptor);
        driver.send_raw(&descriptor);
        let (buffer, why) = bad(stream.dequeue().unwrap_err());
        assert_eq!(buffer, 1);
        assert!(why.contains("beyond"), "{why}");
        assert_eq!(driver.receive().unwrap().buffer, 1);
    }
    // All that is there is allowed.
    let whole = driver.descriptor(1, DATA_BYTES as u32, CONTROL_BYTES as u32);
    driver.send_raw(&whole);
    assert_eq!(stream.dequeue().unwrap().len(), DATA_BYTES);
}

#[test]
fn a_buffer_that_is_not_there_is_refused() {
    let (mut driver, mut stream) = StreamLoopback::new::<mode::Read>(2, 3);
    for id in [2, 3, 1 << 31, u32::MAX] {
        let descriptor = driver.descriptor(id, 0, 0);
        driver.send_raw(&descriptor);
        let (buffer, why) = bad(stream.dequeue().unwrap_err());
        assert_eq!((buffer, why), (id, "names no buffer"));
    }
    driver.send(0, b"good", b"");
    assert_eq!(&*stream.dequeue().unwrap(), b"good");
}

#[test]
fn there_are_never_two_values_of_one_buffer() {
    let (mut driver, mut stream) = StreamLoopback::new::<mode::Duplex>(2, 2);
    driver.send(0, b"once", b"");
    driver.send(0, b"once", b"");
    let buffer = stream.dequeue().unwrap();
    assert_eq!(bad(stream.dequeue().unwrap_err()).0, 0);
    drop(buffer);
    driver.send(0, b"again", b"");
    assert_eq!(&*stream.dequeue().unwrap(), b"again");
}

#[test]
fn nor_of_one_that_is_free_or_was_forgotten() {
    let (mut driver, mut stream) = StreamLoopback::new::<mode::Write>(2, 2);
    driver.send(0, b"", b"");
    driver.send(1, b"", b"");
    let first = stream.buffer().unwrap();
    let second = stream.buffer().unwrap();
    assert_ne!(first.id(), second.id());
    let id = second.id();
    std::mem::forget(second);
    bad(stream.buffer().unwrap_err());
    bad(stream.buffer().unwrap_err());
    driver.send(id, b"", b"");
    bad(stream.buffer().unwrap_err());
    assert_eq!(stream.buffer().unwrap_err(), Error::Empty);
}

#[test]
fn random_descriptors_make_neither_two_of_one_nor_bytes_of_another() {
    let (mut driver, mut stream) = StreamLoopback::new::<mode::Duplex>(4, 4);
    let mut held = Vec::new();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % below
    };
    let mut taken = 0;
    for _ in 0..20_000 {
        let descriptor = iostream_descriptor {
            buffer: random(6) as u32,
            flags: random(4) as u32,
            data_offset: random(5000) as u32,
            data_len: random(5000) as u32,
            control_offset: random(80) as u32,
            control_len: random(80) as u32,
            frame: random(u64::MAX),
            timestamp_ns: random(u64::MAX),
            lost: random(u64::MAX),
            status: random(1 << 32) as i32,
            reserved: [random(1 << 32) as u32; 3],
        };
        driver.send_raw(&descriptor);
        if let Ok(buffer) = stream.dequeue() {
            assert_eq!(buffer.len(), descriptor.data_len as usize);
            assert!(buffer.data_range().end <= DATA_BYTES);
            assert!(buffer.control().len() <= CONTROL_BYTES);
            taken += 1;
            held.push(buffer);
        }
        let mut ids: Vec<u32> = held.iter().map(|buffer| buffer.id()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), held.len());
        if !held.is_empty() && random(2) == 0 {
            held.remove(random(held.len() as u64) as usize);
        }
        while driver.receive().is_some() {}
    }
    assert!(taken > 100, "{taken}");
}
