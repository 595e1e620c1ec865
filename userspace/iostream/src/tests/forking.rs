// SPDX-License-Identifier: MIT OR Apache-2.0

//! The ends of queues after a fork.

#![allow(unsafe_code, reason = "the tests fork")]

use std::io::{BufRead, Read, Write};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr::null_mut;
use std::time::Duration;

use rustix::mm::{mmap_anonymous, MapFlags, ProtFlags};

use super::loopback::Loopback;
use super::memfd::page;
use super::small;
use crate::{Consumer, Counters, Error, Producer};

extern "C" {
    fn fork() -> i32;
    /// fork(2) without the handlers of pthread_atfork(3).
    fn _Fork() -> i32;
    fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
    fn _exit(status: i32) -> !;
}

/// Runs `check` in a child. Returns whether it returned.
pub(super) fn child_passes(check: impl FnOnce()) -> bool {
    // SAFETY: The child runs `check`, which takes no lock that the threads of other tests hold.
    let pid = unsafe { fork() };
    finish(pid, check)
}

/// Runs `check` in a child without our handlers. It must not touch slices from before. To be called
/// in a process of one thread.
pub(super) fn child_without_handlers_passes(check: impl FnOnce()) -> bool {
    // SAFETY: No other thread holds a lock.
    let pid = unsafe { _Fork() };
    finish(pid, check)
}

fn finish(pid: i32, check: impl FnOnce()) -> bool {
    if pid == 0 {
        let passed = catch_unwind(AssertUnwindSafe(check)).is_ok();
        // SAFETY: It ends the process, with all its threads.
        unsafe { _exit(i32::from(!passed)) }
    }
    assert!(pid > 0, "fork fails");
    let mut status = -1;
    // SAFETY: `status` is writable.
    assert_eq!(unsafe { waitpid(pid, &mut status, 0) }, pid);
    status == 0
}

/// The results of each operation of a producer that can fail.
fn use_producer(producer: &mut Producer) -> Vec<Result<(), Error>> {
    let batched = producer.batch().enqueue(b"child");
    vec![
        batched,
        producer.enqueue(b"child"),
        producer.enqueue_wait(b"child", Some(Duration::ZERO)),
        producer.reserve(1).map(drop),
        producer.enqueue_in_place(1, 8, |_| ()).map(drop),
        producer.can_enqueue(1, 1).map(drop),
        producer.room_bytes().map(drop),
        producer.wait_room(8, Some(Duration::ZERO)),
        producer.arm_room(8).map(drop),
        producer.set_eventfd(None),
        producer.reset(),
        producer.renew(),
        producer.write(b"child").map(drop).map_err(inner),
    ]
}

/// The results of each operation of a consumer that can fail.
fn use_consumer(consumer: &mut Consumer) -> Vec<Result<(), Error>> {
    let batched = consumer.batch().next().map(drop);
    vec![
        batched,
        consumer.peek().map(drop),
        consumer.dequeue().map(drop),
        consumer.dequeue_wait(Some(Duration::ZERO)).map(drop),
        consumer.next().map(drop),
        consumer.dequeue_into(&mut [0; 64]).map(drop),
        consumer.drain(1, |_| true).map(drop),
        consumer.wait(Some(Duration::ZERO)),
        consumer.arm().map(drop),
        consumer.available_bytes().map(drop),
        consumer.is_ready().map(drop),
        consumer.set_eventfd(None),
        consumer.set_watermark(0, Duration::ZERO),
        consumer.reset(),
        consumer.renew(),
        consumer.read(&mut [0; 64]).map(drop).map_err(inner),
        consumer.fill_buf().map(drop).map_err(inner),
    ]
}

/// This crate's error in one of `std::io`.
pub(super) fn inner(error: std::io::Error) -> Error {
    let inner = error.into_inner().expect("an error of this crate");
    *inner.downcast().expect("an error of this crate")
}

pub(super) fn assert_forked(results: Vec<Result<(), Error>>) {
    for (i, result) in results.into_iter().enumerate() {
        assert_eq!(result, Err(Error::Forked), "operation {i}");
    }
}

