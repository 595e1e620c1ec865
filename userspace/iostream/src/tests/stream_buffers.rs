// SPDX-License-Identifier: MIT OR Apache-2.0

//! Taking, filling, sending and adding buffers.

use std::time::Duration;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::mode;
use crate::tests::stream_loopback::{StreamLoopback, CONTROL_BYTES, DATA_BYTES};
use crate::{uapi, Error, Wake};

#[derive(Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Stamp {
    sequence: u64,
    nanoseconds: u64,
}

#[test]
fn an_output_buffer_is_read_in_place_and_goes_back_when_dropped() {
    let (mut driver, mut stream) = StreamLoopback::new::<mode::Read>(4, 4);
    assert!(stream.next().unwrap().is_none());
    driver.send(2, b"frame", b"");
    let buffer = stream.next().unwrap().unwrap();
    assert_eq!(
        (&*buffer, buffer.id(), buffer.frame()),
        (&b"frame"[..], 2, 0)
    );
    assert_eq!(
        (buffer.data_range(), buffer.area().len()),
        (0..5, DATA_BYTES)
    );
    assert!(driver.receive().is_none());
    drop(buffer);
    let back = driver.receive().unwrap();
    assert_eq!((back.buffer, back.flags, back.data_len), (2, 0, 0));
    assert_eq!(stream.dequeue().unwrap_err(), Error::Empty);
}

#[test]
fn many_are_held_and_go_back_in_any_order() {
    let (mut driver, mut stream) = StreamLoopback::new::<mode::Read>(4, 4);
    for id in 0..4 {
        driver.send(id, &[id as u8; 100], b"");
    }
    let mut held: Vec<_> = (0..4).map(|_| stream.dequeue().unwrap()).collect();
    for i in [1, 2, 0, 0] {
        let buffer = held.remove(i);
        assert_eq!(&*buffer, &[buffer.id() as u8; 100]);
    }
    let order: Vec<u32> = std::iter::from_fn(|| driver.receive())
        .map(|descriptor| descriptor.buffer)
        .collect();
    assert_eq!(order, [1, 3, 0, 2]);
}

#[test]
fn control_data_are_typed_by_the_user() {
    let (mut driver, mut stream) = StreamLoopback::new::<mode::Read>(1, 1);
    let stamp = Stamp {
        sequence: 7,
        nanoseconds: 1 << 40,
    };
    driver.send(0, b"", stamp.as_bytes());
    let buffer = stream.dequeue().unwrap();
    assert_eq!(buffer.control(), stamp.as_bytes());
    assert_eq!(buffer.control_as::<Stamp>(), Ok(&stamp));
    let found = size_of::<Stamp>();
    let needed = size_of::<[u64; 3]>();
    assert_eq!(
        buffer.control_as::<[u64; 3]>(),
        Err(Error::ControlSize { needed, found })
    );
    drop(buffer);
    // An offset that is valid but not aligned for the type.
    let mut descriptor = driver.descriptor(0, 0, 16);
    descriptor.control_offset = 4;
    driver.send_raw(&descriptor);
    let buffer = stream.dequeue().unwrap();
    let error = buffer.control_as::<Stamp>().unwrap_err();
    assert!(matches!(error, Error::InvalidArgument(_)));
}

#[test]
fn the_client_has_all_buffers_of_an_input_stream() {
    let (mut driver, mut stream) = StreamLoopback::new::<mode::Write>(3, 3);
    let mut held: Vec<_> = (0..3).map(|_| stream.buffer().unwrap()).collect();
    assert_eq!(stream.buffer().unwrap_err(), Error::Empty);
    // A dropped buffer is unused again, and the driver does not learn of it.
    let id = held.pop().unwrap().id();
    let mut buffer = stream.buffer().unwrap();
    assert_eq!((buffer.id(), buffer.len()), (id, DATA_BYTES));
    assert!(driver.receive().is_none());

    buffer[..4].copy_from_slice(b"data");
    buffer.write_control(&9_u64).unwrap();
    buffer.send(4).unwrap();
    let sent = driver.receive().unwrap();
    assert_eq!((sent.buffer, sent.data_len, sent.control_len), (id, 4, 8));
    assert_eq!(driver.data(id, 4), b"data");
    assert_eq!(driver.control(id, 8), 9_u64.to_ne_bytes());

    // A buffer that the driver returns can be used like a new one.
    driver.send(id, b"", b"");
    let buffer = stream.buffer().unwrap();
    assert_eq!((buffer.id(), buffer.control().len()), (id, 0));
    buffer.send_range(10..30).unwrap();
    let sent = driver.receive().unwrap();
    assert_eq!((sent.data_offset, sent.data_len, sent.frame), (10, 20, 1));
}

