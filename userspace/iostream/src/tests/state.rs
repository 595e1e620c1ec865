// SPDX-License-Identifier: MIT OR Apache-2.0

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::loopback::Loopback;
use super::{drain, small};
use crate::{Error, Result, Wake};

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
    assert_eq!((producer.generation(), consumer.generation()), (3, 3));
    producer.enqueue(b"new").unwrap();
    assert_eq!(drain(&mut consumer), [b"new"]);
}

/// An end that resumed with the old positions would take the new ones for corruption.
#[test]
fn an_end_is_renewed_when_the_reset_is_over() {
    let (loopback, mut producer, mut consumer) = small();
    producer.enqueue(b"old").unwrap();
    loopback.begin_reset();
    let generation = std::thread::scope(|scope| {
        let renewing = scope.spawn(|| {
            consumer.renew().unwrap();
            consumer.generation()
        });
        for _ in 0..1000 {
            std::thread::yield_now();
        }
        loopback.end_reset();
        renewing.join().unwrap()
    });
    assert_eq!(generation, 3);
    assert_eq!(consumer.peek().unwrap_err(), Error::Empty);
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

/// Runs `look`, which looks at an end, while another thread resets the queue and goes on with the
/// other end, between any two steps of this one.
fn while_reset(
    loopback: &Loopback,
    mut go_on: impl FnMut() + Send,
    mut look: impl FnMut() -> Vec<Result<()>>,
    mut renew: impl FnMut(),
) {
    let done = AtomicBool::new(false);
    let mut stale = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                loopback.reset();
                go_on();
            }
        });
        for met in (0..100_000).flat_map(|_| look()) {
            match met {
                Ok(()) | Err(Error::Empty | Error::Full) => {}
                Err(Error::Stale) => {
                    stale += 1;
                    renew();
                }
                Err(error) => {
                    done.store(true, Relaxed);
                    panic!("{error:?}");
                }
            }
        }
        done.store(true, Relaxed);
    });
    assert!(stale > 0, "no reset came in between");
}

#[test]
fn a_consumer_takes_no_reset_for_corruption() {
    let (loopback, mut producer, consumer) = small();
    let consumer = RefCell::new(consumer);
    let go_on = || {
        // What the consumer stores meanwhile may be of the old generation.
        let _ = producer.renew();
        let _ = producer.enqueue(b"entry");
    };
    let look = || {
        let mut consumer = consumer.borrow_mut();
        vec![
            consumer.peek().map(drop),
            consumer.dequeue().map(drop),
            consumer.available_bytes().map(drop),
        ]
    };
    while_reset(&loopback, go_on, look, || {
        let _ = consumer.borrow_mut().renew();
    });
}

#[test]
fn a_producer_takes_no_reset_for_corruption() {
    let (loopback, producer, mut consumer) = small();
    let producer = RefCell::new(producer);
    let go_on = || {
        let _ = consumer.renew();
        let _ = consumer.drain(1000, |_| true);
    };
    let look = || {
        let mut producer = producer.borrow_mut();
        vec![
            producer.enqueue(&[7; 1000]),
            producer.room_bytes().map(drop),
        ]
    };
    while_reset(&loopback, go_on, look, || {
        let _ = producer.borrow_mut().renew();
    });
}
