// SPDX-License-Identifier: MIT OR Apache-2.0

//! N-1: eight-byte items from one thread to another.

use std::hint::spin_loop;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use crossbeam_queue::ArrayQueue;
use iostream_bench::pin_to;
use iostream_ring::Slots;
use ringbuf::traits::{Consumer as _, Producer as _, Split};
use ringbuf::HeapRb;

use super::memory::RingMemory;

/// Items that fit into each ring.
pub const ITEMS: usize = 32768;
/// Items of a batch.
pub const BATCH: usize = 500;

/// Runs both sides on processors 0 and 1: the time until all items have arrived, which `take` adds
/// up. Each side owns its end of the ring and moves it into its thread: two neighbouring ends would
/// share a cache line, which costs either side of the comparison up to six times its rate.
fn run(count: u64, mut put: impl FnMut(u64) + Send, mut take: impl FnMut(u64) -> u64) -> Duration {
    let both = &Barrier::new(2);
    pin_to(1).expect("two processors");
    let (sum, time) = std::thread::scope(|scope| {
        scope.spawn(move || {
            pin_to(0).expect("two processors");
            both.wait();
            put(count);
        });
        both.wait();
        let begun = Instant::now();
        (take(count), begun.elapsed())
    });
    assert_eq!(
        sum,
        (0..count).fold(0, u64::wrapping_add),
        "items went wrong"
    );
    time
}

/// The ring with entries of one length, one at a time.
pub fn queue(count: u64, pauses: u32) -> Duration {
    let memory = RingMemory::new(ITEMS * 8).expect("memory");
    // SAFETY: The only call for this memory, which outlives both ends.
    let (mut producer, mut consumer) = unsafe { memory.ends::<Slots<8>>() };
    run(
        count,
        move |count| {
            put_each(count, pauses, |item| {
                producer.push_and_publish(&item.to_ne_bytes()).is_ok()
            });
        },
        move |count| {
            take_each(count, pauses, || {
                let item = consumer.pop_array_and_publish().ok()?;
                Some(u64::from_ne_bytes(item))
            })
        },
    )
}

/// The same ring, in slices.
pub fn queue_batched(count: u64, pauses: u32) -> Duration {
    let memory = RingMemory::new(ITEMS * 8).expect("memory");
    // SAFETY: The only call for this memory, which outlives both ends.
    let (mut producer, mut consumer) = unsafe { memory.ends::<Slots<8>>() };
    run(
        count,
        move |count| {
            put_slices(count, pauses, |items| {
                // SAFETY: Integers have no padding.
                let (_, bytes, _) = unsafe { items.align_to() };
                let put = producer.push_slice(bytes).unwrap_or(0);
                producer.publish();
                put
            });
        },
        move |count| {
            take_slices(count, pauses, |items| {
                // SAFETY: Integers have no padding, and all bit patterns are valid.
                let (_, bytes, _) = unsafe { items.align_to_mut() };
                let taken = consumer.pop_slice(bytes).unwrap_or(0);
                consumer.publish();
                taken
            })
        },
    )
}

/// rtrb, one at a time.
pub fn rtrb(count: u64, pauses: u32) -> Duration {
    let (mut producer, mut consumer) = rtrb::RingBuffer::<u64>::new(ITEMS);
    run(
        count,
        move |count| put_each(count, pauses, |item| producer.push(item).is_ok()),
        move |count| take_each(count, pauses, || consumer.pop().ok()),
    )
}

/// rtrb, in slices.
pub fn rtrb_batched(count: u64, pauses: u32) -> Duration {
    let (mut producer, mut consumer) = rtrb::RingBuffer::<u64>::new(ITEMS);
    run(
        count,
        move |count| {
            put_slices(count, pauses, |items| {
                producer.push_partial_slice(items).0.len()
            });
        },
        move |count| {
            take_slices(count, pauses, |items| {
                consumer.pop_partial_slice(items).0.len()
            })
        },
    )
}

/// ringbuf, one at a time.
pub fn ringbuf(count: u64, pauses: u32) -> Duration {
    let (mut producer, mut consumer) = HeapRb::<u64>::new(ITEMS).split();
    run(
        count,
        move |count| put_each(count, pauses, |item| producer.try_push(item).is_ok()),
        move |count| take_each(count, pauses, || consumer.try_pop()),
    )
}

/// ringbuf, in slices.
pub fn ringbuf_batched(count: u64, pauses: u32) -> Duration {
    let (mut producer, mut consumer) = HeapRb::<u64>::new(ITEMS).split();
    run(
        count,
        move |count| put_slices(count, pauses, |items| producer.push_slice(items)),
        move |count| take_slices(count, pauses, |items| consumer.pop_slice(items)),
    )
}

/// crossbeam's bounded queue, which many threads may share; it has no batches.
pub fn crossbeam(count: u64, pauses: u32) -> Duration {
    let queue = &ArrayQueue::<u64>::new(ITEMS);
    run(
        count,
        move |count| put_each(count, pauses, |item| queue.push(item).is_ok()),
        move |count| take_each(count, pauses, || queue.pop()),
    )
}

/// Waits this number of pauses before the next look for room or for an item.
#[inline(always)]
fn pause(pauses: u32) {
    for _ in 0..pauses {
        spin_loop();
    }
}

/// Makes items one by one; `put` returns whether there was room.
#[inline(always)]
fn put_each(count: u64, pauses: u32, mut put: impl FnMut(u64) -> bool) {
    for item in 0..count {
        while !put(item) {
            pause(pauses);
        }
    }
}

/// Takes items one by one, and adds them up.
#[inline(always)]
fn take_each(count: u64, pauses: u32, mut take: impl FnMut() -> Option<u64>) -> u64 {
    let mut sum = 0_u64;
    for _ in 0..count {
        loop {
            if let Some(item) = take() {
                sum = sum.wrapping_add(item);
                break;
            }
            pause(pauses);
        }
    }
    sum
}

/// A batch on whole cache lines, so that its place on the stack does not matter.
#[repr(align(64))]
struct Batch([u64; BATCH]);

/// Makes items in slices; `put` takes as many of a slice as there is room for.
pub fn put_slices(count: u64, pauses: u32, mut put: impl FnMut(&[u64]) -> usize) {
    let (mut batch, mut made) = (Batch([0; BATCH]), 0u64);
    let slice = &mut batch.0;
    while made < count {
        let len = BATCH.min((count - made) as usize);
        for (item, number) in slice[..len].iter_mut().zip(made..) {
            *item = number;
        }
        let mut done = 0;
        while done < len {
            let put = put(&slice[done..len]);
            if put == 0 {
                pause(pauses);
            }
            done += put;
        }
        made += len as u64;
    }
}

/// Takes items in slices, and adds them up; `take` fills as much of a slice as there are items.
pub fn take_slices(count: u64, pauses: u32, mut take: impl FnMut(&mut [u64]) -> usize) -> u64 {
    let (mut batch, mut taken, mut sum) = (Batch([0; BATCH]), 0u64, 0u64);
    let slice = &mut batch.0;
    while taken < count {
        let len = BATCH.min((count - taken) as usize);
        let got = take(&mut slice[..len]);
        if got == 0 {
            pause(pauses);
        }
        sum = slice[..got]
            .iter()
            .fold(sum, |sum, item| sum.wrapping_add(*item));
        taken += got as u64;
    }
    sum
}