#[test]
fn what_an_input_stream_cannot_send_stays_here() {
    let (mut driver, mut stream) = StreamLoopback::new::<mode::Write>(1, 1);
    let (end, max) = (DATA_BYTES + 1, DATA_BYTES as u32);
    let error = stream.buffer().unwrap().send(end).unwrap_err();
    assert_eq!(error, Error::OutOfRange { start: 0, end, max });
    #[expect(clippy::reversed_empty_ranges, reason = "it is the bad input")]
    let error = stream.buffer().unwrap().send_range(2..1).unwrap_err();
    let (start, end) = (2, 1);
    assert_eq!(error, Error::OutOfRange { start, end, max });
    let mut buffer = stream.buffer().unwrap();
    let (start, end) = (1, CONTROL_BYTES + 1);
    let range = start..end;
    let max = CONTROL_BYTES as u32;
    let error = buffer.set_control_range(range).unwrap_err();
    assert_eq!(error, Error::OutOfRange { start, end, max });
    let error = buffer
        .write_control(&[0_u8; CONTROL_BYTES + 1])
        .unwrap_err();
    let (needed, found) = (CONTROL_BYTES + 1, CONTROL_BYTES);
    assert_eq!(error, Error::ControlSize { needed, found });
    assert!(driver.receive().is_none());
    driver.go();
    assert_eq!(buffer.send(1), Err(Error::Gone));
    assert!(stream.buffer().is_ok());
}

#[test]
fn an_input_output_buffer_is_changed_and_sent_on() {
    let (mut driver, mut stream) = StreamLoopback::new::<mode::Duplex>(2, 2);
    let mut descriptor = driver.descriptor(1, 3, 0);
    descriptor.data_offset = 8;
    driver.send(1, b"........abc", b"");
    let mut buffer = stream.dequeue().unwrap();
    buffer.make_ascii_uppercase();
    buffer.send(9).unwrap();
    assert_eq!(driver.data(1, 11), b"........ABC");
    assert_eq!(driver.receive().unwrap().data_len, 9);
    // A length counts from the start of the range that the driver sent.
    driver.send_raw(&descriptor);
    let buffer = stream.dequeue().unwrap();
    assert_eq!(&*buffer, b"ABC");
    buffer.send(2).unwrap();
    let sent = driver.receive().unwrap();
    assert_eq!((sent.data_offset, sent.data_len), (8, 2));
    // A buffer that arrives empty is filled by the client.
    driver.send(0, b"", b"");
    let mut buffer = stream.dequeue().unwrap();
    assert!(buffer.is_empty());
    buffer.set_data_range(4..6).unwrap();
    buffer.copy_from_slice(b"yz");
    buffer.send(2).unwrap();
    assert_eq!(driver.data(0, 6)[4..], *b"yz");
    let sent = driver.receive().unwrap();
    assert_eq!((sent.data_offset, sent.data_len), (4, 2));
    // A dropped buffer goes back as unused.
    driver.send_raw(&descriptor);
    drop(stream.dequeue().unwrap());
    let back = driver.receive().unwrap();
    assert_eq!(back.flags, uapi::IOSTREAM_DESCRIPTOR_UNUSED);
    assert_eq!((back.data_offset, back.data_len), (0, 0));
}