#[test]
fn ends_fail_in_a_child() {
    let (loopback, mut producer, mut consumer) = small();
    producer.enqueue(b"before").unwrap();
    let calls = loopback.calls();
    assert!(child_passes(|| {
        assert_forked(use_producer(&mut producer));
        assert_forked(use_consumer(&mut consumer));
        assert_eq!(consumer.counters(), Counters::default());
        assert_eq!(producer.counters(), Counters::default());
        assert_eq!(consumer.watermark(), (0, Duration::ZERO));
        assert_eq!(loopback.calls(), calls);
    }));
    assert_eq!(&*consumer.dequeue().unwrap(), b"before");
}

#[test]
fn a_reader_fails_in_a_child() {
    let loopback = Loopback::new(page() as u64, true);
    let (mut producer, mut reader) = loopback.overwriting();
    producer.push(b"before");
    assert!(child_passes(|| {
        assert_forked(vec![
            reader.read_into(&mut [0; 64]).map(drop),
            reader.wait(Some(Duration::ZERO)),
            reader.arm().map(drop),
            reader.is_ready().map(drop),
            reader.reset(),
            reader.set_watermark(0, Duration::ZERO),
        ]);
        reader.renew();
        assert_eq!(reader.is_ready(), Err(Error::Forked));
    }));
    assert_eq!(reader.read_into(&mut [0; 64]).unwrap().len, 6);
}

#[test]
fn ends_fail_in_a_child_without_handlers() {
    // In a process of one thread: a child without handlers inherits locks, the allocator's among
    // them, as the threads of other tests hold them.
    assert!(child_passes(|| {
        let (_loopback, mut producer, consumer) = small();
        producer.enqueue(b"before").unwrap();
        let mut ends = Some((producer, consumer));
        assert!(child_without_handlers_passes(|| {
            let (mut producer, mut consumer) = ends.take().unwrap();
            assert_forked(use_producer(&mut producer));
            assert_forked(use_consumer(&mut consumer));
            assert_eq!(consumer.counters(), Counters::default());
        }));
        let (_producer, mut consumer) = ends.unwrap();
        assert_eq!(&*consumer.dequeue().unwrap(), b"before");
    }));
}

#[test]
fn dropping_ends_in_a_child_unmaps_nothing() {
    let (loopback, mut producer, mut consumer) = small();
    producer.enqueue(b"before").unwrap();
    let start = consumer.peek().unwrap().as_ptr();
    let (calls, notified) = (loopback.calls(), loopback.notified());
    let mut ends = Some((producer, consumer));
    assert!(child_passes(|| {
        drop(ends.take());
        // SAFETY: This is what the test is about: the byte is still mapped.
        assert_eq!(unsafe { start.read_volatile() }, b'b');
        assert_eq!(loopback.calls(), calls);
    }));
    let (mut producer, mut consumer) = ends.unwrap();
    assert_eq!(loopback.notified(), notified);
    assert_eq!(&*consumer.dequeue().unwrap(), b"before");
    producer.enqueue(b"after").unwrap();
    assert_eq!(&*consumer.dequeue().unwrap(), b"after");
}

#[test]
fn held_entries_keep_their_bytes_in_a_child() {
    let (_loopback, mut producer, mut consumer) = small();
    // The last one lies across the end of the data.
    for round in 0..5_u8 {
        producer.enqueue(&[round; 1000]).unwrap();
        let mut entry = Some(consumer.dequeue().unwrap());
        let mut reserved = Some(producer.reserve(1000).unwrap());
        reserved.as_mut().unwrap().fill(round + 100);
        assert!(child_passes(|| {
            let (entry, mut reserved) = (entry.take().unwrap(), reserved.take().unwrap());
            assert_eq!(&*entry, [round; 1000]);
            assert_eq!(&*reserved, [round + 100; 1000]);
            reserved.fill(1);
            assert_eq!(&*reserved, [1; 1000]);
            assert_eq!(reserved.commit(), Err(Error::Forked));
            assert_eq!(entry.len(), 1000);
        }));
        assert_eq!(&**entry.as_ref().unwrap(), [round; 1000]);
        assert_eq!(&**reserved.as_ref().unwrap(), [round + 100; 1000]);
    }
}

