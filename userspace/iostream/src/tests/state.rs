// SPDX-License-Identifier: MIT OR Apache-2.0

use super::{drain, small};
use crate::{Error, Wake};

#[test]
fn ends_can_be_sent() {
    fn sent<T: Send>(_: &T) {}
    let (_loopback, producer, consumer) = small();
    sent(&producer);
    sent(&consumer);
}

#[test]
fn handles_from_before_a_reset_fail_until_renewed() {
    let (loopback, mut producer, mut consumer) = small();
    producer.enqueue(b"old").unwrap();
    let entry = consumer.peek().unwrap();
    loopback.reset();
    assert_eq!(entry.release(), Err(Error::Stale));
    assert_eq!(producer.enqueue(b"x"), Err(Error::Stale));
    assert_eq!(producer.reserve(1).unwrap_err(), Error::Stale);
    assert_eq!(consumer.peek().unwrap_err(), Error::Stale);
    assert_eq!(consumer.is_ready(), Err(Error::Stale));
    assert_eq!(consumer.wait(None), Err(Error::Stale));
    // Nothing of the old generation is in the new one.
    consumer.renew().unwrap();
    assert_eq!(consumer.available_bytes(), Ok(0));
    producer.renew().unwrap();
    assert_eq!((producer.generation(), consumer.generation()), (2, 2));
    producer.enqueue(b"new").unwrap();
    assert_eq!(drain(&mut consumer), [b"new"]);
}

#[test]
fn a_batch_over_a_reset_stores_nothing() {
    let (loopback, mut producer, mut consumer) = small();
    let mut batch = producer.batch();
    batch.enqueue(b"old").unwrap();
    loopback.reset();
    assert_eq!(batch.finish(), Err(Error::Stale));
    consumer.renew().unwrap();
    assert_eq!(consumer.available_bytes(), Ok(0));
}

#[test]
fn an_end_that_resets_goes_on_itself() {
    let (loopback, mut producer, mut consumer) = small();
    producer.enqueue(b"old").unwrap();
    loopback.reset();
    producer.reset().unwrap();
    consumer.renew().unwrap();
    producer.enqueue_with(b"new", Wake::Normal).unwrap();
    assert_eq!(drain(&mut consumer), [b"new"]);
}

#[test]
fn a_consumer_drains_what_a_gone_driver_left() {
    let (loopback, mut producer, mut consumer) = small();
    producer.enqueue(b"last").unwrap();
    loopback.go();
    assert_eq!(producer.enqueue(b"x"), Err(Error::Gone));
    assert_eq!(producer.wait_room(8, None), Err(Error::Gone));
    consumer.wait(None).unwrap();
    assert_eq!(&*consumer.dequeue().unwrap(), b"last");
    assert_eq!(consumer.dequeue().unwrap_err(), Error::Gone);
    assert_eq!(consumer.wait(None), Err(Error::Gone));
}

#[test]
fn a_position_that_cannot_be_is_told_of() {
    let (loopback, producer, mut consumer) = small();
    let lap = producer.capacity_bytes();
    for wrong in [1, 7, lap + 8, u64::MAX, u64::MAX - 7] {
        loopback.spoil_producer_pos(wrong);
        assert_eq!(consumer.peek().unwrap_err(), Error::Corrupt, "{wrong}");
        assert_eq!(consumer.wait(None), Err(Error::Corrupt), "{wrong}");
    }
    // With the right position the queue is empty again.
    loopback.spoil_producer_pos(0);
    assert_eq!(consumer.peek().unwrap_err(), Error::Empty);
}
