// SPDX-License-Identifier: MIT OR Apache-2.0

//! U-08: safe code cannot make the crate unsound.
//!
//! Code that must not compile is in the crate's documentation; invalid descriptors are in its unit
//! tests.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;

use iostream::{DuplexStream, Error, OpenError, ReadStream, Session, Setup, WriteStream};
use rustix::io::Errno;

use crate::clause::{count, Clause};
use crate::support::driver::{entry, Driver};
use crate::support::process::in_own_child;
use crate::support::waiting::wait_until;

pub const CLAUSES: &[Clause] = &[
    Clause::new("U-08/forgotten-buffers", forgotten_buffers),
    Clause::new("U-08/forgotten-stream", forgotten_stream),
    Clause::new("U-08/held-after-drop", held_after_drop),
    Clause::new("U-08/held-after-removal", held_after_removal),
    Clause::new("U-08/cloned-descriptor", cloned_descriptor),
    Clause::new("U-08/no-two-of-one", no_two_of_one),
    Clause::new("U-08/threads-and-stops", threads_and_stops),
    Clause::new(
        "U-08/held-slice-survives-anothers-reset",
        held_slice_survives,
    ),
];

fn forgotten_buffers() {
    let driver = Driver::stream("input-output 3 64");
    let mut stream = DuplexStream::open("selftest").unwrap();
    stream.start().unwrap();
    driver.command("produce 3 8");
    for _ in 0..2 {
        std::mem::forget(stream.dequeue().unwrap());
    }
    // The other buffers keep moving, and the forgotten ones do not appear again.
    let mut ids = HashSet::from([stream.dequeue().unwrap().id()]);
    // The driver looks for returned buffers.
    let looks = || driver.fails("receive", Errno::NODATA);
    for _ in 0..10 {
        looks();
        driver.command("produce 1 8");
        ids.insert(stream.dequeue().unwrap().id());
    }
    assert_eq!(ids.len(), 1);
    looks();
    driver.command("take");
    driver.fails("take", Errno::NOSPC);
}

fn is_busy() -> bool {
    let opened = ReadStream::open("selftest");
    matches!(opened, Err(OpenError::Other(Error::Busy(_))))
}

fn forgotten_stream() {
    let driver = Driver::stream("output 1 64");
    let stream = ReadStream::open("selftest").unwrap();
    std::mem::forget(stream);
    assert!(is_busy());
    assert_eq!(driver.attribute("sessions"), 1);
}

fn held_after_drop() {
    let driver = Driver::stream("input-output 2 64");
    let mut stream = DuplexStream::open("selftest").unwrap();
    stream.start().unwrap();
    driver.command("produce 2 8");
    let mut held = stream.dequeue().unwrap();
    let sent = stream.dequeue().unwrap();
    drop(stream);
    assert_eq!(sent.send(8), Err(Error::Closed));
    assert_eq!(&*held, entry(0, 8));
    held.fill(1);
    assert_eq!(&*held, [1; 8]);
    assert!(is_busy());
    drop(held);
    wait_until("closed", || driver.attribute("sessions") == 0);
}

fn held_after_removal() {
    let driver = Driver::stream("input-output 2 64");
    let mut stream = DuplexStream::open("selftest").unwrap();
    stream.start().unwrap();
    driver.command("produce 2 8");
    let mut held = stream.dequeue().unwrap();
    driver.unpublish();
    // Buffers that were sent before the removal are there, and held ones stay valid.
    let second = stream.dequeue_wait(None).unwrap();
    assert_eq!(stream.dequeue_wait(None).unwrap_err(), Error::Gone);
    assert_eq!((&*held, &*second), (&*entry(0, 8), &*entry(1, 8)));
    held.fill(1);
    assert_eq!(second.send(8), Err(Error::Gone));
    drop(stream);
    assert_eq!(&*held, [1; 8]);
}

