// SPDX-License-Identifier: MIT OR Apache-2.0

//! U-05: the ways to receive and to send.

use std::io::{BufRead, Read, Write};
use std::ops::ControlFlow;

use iostream::{DuplexStream, Error, ReadStream, Session, Setup, Stop, WriteStream};
use iostream_raw::check_record;

use crate::clause::Clause;
use crate::support::driver::{entry, Driver};
use crate::support::waiting::woken_by;

pub const CLAUSES: &[Clause] = &[
    Clause::new("U-05/next", next),
    Clause::new(
        "U-05/iterator-ends-when-stopped",
        iterator_ends_when_stopped,
    ),
    Clause::new("U-05/iterator-ends-when-gone", iterator_ends_when_gone),
    Clause::new("U-05/callback-loop", callback_loop),
    Clause::new("U-05/read", read),
    Clause::new("U-05/write", write),
    Clause::new("U-05/writer-drains", writer_drains),
    Clause::new("U-05/split", split),
    Clause::new("U-05/queue-iterator", queue_iterator),
    Clause::new("U-05/queue-callback-loop", queue_callback_loop),
    Clause::new("U-05/typed-entries", typed_entries),
];

fn next() {
    let driver = Driver::stream("output 3 64");
    let mut stream = ReadStream::open("selftest").unwrap();
    stream.start().unwrap();
    driver.command("produce 3 8");
    let mut seen = 0;
    while let Some(buffer) = stream.next().unwrap() {
        assert_eq!(buffer.frame(), seen);
        seen += 1;
    }
    assert_eq!(seen, 3);
}

fn iterator_ends_when_stopped() {
    let driver = Driver::stream("output 3 64");
    let stream = ReadStream::open("selftest").unwrap();
    let control = stream.control();
    stream.start().unwrap();
    driver.command("produce 3 8");
    let mut buffers = stream.into_iter();
    for i in 0..3 {
        assert_eq!(buffers.next().unwrap().unwrap().frame(), i);
    }
    let last = crate::support::waiting::woken_by(
        libc::SYS_ppoll,
        || buffers.next().is_none(),
        || assert!(control.stop(Stop::Discard).is_ok()),
    );
    assert!(last);
}

fn iterator_ends_when_gone() {
    let driver = Driver::stream("output 3 64");
    let stream = ReadStream::open("selftest").unwrap();
    stream.start().unwrap();
    let mut buffers = stream.into_iter();
    let last = crate::support::waiting::woken_by(
        libc::SYS_ppoll,
        || buffers.next().is_none(),
        || driver.unpublish(),
    );
    assert!(last);
}

fn callback_loop() {
    let driver = Driver::stream("output 4 64");
    driver.command("auto produce 8");
    let mut stream = ReadStream::open("selftest").unwrap();
    stream.start().unwrap();
    let mut seen = 0;
    let last = stream.for_each(|buffer| {
        assert_eq!(buffer.frame(), seen);
        seen += 1;
        match seen {
            1000 => ControlFlow::Break(buffer.id()),
            _ => ControlFlow::Continue(()),
        }
    });
    assert!(last.is_ok() && seen == 1000);
}

fn read() {
    let driver = Driver::stream("output 4 100");
    let stream = ReadStream::open("selftest").unwrap();
    let control = stream.control();
    stream.start().unwrap();
    driver.command("produce 4 100");
    // A stop that keeps what is queued lets it be read.
    control.stop(Stop::Drain { timeout: None }).unwrap();
    let mut reader = stream.into_reader();
    let mut start = [0; 150];
    reader.read_exact(&mut start).unwrap();
    let all: Vec<u8> = (0..4).flat_map(|i| entry(i, 100)).collect();
    assert_eq!(start, all[..150]);
    assert_eq!(reader.fill_buf().unwrap(), &all[150..200]);
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, all[150..]);
    reader.get_mut().start().unwrap();
    driver.command("produce 1 5");
    let mut more = [0; 5];
    reader.read_exact(&mut more).unwrap();
    assert_eq!(more, *entry(0, 5));
}

