// SPDX-License-Identifier: MIT OR Apache-2.0

//! Waiting for buffers.

use std::ops::ControlFlow;
use std::thread;
use std::time::Duration;

use crate::mode;
use crate::tests::stream_loopback::StreamLoopback;
use crate::{uapi, Error};

const SHORT: Option<Duration> = Some(Duration::from_millis(5));

#[test]
fn a_wait_ends_with_a_buffer_or_in_time() {
    let (mut driver, mut stream) = StreamLoopback::new::<mode::Read>(1, 1);
    assert_eq!(stream.dequeue_wait(SHORT).unwrap_err(), Error::TimedOut);
    thread::scope(|scope| {
        scope.spawn(|| driver.send(0, b"late", b""));
        assert_eq!(&*stream.dequeue_wait(None).unwrap(), b"late");
    });
}

#[test]
fn a_wait_ends_when_the_stream_is_stopped_or_gone() {
    let (mut driver, mut stream) = StreamLoopback::new::<mode::Read>(2, 2);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| stream.wait(None));
        driver.set_state(uapi::IOSTREAM_STATE_STOPPED);
        assert_eq!(waiting.join().unwrap(), Err(Error::NotRunning));
    });
    driver.send(0, b"left", b"");
    assert_eq!(&*stream.dequeue_wait(None).unwrap(), b"left");
    driver.go();
    driver.set_state(uapi::IOSTREAM_STATE_RUNNING);
    assert_eq!(stream.dequeue_wait(None).unwrap_err(), Error::Gone);
}

#[test]
fn a_buffer_that_another_thread_frees_ends_the_wait() {
    let (_driver, mut stream) = StreamLoopback::new::<mode::Write>(1, 1);
    stream.set_spin(0);
    for _ in 0..200 {
        let buffer = stream.buffer().unwrap();
        thread::scope(|scope| {
            scope.spawn(move || drop(buffer));
            assert!(stream.buffer_wait(None).is_ok());
        });
    }
    let _held = stream.buffer().unwrap();
    assert_eq!(stream.buffer_wait(SHORT).unwrap_err(), Error::TimedOut);
}

#[test]
fn an_iterator_ends_with_the_stream() {
    let (mut driver, stream) = StreamLoopback::new::<mode::Read>(3, 3);
    for id in 0..3 {
        driver.send(id, &[id as u8], b"");
    }
    driver.set_state(uapi::IOSTREAM_STATE_STOPPED);
    let bytes: Vec<u8> = stream.into_iter().map(|b| b.unwrap()[0]).collect();
    assert_eq!(bytes, [0, 1, 2]);
}

#[test]
fn a_callback_gets_buffers_until_it_breaks() {
    let (mut driver, mut stream) = StreamLoopback::new::<mode::Read>(3, 3);
    for id in 0..3 {
        driver.send(id, &[id as u8], b"");
    }
    let mut seen = Vec::new();
    let value = stream.for_each(|buffer| {
        seen.push(buffer[0]);
        match buffer[0] {
            1 => ControlFlow::Break("enough"),
            _ => ControlFlow::Continue(()),
        }
    });
    assert_eq!((value, seen), (Ok("enough"), vec![0, 1]));
    assert_eq!(&*stream.dequeue().unwrap(), [2]);
}