/// read(2), write(2) and further ends, through a copy of the descriptor.
fn cloned_descriptor() {
    let driver = Driver::stream("input-output 2 64");
    let mut stream = DuplexStream::open("selftest").unwrap();
    stream.start().unwrap();
    driver.command("produce 1 8");
    let buffer = stream.dequeue().unwrap();
    driver.command("produce 1 8");
    let copy = stream.as_fd().try_clone_to_owned().unwrap();
    let mut file = File::from(copy.try_clone().unwrap());
    let error = file.read(&mut [0; 64]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EBUSY));
    let error = file.write(&[0; 64]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EBUSY));
    let session = Session::from_fd(copy).unwrap();
    assert!(matches!(session.consumer(), Err(Error::InvalidArgument(_))));
    assert!(matches!(session.producer(), Err(Error::InvalidArgument(_))));
    let again = DuplexStream::from_session(session);
    assert!(matches!(again, Err(Error::Busy(_))));
    assert_eq!(&*buffer, entry(0, 8));
    assert!(stream.dequeue().is_ok());
}

/// However buffers are taken and returned, a buffer has at most one value.
fn no_two_of_one() {
    let driver = Driver::stream("input 8 64");
    driver.command("auto consume");
    let mut stream = WriteStream::open("selftest").unwrap();
    stream.start().unwrap();
    let mut random = iostream_raw::Random::seeded();
    let mut held: Vec<iostream::Buffer<_>> = Vec::new();
    for _ in 0..count(20_000) {
        match random.below(3) {
            0 if !held.is_empty() => {
                let i = random.below(held.len() as u64) as usize;
                held.swap_remove(i).send(1).unwrap();
            }
            1 if !held.is_empty() => {
                let i = random.below(held.len() as u64) as usize;
                drop(held.swap_remove(i));
            }
            _ => held.extend(stream.buffer().ok()),
        }
        let ids: HashSet<u32> = held.iter().map(|buffer| buffer.id()).collect();
        assert_eq!(ids.len(), held.len());
    }
    let counters = stream.control().counters();
    assert_eq!((counters.rejected_owner, counters.rejected_id), (0, 0));
}

/// Buffers are received, returned by other threads and discarded by stops, all at the same time.
fn threads_and_stops() {
    let driver = Driver::stream("output 16 64");
    driver.command("auto produce 64");
    let mut stream = ReadStream::open("selftest").unwrap();
    stream.start().unwrap();
    let control = stream.control();
    let done = std::sync::atomic::AtomicBool::new(false);
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    std::thread::scope(|scope| {
        let (give, take) = std::sync::mpsc::channel::<iostream::Buffer<_>>();
        scope.spawn(move || {
            for buffer in take {
                assert!(buffer
                    .windows(2)
                    .all(|pair| pair[1] == pair[0].wrapping_add(1)));
            }
        });
        scope.spawn(|| {
            for _ in 0..count(500) {
                let _ = control.stop(iostream::Stop::Discard);
                control.start().unwrap();
            }
            done.store(true, relaxed);
        });
        let mut last = None;
        while !done.load(relaxed) {
            match stream.next().unwrap() {
                Some(buffer) => {
                    assert!(last < Some(buffer.frame()), "in order");
                    last = Some(buffer.frame());
                    give.send(buffer).unwrap();
                }
                None => std::thread::yield_now(),
            }
        }
        drop(give);
    });
    let counters = stream.control().counters();
    assert_eq!((counters.rejected_owner, counters.rejected_flags), (0, 0));
}

/// Another process resets the queue whose entry is held as a slice: it is refused, and the kernel
/// writes the next entries elsewhere.
fn held_slice_survives() {
    let session = Setup::echo().open().unwrap();
    let (mut producer, mut consumer) = (session.producer().unwrap(), session.consumer().unwrap());
    producer.enqueue(&[1; 64]).unwrap();
    let entry = consumer.dequeue_wait(None).unwrap();
    let copy = session.as_fd().try_clone_to_owned().unwrap();
    in_own_child(|| {
        let raw = iostream_raw::Session::from_fd(copy);
        for direction in [iostream_raw::OUTPUT, iostream_raw::INPUT] {
            assert_eq!(raw.reset(direction), Err(Errno::BUSY));
        }
    });
    for _ in 0..8 {
        producer.enqueue(&[2; 64]).unwrap();
    }
    assert_eq!(*entry, [1; 64]);
    drop(entry);
    assert_eq!(*consumer.dequeue_wait(None).unwrap(), [2; 64]);
    // The owner can still do it.
    consumer.reset().unwrap();
    producer.enqueue(&[3; 64]).unwrap();
    assert_eq!(*consumer.dequeue_wait(None).unwrap(), [3; 64]);
}
