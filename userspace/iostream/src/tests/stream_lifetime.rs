// SPDX-License-Identifier: MIT OR Apache-2.0

//! How long streams, buffers and handles live.

use std::io::{Read, Write};
use std::thread;

use crate::mode;
use crate::tests::stream_loopback::{StreamLoopback, DATA_BYTES};
use crate::{uapi, Error, Stop, StreamState};

fn send_and_sync<T: Send + Sync>() {}

#[test]
fn buffers_go_to_other_threads() {
    send_and_sync::<crate::Buffer<mode::Read>>();
    send_and_sync::<crate::Buffer<mode::Write>>();
    send_and_sync::<crate::Sender<mode::Duplex>>();
    send_and_sync::<crate::Control>();
    let (mut driver, mut stream) = StreamLoopback::new::<mode::Read>(64, 64);
    for round in 0..100_u8 {
        for id in 0..64 {
            driver.send(id, &[round; 64], b"");
        }
        let (first, second): (Vec<_>, Vec<_>) = (0..64)
            .map(|_| stream.dequeue().unwrap())
            .partition(|buffer| buffer.id() % 2 == 0);
        thread::scope(|scope| {
            for half in [first, second] {
                scope.spawn(move || {
                    for buffer in half {
                        assert_eq!(&*buffer, &[round; 64]);
                    }
                });
            }
        });
        let mut ids: Vec<u32> = std::iter::from_fn(|| driver.receive())
            .map(|descriptor| descriptor.buffer)
            .collect();
        ids.sort_unstable();
        assert_eq!(ids, (0..64).collect::<Vec<_>>());
    }
}

#[test]
fn a_buffer_outlives_its_stream() {
    let (mut driver, mut stream) = StreamLoopback::new::<mode::Duplex>(2, 2);
    driver.send(0, b"held", b"");
    driver.send(1, b"held", b"");
    let mut held = stream.dequeue().unwrap();
    let dropped = stream.dequeue().unwrap();
    drop(stream);
    assert_eq!(driver.take_calls(), [("stop", 0)]);
    assert_eq!(&*held, b"held");
    held[0] = b'H';
    assert_eq!(driver.data(0, 4), b"Held");
    drop(dropped);
    assert_eq!(held.send(4), Err(Error::Closed));
    assert!(driver.receive().is_none());
}

#[test]
fn a_stopped_stream_is_not_stopped_again() {
    let (driver, stream) = StreamLoopback::new::<mode::Read>(1, 1);
    driver.set_state(uapi::IOSTREAM_STATE_STOPPED);
    assert_eq!(stream.state(), StreamState::Stopped);
    drop(stream);
    assert!(driver.take_calls().is_empty());
}

#[test]
fn halves_and_handles_keep_the_stream_open() {
    let (mut driver, stream) = StreamLoopback::new::<mode::Duplex>(1, 1);
    let control = stream.control();
    let (mut receiver, sender) = stream.split();
    driver.send(0, b"x", b"");
    let buffer = receiver.dequeue().unwrap();
    drop(receiver);
    drop(control);
    sender.send(buffer, 1).unwrap();
    assert!(driver.receive().is_some() && driver.take_calls().is_empty());
    drop(sender);
    assert_eq!(driver.take_calls(), [("stop", 0)]);
}

#[test]
fn a_sender_takes_buffers_of_its_own_stream_alone() {
    let (mut driver, mut stream) = StreamLoopback::new::<mode::Duplex>(1, 1);
    let (_other_driver, other) = StreamLoopback::new::<mode::Duplex>(1, 1);
    driver.send(0, b"x", b"");
    let error = other.sender().send(stream.dequeue().unwrap(), 1);
    assert!(matches!(error, Err(Error::InvalidArgument(_))));
    // Its own stream has it back.
    assert_eq!(driver.receive().unwrap().buffer, 0);
}

#[test]
fn what_a_stop_discarded_goes_back_unread() {
    let (mut driver, mut stream) = StreamLoopback::new::<mode::Read>(4, 4);
    for id in 0..3 {
        driver.send(id, b"old", b"");
    }
    let held = stream.dequeue().unwrap();
    driver.discard();
    driver.send(3, b"new", b"");
    stream.stop(Stop::Discard).unwrap();
    for id in [1, 2] {
        let back = driver.receive().unwrap();
        assert_eq!(
            (back.buffer, back.flags),
            (id, uapi::IOSTREAM_DESCRIPTOR_UNUSED)
        );
    }
    assert!(driver.receive().is_none());
    assert_eq!(&*held, b"old");
    assert_eq!(&*stream.dequeue().unwrap(), b"new");
    assert_eq!(stream.dequeue().unwrap_err(), Error::Empty);
}

#[test]
fn the_receiver_comes_upon_what_a_stop_discarded() {
    let (mut driver, stream) = StreamLoopback::new::<mode::Duplex>(3, 3);
    let (mut receiver, sender) = stream.split();
    driver.send(0, b"old", b"");
    driver.send(1, b"old", b"");
    driver.discard();
    sender.control().stop(Stop::Discard).unwrap();
    driver.send(2, b"new", b"");
    assert_eq!(&*receiver.dequeue().unwrap(), b"new");
    let back: Vec<u32> = std::iter::from_fn(|| driver.receive())
        .map(|descriptor| descriptor.buffer)
        .collect();
    assert_eq!(back, [0, 1, 2]);
}

#[test]
fn discarded_input_says_so() {
    let (mut driver, mut stream) = StreamLoopback::new::<mode::Write>(1, 1);
    stream.buffer().unwrap().send(1).unwrap();
    let mut back = driver.receive().unwrap();
    back.flags = uapi::IOSTREAM_DESCRIPTOR_DISCARDED;
    driver.send_raw(&back);
    driver.discard();
    assert!(stream.buffer().unwrap().is_discarded());
}

#[test]
fn bytes_are_read_over_the_boundaries_of_buffers() {
    let (mut driver, stream) = StreamLoopback::new::<mode::Read>(3, 3);
    for (id, bytes) in [&b"abc"[..], b"", b"de"].into_iter().enumerate() {
        driver.send(id as u32, bytes, b"");
    }
    driver.set_state(uapi::IOSTREAM_STATE_STOPPED);
    let mut reader = stream.into_reader();
    let mut start = [0; 2];
    reader.read_exact(&mut start).unwrap();
    assert_eq!((&start, driver.receive().is_none()), (b"ab", true));
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "cde");
    let back: Vec<u32> = std::iter::from_fn(|| driver.receive())
        .map(|descriptor| descriptor.buffer)
        .collect();
    assert_eq!(back, [0, 1, 2]);
}

#[test]
fn bytes_are_written_into_one_buffer_after_the_other() {
    let (mut driver, stream) = StreamLoopback::new::<mode::Write>(4, 4);
    let mut writer = stream.into_writer();
    let bytes: Vec<u8> = (0..DATA_BYTES + 10).map(|i| i as u8).collect();
    writer.write_all(&bytes).unwrap();
    let full = driver.receive().unwrap();
    assert_eq!(full.data_len as usize, DATA_BYTES);
    assert_eq!(driver.data(full.buffer, DATA_BYTES), bytes[..DATA_BYTES]);
    assert!(driver.receive().is_none());
    writer.flush().unwrap();
    writer.flush().unwrap();
    assert_eq!(driver.receive().unwrap().data_len, 10);
    writer.write_all(b"end").unwrap();
    drop(writer);
    assert_eq!(driver.receive().unwrap().data_len, 3);
    assert!(driver.receive().is_none());
}