#[test]
fn entries_in_callbacks_keep_their_bytes_in_a_child() {
    let (_loopback, mut producer, mut consumer) = small();
    producer.enqueue(b"first").unwrap();
    producer.enqueue(b"second").unwrap();
    let mut expected = [b"first".to_vec(), b"second".to_vec()].into_iter();
    let drained = consumer.drain(2, |entry| {
        let expected = expected.next().unwrap();
        assert_eq!(entry, expected);
        child_passes(|| assert_eq!(entry, expected))
    });
    assert_eq!(drained, Ok(2));
    let filled = producer.enqueue_in_place(2, 16, |entry| {
        entry.fill(7);
        assert!(child_passes(|| {
            assert_eq!(entry, [7; 16]);
            entry.fill(8);
        }));
        assert_eq!(entry, [7; 16]);
    });
    assert_eq!(filled, Ok(2));
}

#[test]
fn a_child_that_goes_on_in_a_callback_fails_at_its_end() {
    let (_loopback, mut producer, mut consumer) = small();
    producer.enqueue(b"one").unwrap();
    producer.enqueue(b"two").unwrap();
    let mut pid = None;
    let drained = consumer.drain(9, |_| {
        // SAFETY: The child goes on with this test alone, and ends below.
        pid.get_or_insert_with(|| unsafe { fork() });
        true
    });
    if pid != Some(0) {
        assert_eq!(drained, Ok(2));
    }
    assert!(finish(pid.unwrap(), || assert_eq!(
        drained,
        Err(Error::Forked)
    )));
}

#[test]
fn a_child_opens_its_own() {
    let (_loopback, mut producer, mut consumer) = small();
    producer.enqueue(b"parent").unwrap();
    assert!(child_passes(|| {
        let (_loopback, mut own_producer, mut own_consumer) = small();
        own_producer.enqueue(b"child").unwrap();
        let held = own_consumer.dequeue().unwrap();
        // A child of the child inherits from both.
        assert!(child_passes(|| {
            assert_eq!(&*held, b"child");
            assert_eq!(own_producer.enqueue(b"x"), Err(Error::Forked));
            assert_eq!(producer.enqueue(b"x"), Err(Error::Forked));
        }));
        assert_eq!(&*held, b"child");
        drop(held);
        own_producer.enqueue(b"more").unwrap();
        assert_eq!(&*own_consumer.dequeue().unwrap(), b"more");
        assert_eq!(producer.enqueue(b"x"), Err(Error::Forked));
    }));
    assert_eq!(&*consumer.dequeue().unwrap(), b"parent");
}

/// Where the parent's copy of a held entry was, the child may have mapped something of its own.
#[test]
fn a_child_that_forks_keeps_what_it_has_mapped() {
    let (_loopback, mut producer, mut consumer) = small();
    producer.enqueue(b"held").unwrap();
    let held = consumer.dequeue().unwrap();
    assert!(child_passes(|| {
        // As many pages as surely to fill the gap of the copy.
        let own: Vec<_> = (0..1000_u32)
            .map(|number| {
                let (rights, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
                // SAFETY: No address is asked for, so no memory in use is replaced.
                let start = unsafe { mmap_anonymous(null_mut(), page(), rights, flags) };
                let start = start.unwrap().cast::<u32>();
                // SAFETY: Just mapped.
                unsafe { start.write_volatile(number) };
                (number, start)
            })
            .collect();
        assert!(child_passes(|| assert_eq!(&*held, b"held")));
        for (number, start) in own {
            // SAFETY: This is what the test is about: the page is still mapped.
            assert_eq!(unsafe { start.read_volatile() }, number);
        }
        assert_eq!(&*held, b"held");
    }));
}

#[test]
fn commands_do_not_disturb_the_ends() {
    let (_loopback, mut producer, mut consumer) = small();
    producer.enqueue(b"held").unwrap();
    let held = consumer.dequeue().unwrap();
    let status = std::process::Command::new("true").status().unwrap();
    assert!(status.success());
    assert_eq!(&*held, b"held");
}
