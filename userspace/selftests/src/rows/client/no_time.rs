// SPDX-License-Identifier: MIT OR Apache-2.0

//! U-05: a wait without time says what there is. The crate's own tests go through all states; here
//! it is the kernel that is asked.

use std::time::Duration;

use iostream::{Error, ReadStream, Session, Stop, WriteStream};

use crate::clause::Clause;
use crate::support::driver::{entry, Driver};

pub const CLAUSES: &[Clause] = &[
    Clause::new("U-05/no-time-queues", queues),
    Clause::new("U-05/no-time-overwriting", overwriting),
    Clause::new("U-05/no-time-streams", streams),
    Clause::new("U-05/no-time-unused-buffers", unused_buffers),
];

const NOW: Option<Duration> = Some(Duration::ZERO);

fn queues() {
    let driver = Driver::new(4096, 4096);
    let session = Session::open("selftest").unwrap();
    let (mut producer, mut consumer) = (session.producer().unwrap(), session.consumer().unwrap());
    assert_eq!(consumer.wait(NOW), Err(Error::TimedOut));
    assert_eq!(consumer.dequeue_wait(NOW).unwrap_err(), Error::TimedOut);
    driver.command("enqueue 8");
    assert_eq!(consumer.wait(NOW), Ok(()));
    assert_eq!(&*consumer.dequeue_wait(NOW).unwrap(), entry(0, 8));
    consumer.set_watermark(100, Duration::ZERO).unwrap();
    driver.command("enqueue 8");
    assert_eq!(consumer.dequeue_wait(NOW).unwrap_err(), Error::TimedOut);
    driver.command("flush");
    assert_eq!(&*consumer.dequeue_wait(NOW).unwrap(), entry(1, 8));

    while producer.enqueue(&[7; 504]).is_ok() {}
    assert_eq!(producer.wait_room(512, NOW), Err(Error::TimedOut));
    assert_eq!(producer.enqueue_wait(&[7; 504], NOW), Err(Error::TimedOut));
    assert_eq!(driver.count("drain 1"), 1);
    assert_eq!(producer.wait_room(512, NOW), Ok(()));
    assert_eq!(producer.enqueue_wait(&[7; 504], NOW), Ok(()));

    driver.command("enqueue 8");
    driver.unpublish();
    assert_eq!(producer.wait_room(8, NOW), Err(Error::Gone));
    assert_eq!(producer.enqueue_wait(b"x", NOW), Err(Error::Gone));
    // What is below the watermark comes before the end.
    assert_eq!(consumer.wait(NOW), Ok(()));
    assert_eq!(&*consumer.dequeue_wait(NOW).unwrap(), entry(2, 8));
    assert_eq!(consumer.wait(NOW), Err(Error::Gone));
    assert_eq!(consumer.dequeue_wait(NOW).unwrap_err(), Error::Gone);
}

fn overwriting() {
    let driver = Driver::overwriting(4096);
    let session = Session::open("selftest").unwrap();
    let mut reader = session.overwrite_reader().unwrap();
    assert_eq!(reader.wait(NOW), Err(Error::TimedOut));
    driver.command("enqueue 8");
    assert_eq!(reader.wait(NOW), Ok(()));
    assert_eq!(reader.read_into(&mut [0; 8]).unwrap().len, 8);
    reader.set_watermark(100, Duration::ZERO).unwrap();
    driver.command("enqueue 8");
    assert_eq!(reader.wait(NOW), Err(Error::TimedOut));
    driver.unpublish();
    assert_eq!(reader.wait(NOW), Ok(()));
    assert_eq!(reader.read_into(&mut [0; 8]).unwrap().len, 8);
    assert_eq!(reader.wait(NOW), Err(Error::Gone));
}

fn streams() {
    let driver = Driver::stream("output 2 64");
    let mut stream = ReadStream::open("selftest").unwrap();
    assert_eq!(stream.wait(NOW), Err(Error::NotRunning));
    assert_eq!(stream.dequeue_wait(NOW).unwrap_err(), Error::NotRunning);
    stream.start().unwrap();
    assert_eq!(stream.wait(NOW), Err(Error::TimedOut));
    assert_eq!(stream.dequeue_wait(NOW).unwrap_err(), Error::TimedOut);
    driver.command("produce 1 64");
    assert_eq!(stream.wait(NOW), Ok(()));
    assert_eq!(&*stream.dequeue_wait(NOW).unwrap(), entry(0, 64));
    let receiver = stream.receiver();
    receiver.set_watermark(2, Duration::ZERO).unwrap();
    driver.command("produce 1 64");
    assert_eq!(stream.dequeue_wait(NOW).unwrap_err(), Error::TimedOut);
    driver.command("produce 1 64");
    let both = [stream.dequeue_wait(NOW), stream.dequeue_wait(NOW)];
    assert!(both.iter().all(Result::is_ok), "{both:?}");
    drop(both);
    // What a stop keeps comes before its end; what it discards does not come.
    driver.command("produce 1 64");
    stream.stop(Stop::Drain { timeout: None }).unwrap();
    assert_eq!(&*stream.dequeue_wait(NOW).unwrap(), entry(0, 64));
    assert_eq!(stream.dequeue_wait(NOW).unwrap_err(), Error::NotRunning);
    stream.start().unwrap();
    driver.command("produce 2 64");
    stream.control().stop(Stop::Discard).unwrap();
    assert_eq!(stream.dequeue_wait(NOW).unwrap_err(), Error::NotRunning);
    stream.start().unwrap();
    driver.unpublish();
    assert_eq!(stream.dequeue_wait(NOW).unwrap_err(), Error::Gone);
}

fn unused_buffers() {
    let driver = Driver::stream("input 1 64");
    let mut stream = WriteStream::open("selftest").unwrap();
    let held = stream.buffer_wait(NOW).unwrap();
    assert_eq!(stream.wait(NOW), Err(Error::NotRunning));
    assert_eq!(stream.buffer_wait(NOW).unwrap_err(), Error::NotRunning);
    stream.start().unwrap();
    assert_eq!(stream.wait(NOW), Err(Error::TimedOut));
    assert_eq!(stream.buffer_wait(NOW).unwrap_err(), Error::TimedOut);
    drop(held);
    assert_eq!(stream.wait(NOW), Ok(()));
    stream.buffer_wait(NOW).unwrap().send(1).unwrap();
    assert_eq!(stream.buffer_wait(NOW).unwrap_err(), Error::TimedOut);
    driver.unpublish();
    assert_eq!(stream.buffer_wait(NOW).unwrap_err(), Error::Gone);
}
