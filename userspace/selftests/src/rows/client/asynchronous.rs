// SPDX-License-Identifier: MIT OR Apache-2.0

//! U-05, and B-02 for async programs: waiting on one thread.

use std::future::{poll_fn, Future};
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use iostream::{AsyncConsumer, Error, ReadStream, Session, Setup, Stop, WriteStream};
use iostream_raw::{check_record, make_record};

use crate::clause::{count, Clause};
use crate::support::driver::{entry, Driver};
use crate::support::waiting::{sleeps, this_thread, wait_until, woken_by, EPOLL_WAIT};

pub const CLAUSES: &[Clause] = &[
    Clause::new("U-05/async-dequeue", async_dequeue),
    Clause::new("U-05/async-stream-ends", async_stream_ends),
    Clause::new("U-05/async-buffer", async_buffer),
    Clause::new("U-05/async-free-buffer", async_free_buffer),
    Clause::new("U-05/async-gone", async_gone),
    Clause::new("U-05/async-cancelled", async_cancelled),
    Clause::slow("U-05/async-queues", 120, async_queues),
    Clause::new("U-05/async-no-thread", async_no_thread),
    Clause::new("U-05/async-sleeps", async_sleeps),
    Clause::new("B-02/async-waits", async_waits),
    Clause::new("B-02/async-stream-waits", async_stream_waits),
];

/// Runs a future on a reactor of this thread.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_io().enable_time().build().unwrap();
    runtime.block_on(future)
}

async fn next<S: futures_core::Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
}

fn async_dequeue() {
    let driver = Driver::stream("output 1 64");
    let open = || {
        block_on(async {
            let (mut receiver, sender) =
                ReadStream::open("selftest").unwrap().into_async().unwrap();
            sender.control().start().unwrap();
            let mut frames = Vec::new();
            for _ in 0..100 {
                frames.push(receiver.dequeue().await.unwrap().frame());
            }
            frames
        })
    };
    let frames = woken_by(EPOLL_WAIT, open, || {
        for _ in 0..100 {
            // Waits until the only buffer is back.
            wait_until("a free buffer", || driver.tell("produce 1 8").is_ok());
        }
    });
    assert_eq!(frames, (0..100).collect::<Vec<u64>>());
}

fn async_stream_ends() {
    let driver = Driver::stream("output 2 64");
    block_on(async {
        let (mut receiver, sender) = ReadStream::open("selftest").unwrap().into_async().unwrap();
        sender.control().start().unwrap();
        driver.command("produce 2 8");
        for i in 0..2 {
            assert_eq!(&*next(&mut receiver).await.unwrap().unwrap(), entry(i, 8));
        }
        let control = sender.control().clone();
        let stopping = tokio::task::spawn_blocking(move || control.stop(Stop::Discard).unwrap());
        assert!(next(&mut receiver).await.is_none());
        stopping.await.unwrap();
        // The stream can be started again.
        sender.control().start().unwrap();
        driver.command("produce 1 8");
        assert!(next(&mut receiver).await.is_some());
    });
}

fn async_buffer() {
    let driver = Driver::stream("input 2 64");
    driver.command("auto consume");
    let total = count(2000);
    let moved = driver.log("moved");
    block_on(async {
        let (mut receiver, sender) = WriteStream::open("selftest").unwrap().into_async().unwrap();
        sender.control().start().unwrap();
        for _ in 0..total {
            receiver.buffer().await.unwrap().send(8).unwrap();
        }
        let drain = Stop::Drain { timeout: None };
        sender.control().stop(drain).unwrap();
    });
    assert_eq!(driver.log("moved"), moved + total);
}

/// A free buffer that another task drops, not one that the driver returns.
fn async_free_buffer() {
    let _driver = Driver::stream("input 1 64");
    block_on(async {
        let (mut receiver, sender) = WriteStream::open("selftest").unwrap().into_async().unwrap();
        sender.control().start().unwrap();
        for _ in 0..100 {
            let held = receiver.buffer().await.unwrap();
            let dropping = tokio::task::spawn_blocking(move || drop(held));
            receiver.buffer().await.unwrap();
            dropping.await.unwrap();
        }
    });
}

fn async_gone() {
    let driver = Driver::stream("output 1 64");
    let wait = || {
        block_on(async {
            let (mut receiver, sender) =
                ReadStream::open("selftest").unwrap().into_async().unwrap();
            sender.control().start().unwrap();
            receiver.dequeue().await.map(drop)
        })
    };
    let woken = woken_by(EPOLL_WAIT, wait, || driver.unpublish());
    assert_eq!(woken, Err(Error::Gone));
}

/// A program whose tasks all wait does not wake up in ten seconds.
fn async_sleeps() {
    let driver = Driver::stream("output 1 64");
    let task = OnceLock::new();
    let wait = || {
        task.get_or_init(this_thread);
        block_on(async {
            let queue = Session::open("itout").unwrap().consumer().unwrap();
            let mut queue = queue.into_async().unwrap();
            let mut entry = std::pin::pin!(async { queue.dequeue().await.map(drop) });
            let (mut receiver, sender) =
                ReadStream::open("selftest").unwrap().into_async().unwrap();
            sender.control().start().unwrap();
            let mut buffer = std::pin::pin!(async { receiver.dequeue().await.map(drop) });
            poll_fn(|context| {
                assert!(entry.as_mut().poll(context).is_pending());
                buffer.as_mut().poll(context)
            })
            .await
        })
    };
    let woken = woken_by(EPOLL_WAIT, wait, || {
        let task = task.get().unwrap();
        let (before, start) = (sleeps(task), Instant::now());
        wait_until("ten seconds are over", || {
            start.elapsed() >= Duration::from_secs(10)
        });
        assert_eq!(sleeps(task), before);
        driver.command("produce 1 8");
    });
    assert_eq!(woken, Ok(()));
}

