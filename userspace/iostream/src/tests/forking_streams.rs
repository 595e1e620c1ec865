// SPDX-License-Identifier: MIT OR Apache-2.0

//! Streams after a fork.

use std::io::{BufRead, Write};
use std::time::Duration;

use super::forking::{assert_forked, child_passes, child_without_handlers_passes, inner};
use super::stream_loopback::StreamLoopback;
use crate::mode;
use crate::{Error, Stop, Stream, StreamCounters, StreamState, Wake};

/// The results of each operation of a stream that can fail.
fn use_stream(stream: &mut Stream<mode::Duplex>) -> Vec<Result<(), Error>> {
    let control = stream.control();
    vec![
        stream.dequeue().map(drop),
        stream.dequeue_wait(Some(Duration::ZERO)).map(drop),
        stream.next().map(drop),
        stream.wait(Some(Duration::ZERO)),
        stream.start(),
        stream.suspend(),
        stream.stop(Stop::Discard).map(drop),
        stream.info().map(drop),
        stream.refresh().map(drop),
        stream.notify(0).map(drop),
        stream.force_notify(0),
        stream.notify_sync(0),
        stream.sender().set_eventfd(None),
        stream.receiver().set_eventfd(None),
        stream.receiver().set_watermark(1, Duration::ZERO),
        stream.receiver().arm().map(drop),
        control.start(),
        control.mode().map(drop),
    ]
}

fn assert_inherited(stream: &mut Stream<mode::Duplex>) {
    assert_forked(use_stream(stream));
    let control = stream.control();
    assert_eq!(control.state(), StreamState::Stopped);
    assert_eq!(control.counters(), StreamCounters::default());
    assert_eq!(control.input_counters(), Default::default());
    assert!(!control.has_new_buffers());
    assert_eq!(control.buffer_count(), 2);
}

#[test]
fn a_stream_fails_in_a_child() {
    let (mut driver, mut stream) = StreamLoopback::new::<mode::Duplex>(2, 2);
    driver.send(0, b"before", b"");
    assert!(child_passes(|| {
        assert_inherited(&mut stream);
        assert!(driver.take_calls().is_empty());
    }));
    assert_eq!(&*stream.dequeue().unwrap(), b"before");
}

#[test]
fn a_stream_fails_in_a_child_without_handlers() {
    // In a process of one thread, which holds no lock.
    assert!(child_passes(|| {
        let (mut driver, stream) = StreamLoopback::new::<mode::Duplex>(2, 2);
        driver.send(0, b"before", b"");
        let mut stream = Some(stream);
        assert!(child_without_handlers_passes(|| {
            let mut stream = stream.take().unwrap();
            assert_inherited(&mut stream);
            drop(stream);
            assert!(driver.take_calls().is_empty());
        }));
        assert_eq!(&*stream.unwrap().dequeue().unwrap(), b"before");
    }));
}

#[test]
fn dropping_a_stream_in_a_child_does_not_stop_it() {
    let (mut driver, stream) = StreamLoopback::new::<mode::Duplex>(2, 2);
    driver.send(0, b"held", b"");
    driver.send(1, b"more", b"");
    let mut stream = Some(stream);
    let mut held = stream.as_mut().unwrap().dequeue().ok();
    assert!(child_passes(|| {
        drop(stream.take());
        drop(held.take());
        assert!(driver.take_calls().is_empty());
    }));
    assert!(driver.receive().is_none());
    assert_eq!(&*held.unwrap(), b"held");
    assert_eq!(&*stream.unwrap().dequeue().unwrap(), b"more");
}

#[test]
fn held_buffers_keep_their_bytes_in_a_child() {
    let (mut driver, mut stream) = StreamLoopback::new::<mode::Duplex>(3, 3);
    driver.send(1, b"first", b"1");
    driver.send(2, b"second", b"22");
    let (first, second) = (stream.dequeue().unwrap(), stream.dequeue().unwrap());
    let mut buffers = Some((first, second));
    assert!(child_passes(|| {
        let (mut first, second) = buffers.take().unwrap();
        assert_eq!((&*first, first.control()), (&b"first"[..], &b"1"[..]));
        assert_eq!((&*second, second.control()), (&b"second"[..], &b"22"[..]));
        first.fill(b'x');
        assert_eq!(&*first, b"xxxxx");
        assert_eq!(first.send(5), Err(Error::Forked));
        let sent = stream.sender().send_with(second, 6, Wake::Normal);
        assert_eq!(sent, Err(Error::Forked));
    }));
    let (first, second) = buffers.unwrap();
    assert_eq!((&*first, &*second), (&b"first"[..], &b"second"[..]));
    first.send(5).unwrap();
    assert_eq!(driver.receive().unwrap().buffer, 1);
}

#[test]
fn readers_and_writers_fail_in_a_child() {
    let (mut driver, stream) = StreamLoopback::new::<mode::Read>(1, 1);
    driver.send(0, b"half read", b"");
    let mut reader = stream.into_reader();
    assert_eq!(reader.fill_buf().unwrap(), b"half read");
    reader.consume(5);
    let (sink, stream) = StreamLoopback::new::<mode::Write>(1, 1);
    let mut writer = stream.into_writer();
    writer.write_all(b"half").unwrap();
    assert!(child_passes(|| {
        assert_forked(vec![
            reader.fill_buf().map(drop).map_err(inner),
            writer.write(b" written").map(drop).map_err(inner),
            writer.flush().map_err(inner),
            writer.into_inner().map(drop),
        ]);
        assert!(sink.take_calls().is_empty());
    }));
    assert_eq!(reader.fill_buf().unwrap(), b"read");
}
