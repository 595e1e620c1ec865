// SPDX-License-Identifier: MIT OR Apache-2.0

//! U-03: buffers are values that go back when they are dropped or sent.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::*;
use std::sync::mpsc::channel;

use iostream::{DuplexStream, Error, ReadStream, WriteStream};
use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::clause::{count, Clause};
use crate::support::driver::{entry, Driver};
use crate::support::system_calls::SystemCalls;

pub const CLAUSES: &[Clause] = &[
    Clause::new("U-03/derefs-to-its-bytes", derefs_to_its_bytes),
    Clause::new("U-03/control-data-typed", control_data_typed),
    Clause::new("U-03/back-when-dropped", back_when_dropped),
    Clause::new("U-03/many-in-any-order", many_in_any_order),
    Clause::new("U-03/sent", sent),
    Clause::new("U-03/unsent-is-free-again", unsent_is_free_again),
    Clause::new("U-03/out-of-range", out_of_range),
    Clause::new("U-03/input-output", input_output),
    Clause::new("U-03/from-any-thread", from_any_thread),
    Clause::slow("U-03/busy-sides-make-no-call", 120, busy_sides_make_no_call),
];

fn derefs_to_its_bytes() {
    let driver = Driver::stream("output 2 10000");
    let mut stream = ReadStream::open("selftest").unwrap();
    stream.start().unwrap();
    driver.command("take");
    let id = driver.log("id");
    driver.command(&format!("fill {id} 5 100 9000"));
    driver.command(&format!("range {id} 100 9000"));
    driver.command(&format!("send {id}"));
    let buffer = stream.dequeue().unwrap();
    assert_eq!(
        (u64::from(buffer.id()), buffer.data_range()),
        (id, 100..9100)
    );
    assert_eq!(&*buffer, entry(5, 9000));
    assert_eq!(&buffer.area()[100..9100], &*buffer);
}

#[derive(Debug, PartialEq, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Control {
    first: u32,
    second: [u8; 4],
}

fn control_data_typed() {
    let driver = Driver::stream("output 1 64 control=32");
    let mut stream = ReadStream::open("selftest").unwrap();
    stream.start().unwrap();
    driver.command("take");
    driver.command("fill-control 0 1 8 8");
    driver.command("control-range 0 8 8");
    driver.command("send 0");
    let buffer = stream.dequeue().unwrap();
    assert_eq!(buffer.control(), entry(1, 8));
    let expected = Control {
        first: u32::from_ne_bytes([1, 2, 3, 4]),
        second: [5, 6, 7, 8],
    };
    assert_eq!(buffer.control_as::<Control>(), Ok(&expected));
    let (needed, found) = (9, 8);
    let error = buffer.control_as::<[u8; 9]>().unwrap_err();
    assert_eq!(error, Error::ControlSize { needed, found });
}

fn back_when_dropped() {
    let driver = Driver::stream("output 1 64");
    let mut stream = ReadStream::open("selftest").unwrap();
    stream.start().unwrap();
    for _ in 0..100 {
        driver.command("produce 1 8");
        let buffer = stream.dequeue().unwrap();
        assert_eq!(driver.shown("buffers_where"), "c");
        drop(buffer);
    }
    let counters = stream.control().counters();
    assert_eq!(counters.sent, 100);
    assert_eq!((counters.rejected_owner, counters.rejected_flags), (0, 0));
}

fn many_in_any_order() {
    let driver = Driver::stream("output 64 64");
    let mut stream = ReadStream::open("selftest").unwrap();
    stream.start().unwrap();
    for round in 0..10_u64 {
        driver.command("produce 64 8");
        let mut held: Vec<_> = (0..64).map(|_| stream.dequeue().unwrap()).collect();
        for (i, buffer) in held.iter().enumerate() {
            assert_eq!(&**buffer, entry(i as u64, 8));
        }
        held.sort_by_key(|buffer| (u64::from(buffer.id()) * 37 + round) % 64);
        held.truncate(30);
    }
}

fn sent() {
    let driver = Driver::stream("input 3 5000 control=16");
    let mut stream = WriteStream::open("selftest").unwrap();
    stream.start().unwrap();
    for i in 0..50_u64 {
        let mut buffer = stream.buffer().unwrap();
        buffer[..10].copy_from_slice(&[3; 10]);
        buffer.write_control(&[2_u8; 5]).unwrap();
        let id = u64::from(buffer.id());
        buffer.send(10).unwrap();
        driver.command("receive");
        let told = |key| driver.log(key);
        assert_eq!((told("id"), told("sum"), told("control_sum")), (id, 30, 10));
        assert_eq!(told("frame"), i);
        driver.command(&format!("release {id}"));
        driver.fails("receive", rustix::io::Errno::NODATA);
    }
    let mut buffer = stream.buffer().unwrap();
    buffer[100..104].copy_from_slice(&[1; 4]);
    buffer.send_range(100..104).unwrap();
    driver.command("receive");
    assert_eq!(driver.log("sum"), 4);
}