#[test]
fn added_buffers_are_mapped_when_asked_for() {
    let (mut driver, mut stream) = StreamLoopback::new::<mode::Read>(1, 3);
    assert!(!stream.has_new_buffers());
    driver.add_buffer();
    assert!(stream.has_new_buffers());
    assert_eq!((stream.refresh(), stream.buffer_count()), (Ok(1), 2));
    assert!(!stream.has_new_buffers());
    driver.send(1, b"new", b"");
    assert_eq!(&*stream.dequeue().unwrap(), b"new");
    // They are also mapped when one of them arrives.
    driver.add_buffer();
    driver.send(2, b"newer", b"");
    assert_eq!(&*stream.dequeue().unwrap(), b"newer");
    assert_eq!(stream.refresh(), Ok(0));
}

#[test]
fn added_buffers_of_an_input_stream_are_free() {
    let (driver, mut stream) = StreamLoopback::new::<mode::Write>(1, 2);
    let first = stream.buffer().unwrap();
    driver.add_buffer();
    assert_eq!(stream.refresh(), Ok(1));
    assert_ne!(stream.buffer().unwrap().id(), first.id());
}

#[test]
fn busy_sides_make_no_system_call() {
    let (mut driver, mut stream) = StreamLoopback::new::<mode::Duplex>(2, 2);
    let before = (stream.system_calls(), driver.queue_calls());
    for _ in 0..1000 {
        driver.send(0, b"x", b"");
        driver.send(1, b"y", b"");
        let first = stream.dequeue().unwrap();
        stream.dequeue().unwrap().send(1).unwrap();
        drop(first);
        assert!(driver.receive().is_some() && driver.receive().is_some());
    }
    assert_eq!((stream.system_calls(), driver.queue_calls()), before);
}

#[test]
fn a_driver_that_waits_is_notified_and_one_that_does_not_is_not() {
    let (mut driver, mut stream) = StreamLoopback::new::<mode::Write>(4, 4);
    stream.buffer().unwrap().send(1).unwrap();
    assert_eq!(driver.notified(), 0);
    assert!(driver.receive().is_some());
    driver.wait_for_input();
    stream.buffer().unwrap().send(1).unwrap();
    assert_eq!(driver.notified(), 1);
    assert!(driver.receive().is_some());
    // `notify` notifies once for everything that was sent with `Suppress`.
    driver.wait_for_input();
    let buffer = stream.buffer().unwrap();
    buffer.send_with(1, Wake::Suppress).unwrap();
    assert_eq!((driver.notified(), driver.take_calls().len()), (1, 0));
    assert_eq!(stream.notify(7), Ok(true));
    assert_eq!(stream.notify(8), Ok(false));
    stream.force_notify(9).unwrap();
    stream.notify_sync(10).unwrap();
    assert_eq!(
        driver.take_calls(),
        [("input", 7), ("input", 9), ("input_sync", 10)]
    );
    assert_eq!(driver.notified(), 1);
}

#[test]
fn what_the_driver_says_of_a_frame_is_not_said_back() {
    let (mut driver, mut stream) = StreamLoopback::new::<mode::Duplex>(1, 1);
    let mut descriptor = driver.descriptor(0, 4, 0);
    descriptor.flags = !uapi::IOSTREAM_DESCRIPTOR_DISCARDED;
    descriptor.frame = 1 << 40;
    descriptor.timestamp_ns = u64::MAX;
    descriptor.lost = 1 << 50;
    descriptor.status = -5;
    descriptor.reserved = [1, 2, 3];
    driver.send_raw(&descriptor);
    let buffer = stream.dequeue().unwrap();
    assert_eq!((buffer.frame(), buffer.lost()), (1 << 40, 1 << 50));
    assert_eq!(buffer.timestamp(), Duration::from_nanos(u64::MAX));
    assert_eq!((buffer.flags(), buffer.status()), (descriptor.flags, -5));
    assert_eq!(
        (buffer.is_discontinuous(), buffer.is_discarded()),
        (true, false)
    );
    buffer.send(4).unwrap();
    let back = driver.receive().unwrap();
    assert_eq!((back.flags, back.frame, back.timestamp_ns), (0, 0, 0));
    assert_eq!((back.lost, back.status, back.reserved), (0, 0, [0; 3]));
}