fn write() {
    let driver = Driver::stream("input 2 100");
    let stream = WriteStream::open("selftest").unwrap();
    stream.start().unwrap();
    let mut writer = stream.into_writer();
    writer.write_all(&[1; 150]).unwrap();
    driver.command("receive");
    assert_eq!(driver.log("sum"), 100);
    driver.command("release-all");
    driver.fails("receive", rustix::io::Errno::NODATA);
    writer.flush().unwrap();
    driver.command("receive");
    assert_eq!(driver.log("sum"), 50);
    driver.command("release-all");
    // There are only two buffers, so the write waits for one to come back.
    driver.fails("receive", rustix::io::Errno::NODATA);
    driver.command("auto consume");
    let moved = driver.log("moved");
    writer.write_all(&[1; 100 * 100]).unwrap();
    writer.flush().unwrap();
    let mut stream = writer.into_inner().unwrap();
    stream.stop(Stop::Drain { timeout: None }).unwrap();
    assert_eq!(driver.log("moved"), moved + 100);
}

/// What was written reaches the driver before the writer goes, although the driver is slow.
fn writer_drains() {
    let driver = Driver::stream("input 2 100");
    let stream = WriteStream::open("selftest").unwrap();
    stream.start().unwrap();
    let mut writer = stream.into_writer();
    writer.write_all(&[1; 150]).unwrap();
    let taken = || {
        for bytes in [100, 50] {
            driver.command("receive");
            assert_eq!(driver.log("sum"), bytes);
        }
        driver.command("release-all");
    };
    woken_by(libc::SYS_ioctl, || writer.drain(None), taken).unwrap();
    assert_eq!(driver.shown("state"), "stopped");
    drop(writer);
}

/// One thread receives, another one sends.
fn split() {
    let driver = Driver::stream("input-output 8 64");
    driver.command("auto echo");
    let stream = DuplexStream::open("selftest").unwrap();
    let (mut receiver, sender) = stream.split();
    sender.control().start().unwrap();
    driver.command("produce 8 8");
    std::thread::scope(|scope| {
        let (give, take) = std::sync::mpsc::channel();
        scope.spawn(move || {
            for buffer in take {
                sender.send(buffer, 8).unwrap();
            }
        });
        for _ in 0..1000 {
            let mut buffer = receiver.dequeue_wait(None).unwrap();
            buffer[0] = buffer[0].wrapping_add(1);
            give.send(buffer).unwrap();
        }
    });
}

fn queue_iterator() {
    let driver = Driver::new(4096, 0);
    let session = Session::open(driver.path()).unwrap();
    let consumer = session.consumer().unwrap();
    driver.command("enqueue 3");
    driver.command("enqueue 4");
    driver.unpublish();
    let lengths: Vec<_> = consumer
        .into_iter()
        .map(|entry| entry.unwrap().len())
        .collect();
    assert_eq!(lengths, [3, 4]);
}

fn queue_callback_loop() {
    let session = Setup::source(16, 64).rate(5000).open().unwrap();
    let mut next = 0;
    let result = session.consumer().unwrap().for_each(|entry| {
        assert_eq!(check_record(entry), next);
        next += 1;
        if next < 200 {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    assert_eq!((result, next), (Ok::<(), Error>(()), 200));
}

/// Values go through the kernel and come back; one of another length stays in the queue.
fn typed_entries() {
    let session = Setup::echo().open().unwrap();
    let (mut producer, mut consumer) = (session.producer().unwrap(), session.consumer().unwrap());
    for i in 0..100_u64 {
        producer.enqueue_value(&[i, i * i]).unwrap();
        consumer.wait(None).unwrap();
        let wrong = Error::WrongLength {
            needed: 8,
            found: 16,
        };
        assert_eq!(consumer.dequeue_value::<u64>(), Err(wrong));
        assert_eq!(consumer.peek().unwrap().as_value(), Ok(&[i, i * i]));
        assert_eq!(consumer.dequeue_value(), Ok([i, i * i]));
    }
}
