// SPDX-License-Identifier: MIT OR Apache-2.0

//! Wakers, and waits that signals may end.
//!
//! A loopback's descriptor is always ready, so its waits do not sleep: that a sleep is ended is
//! tested with a kernel.

use std::io::{BufRead, Read, Write};
use std::time::Duration;

use super::loopback::Loopback;
use super::small;
use super::stream_loopback::StreamLoopback;
use crate::mode;
use crate::{Error, Waker};

const LONG: Option<Duration> = Some(Duration::from_secs(3600));

#[test]
fn a_woken_waker_ends_waits_of_both_ends() {
    let (_loopback, mut producer, mut consumer) = small();
    let waker = Waker::new().unwrap();
    producer.set_waker(Some(waker.clone()));
    consumer.set_waker(Some(waker.clone()));
    while producer.enqueue(&[7; 504]).is_ok() {}
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| producer.enqueue_wait(&[7; 504], LONG));
        waker.wake();
        assert_eq!(waiting.join().unwrap(), Err(Error::Cancelled));
    });
    while consumer.next().unwrap().is_some() {}
    assert_eq!(consumer.wait(LONG), Err(Error::Cancelled));
    assert_eq!(producer.wait_room(8, LONG), Err(Error::Cancelled));
}

#[test]
fn a_woken_waker_ends_waits_for_what_is_there() {
    let (_loopback, mut producer, mut consumer) = small();
    let waker = Waker::new().unwrap();
    producer.set_waker(Some(waker.clone()));
    consumer.set_waker(Some(waker.clone()));
    producer.write_all(b"here").unwrap();
    waker.wake();
    assert!(waker.is_woken());
    assert_eq!(consumer.wait(LONG), Err(Error::Cancelled));
    assert_eq!(consumer.dequeue_wait(LONG).unwrap_err(), Error::Cancelled);
    let never = |_: &crate::Received<'_>| std::ops::ControlFlow::Break(());
    assert_eq!(consumer.for_each(never), Err(Error::Cancelled));
    // An error that `std::io` does not answer by trying again.
    let error = consumer.read_exact(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::Other);
    assert_eq!(producer.enqueue_wait(b"x", LONG), Err(Error::Cancelled));
    // What does not wait works.
    assert_eq!(&*consumer.dequeue().unwrap(), b"here");
    assert_eq!(producer.enqueue(b"next"), Ok(()));
    waker.clear();
    assert!(!waker.is_woken());
    assert_eq!(&*consumer.dequeue_wait(LONG).unwrap(), b"next");
    waker.wake();
    consumer.set_waker(None);
    producer.enqueue(b"last").unwrap();
    assert_eq!(&*consumer.dequeue_wait(LONG).unwrap(), b"last");
}

#[test]
fn a_waker_that_another_process_woke_is_found_by_a_sleep() {
    let (_loopback, _producer, mut consumer) = small();
    let waker = Waker::new().unwrap();
    consumer.set_waker(Some(waker.clone()));
    // A child has a flag of its own, and shares the eventfd alone.
    rustix::io::write(&waker, &1_u64.to_ne_bytes()).unwrap();
    assert!(!waker.is_woken());
    assert_eq!(consumer.wait(LONG), Err(Error::Cancelled));
    assert!(waker.is_woken());
}

#[test]
fn a_waker_ends_waits_of_a_reader_that_lags() {
    let loopback = Loopback::new(rustix::param::page_size() as u64, true);
    let (mut producer, mut reader) = loopback.overwriting();
    let waker = Waker::new().unwrap();
    reader.set_waker(Some(waker.clone()));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| reader.wait(LONG));
        waker.wake();
        assert_eq!(waiting.join().unwrap(), Err(Error::Cancelled));
    });
    producer.push(b"here");
    assert_eq!(reader.wait(LONG), Err(Error::Cancelled));
    waker.clear();
    assert_eq!(reader.wait(LONG), Ok(()));
}

#[test]
fn a_waker_ends_waits_of_streams() {
    let (mut driver, mut stream) = StreamLoopback::new::<mode::Read>(2, 2);
    let waker = Waker::new().unwrap();
    stream.set_waker(Some(waker.clone()));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| stream.dequeue_wait(LONG).map(drop));
        waker.wake();
        assert_eq!(waiting.join().unwrap(), Err(Error::Cancelled));
    });
    driver.send(0, b"here", b"");
    assert_eq!(stream.wait(LONG), Err(Error::Cancelled));
    assert_eq!(stream.dequeue_wait(LONG).unwrap_err(), Error::Cancelled);
    assert_eq!(&*stream.dequeue().unwrap(), b"here");
    let mut reader = stream.into_reader();
    assert!(reader.fill_buf().is_err());

    let (_driver, mut stream) = StreamLoopback::new::<mode::Write>(1, 1);
    stream.set_waker(Some(waker.clone()));
    assert_eq!(stream.buffer_wait(LONG).unwrap_err(), Error::Cancelled);
    waker.clear();
    let _held = stream.buffer_wait(LONG).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| stream.buffer_wait(LONG).map(drop));
        waker.wake();
        assert_eq!(waiting.join().unwrap(), Err(Error::Cancelled));
    });
}

#[test]
fn a_child_of_the_owner_is_told_so_first() {
    let (_loopback, _producer, mut consumer) = small();
    let waker = Waker::new().unwrap();
    consumer.set_waker(Some(waker.clone()));
    waker.wake();
    assert!(super::forking::child_passes(|| {
        assert_eq!(consumer.wait(LONG), Err(Error::Forked));
        assert_eq!(consumer.dequeue_wait(LONG).unwrap_err(), Error::Forked);
    }));
}