fn async_cancelled() {
    let driver = Driver::stream("output 2 64");
    block_on(async {
        let (mut receiver, sender) = ReadStream::open("selftest").unwrap().into_async().unwrap();
        sender.control().start().unwrap();
        {
            // A future that was polled once and dropped.
            let mut waiting = Box::pin(receiver.dequeue());
            let once = poll_fn(|context| std::task::Poll::Ready(waiting.as_mut().poll(context)));
            assert!(once.await.is_pending());
        }
        driver.command("produce 2 8");
        assert_eq!(receiver.dequeue().await.unwrap().frame(), 0);
        assert_eq!(receiver.dequeue().await.unwrap().frame(), 1);
    });
}

/// Both ends of one session in two tasks of one thread, through queues that are often full.
fn async_queues() {
    let total = count(20_000);
    let session = Setup::echo()
        .output_bytes(4096)
        .input_bytes(4096)
        .open()
        .unwrap();
    block_on(async {
        let mut producer = session.producer().unwrap().into_async().unwrap();
        let mut consumer = session.consumer().unwrap().into_async().unwrap();
        let produce = async move {
            for i in 0..total {
                producer
                    .enqueue(&make_record(i, 16 + (i % 500) as usize))
                    .await
                    .unwrap();
            }
            // Kept until all entries came back: otherwise the session would end.
            producer
        };
        let local = tokio::task::LocalSet::new();
        let producing = local.spawn_local(produce);
        local
            .run_until(async {
                for i in 0..total {
                    if i % 2 == 0 {
                        assert_eq!(check_record(&consumer.dequeue().await.unwrap()), i);
                    } else {
                        let entry = next(&mut consumer).await.unwrap().unwrap();
                        assert_eq!(check_record(&entry), i);
                    }
                }
                producing.await.unwrap();
            })
            .await;
    });
}

fn async_no_thread() {
    let driver = Driver::stream("output 1 64");
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    block_on(async {
        let (mut receiver, sender) = ReadStream::open("selftest").unwrap().into_async().unwrap();
        sender.control().start().unwrap();
        driver.command("produce 1 8");
        drop(receiver.dequeue().await.unwrap());
        let session = Setup::echo().open().unwrap();
        let mut producer = session.producer().unwrap().into_async().unwrap();
        let mut consumer = session.consumer().unwrap().into_async().unwrap();
        producer.enqueue(b"x").await.unwrap();
        assert_eq!(&*consumer.dequeue().await.unwrap(), b"x");
        assert_eq!(threads(), before);
    });
}

/// Each future that waits for an entry, by its name.
async fn await_entry(name: &str, consumer: &mut AsyncConsumer) -> iostream::Result<()> {
    match name {
        "wait" => consumer.wait().await,
        "dequeue" => consumer.dequeue().await.map(drop),
        _ => next(consumer).await.expect("the driver is there").map(drop),
    }
}

/// A future waits for the watermark, as the other waits do, and takes what waited then at once.
fn async_waits() {
    for name in ["wait", "dequeue", "next"] {
        let driver = Driver::new(4096, 0);
        let wait = || {
            block_on(async {
                let session = Session::open(driver.path()).unwrap();
                let mut consumer = session.consumer().unwrap();
                consumer.set_watermark(96, Duration::ZERO).unwrap();
                let mut consumer = consumer.into_async().unwrap();
                // What is there already is less than the watermark.
                driver.command("enqueue 24");
                await_entry(name, &mut consumer).await.unwrap();
                let waited = consumer.get_mut().counters().entries;
                while consumer.get_mut().is_ready().unwrap() {
                    consumer.dequeue().await.unwrap();
                }
                // A timer ends a wait, and so does the end of the driver.
                let latency = Duration::from_millis(1);
                consumer.get_mut().set_watermark(96, latency).unwrap();
                driver.command("enqueue 24");
                await_entry(name, &mut consumer).await.unwrap();
                while consumer.get_mut().is_ready().unwrap() {
                    consumer.dequeue().await.unwrap();
                }
                consumer
                    .get_mut()
                    .set_watermark(96, Duration::ZERO)
                    .unwrap();
                driver.command("enqueue 24");
                driver.unpublish();
                await_entry(name, &mut consumer).await.unwrap();
                waited
            })
        };
        let waited = woken_by(EPOLL_WAIT, wait, || {
            (0..2).for_each(|_| driver.command("enqueue 24"));
        });
        assert_eq!(waited, 3, "{name}");
    }
}

fn async_stream_waits() {
    let driver = Driver::stream("output 4 64");
    let wait = || {
        block_on(async {
            let stream = ReadStream::open("selftest").unwrap();
            let (mut receiver, sender) = stream.into_async().unwrap();
            receiver.get_mut().set_watermark(3, Duration::ZERO).unwrap();
            sender.control().start().unwrap();
            driver.command("produce 1 8");
            let first = receiver.dequeue().await.unwrap().frame();
            let sent = driver.attribute("stream/sent");
            (0..2).for_each(|_| drop(receiver.get_mut().dequeue().unwrap()));
            driver.command("produce 1 8");
            // A stop ends the wait, and what waits is discarded.
            sender.control().stop(Stop::Discard).unwrap();
            let stopped = receiver.dequeue().await.err();
            (first, sent, stopped)
        })
    };
    let found = woken_by(EPOLL_WAIT, wait, || {
        (0..2).for_each(|_| driver.command("produce 1 8"));
    });
    assert_eq!(found, (0, 3, Some(Error::NotRunning)));
}