fn unsent_is_free_again() {
    let driver = Driver::stream("input 1 64");
    let mut stream = WriteStream::open("selftest").unwrap();
    stream.start().unwrap();
    for _ in 0..10 {
        let buffer = stream.buffer().unwrap();
        assert_eq!(stream.buffer().unwrap_err(), Error::Empty);
        drop(buffer);
    }
    assert_eq!(stream.control().counters().received, 0);
    driver.fails("receive", rustix::io::Errno::NODATA);
}

fn out_of_range() {
    let driver = Driver::stream("input 1 64");
    let mut stream = WriteStream::open("selftest").unwrap();
    stream.start().unwrap();
    let (start, end, max) = (0, 65, 64);
    let error = stream.buffer().unwrap().send(65).unwrap_err();
    assert_eq!(error, Error::OutOfRange { start, end, max });
    let (start, end) = (60, 65);
    let error = stream.buffer().unwrap().send_range(60..65).unwrap_err();
    assert_eq!(error, Error::OutOfRange { start, end, max });
    driver.fails("receive", rustix::io::Errno::NODATA);
    assert_eq!(stream.control().counters().rejected_range, 0);
    stream.buffer().unwrap().send(64).unwrap();
    driver.command("receive");
}

fn input_output() {
    let driver = Driver::stream("input-output 2 1000");
    driver.command("auto echo");
    let mut stream = DuplexStream::open("selftest").unwrap();
    stream.start().unwrap();
    driver.command("produce 1 4");
    let mut buffer = stream.dequeue_wait(None).unwrap();
    assert_eq!(&*buffer, entry(0, 4));
    for round in 0..100_u8 {
        buffer.set_data_range(0..10).unwrap();
        buffer.fill(round);
        buffer.send(10).unwrap();
        buffer = stream.dequeue_wait(None).unwrap();
        assert_eq!(&*buffer, [!round; 10]);
    }
    // A buffer that is dropped unsent is free again.
    drop(buffer);
    assert_eq!(stream.dequeue().unwrap_err(), Error::Empty);
}

fn from_any_thread() {
    let driver = Driver::stream("output 32 64");
    driver.command("auto produce 64");
    let mut stream = ReadStream::open("selftest").unwrap();
    let total = count(20_000);
    stream.start().unwrap();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let (send, receive) = channel::<iostream::Buffer<_>>();
                scope.spawn(move || {
                    receive
                        .iter()
                        .map(|buffer| u64::from(buffer[0]))
                        .sum::<u64>()
                });
                send
            })
            .collect();
        for i in 0..total {
            let buffer = stream.dequeue_wait(None).unwrap();
            assert_eq!(buffer.frame(), i);
            workers[i as usize % 4].send(buffer).unwrap();
        }
    });
    let counters = stream.control().counters();
    assert!(counters.received >= total - 32, "{counters:?}");
    assert_eq!((counters.rejected_owner, counters.rejected_id), (0, 0));
}

/// The driver sends in another thread. It sends the next buffers when all those before have come
/// back, so that it always finds free ones: it is as busy as can be.
fn busy_sides_make_no_call() {
    let driver = Driver::stream("output 16 4096");
    let mut stream = ReadStream::open("selftest").unwrap();
    // It looks until there is a buffer, however long the other thread has to wait for a processor.
    stream.set_spin(u32::MAX);
    stream.start().unwrap();
    let total = count(20_000);
    let returned = AtomicU64::new(0);
    let calls = std::thread::scope(|scope| {
        scope.spawn(|| {
            for sent in (0..total).step_by(8) {
                while returned.load(Acquire) < sent {
                    std::thread::yield_now();
                }
                driver.command("produce 8 64");
            }
        });
        // The driver has not looked yet, so it is told of the first one that comes back.
        drop(stream.dequeue_wait(None).unwrap());
        returned.store(1, Release);
        let calls = SystemCalls::of_this_thread();
        for i in 2..=total {
            drop(stream.dequeue_wait(None).unwrap());
            returned.store(i, Release);
        }
        calls.count()
    });
    assert_eq!(calls, 0, "for {total} buffers");
}
