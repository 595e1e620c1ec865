// SPDX-License-Identifier: MIT OR Apache-2.0

//! U-05: futures that are always ready leave the other tasks of their runtime their turns.

use std::cell::Cell;
use std::future::{poll_fn, Future};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use iostream::{Error, ReadStream, Session, WriteStream};

use crate::clause::Clause;
use crate::support::driver::Driver;

pub const CLAUSES: &[Clause] = &[
    Clause::new("U-05/async-takes-turns", takes_turns),
    Clause::new("U-05/async-streams-take-turns", streams_take_turns),
    Clause::new("U-05/async-without-a-runtime", without_a_runtime),
];

/// More than a task may do in one turn.
const MANY: usize = 600;

/// Runs a future, and another task as often as it gets a turn. Returns how often that was.
fn turns_beside(future: impl Future<Output = ()>) -> usize {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_io().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let turns = Rc::new(Cell::new(0));
    let counter = turns.clone();
    local.spawn_local(poll_fn(move |context| {
        counter.set(counter.get() + 1);
        context.waker().wake_by_ref();
        Poll::<()>::Pending
    }));
    let before = Rc::new(Cell::new(0));
    local.block_on(&runtime, async {
        // The other task runs from here on.
        while turns.get() == 0 {
            tokio::task::yield_now().await;
        }
        before.set(turns.get());
        future.await;
    });
    turns.get() - before.get()
}

fn takes_turns() {
    let driver = Driver::new(1 << 16, 1 << 16);
    let session = Session::open("selftest").unwrap();
    let fill = || (0..MANY).for_each(|_| driver.command("enqueue 24"));
    fill();
    let turns = turns_beside(async {
        let mut consumer = session.consumer().unwrap().into_async().unwrap();
        for _ in 0..MANY {
            consumer.dequeue().await.unwrap();
        }
        fill();
        for _ in 0..MANY {
            poll_fn(|context| futures_core::Stream::poll_next(Pin::new(&mut consumer), context))
                .await
                .unwrap()
                .unwrap();
        }
    });
    assert!(turns >= 4, "consumed in {turns} turns");
    let turns = turns_beside(async {
        let mut producer = session.producer().unwrap().into_async().unwrap();
        for _ in 0..MANY {
            producer.enqueue(&[7; 24]).await.unwrap();
        }
    });
    assert!(turns >= 2, "produced in {turns} turns");
}

fn streams_take_turns() {
    let driver = Driver::stream(&format!("output {MANY} 64"));
    let stream = ReadStream::open("selftest").unwrap();
    stream.start().unwrap();
    driver.command(&format!("produce {MANY} 8"));
    let turns = turns_beside(async {
        let (mut receiver, _sender) = stream.into_async().unwrap();
        for _ in 0..MANY {
            drop(receiver.dequeue().await.unwrap());
        }
    });
    assert!(turns >= 2, "received in {turns} turns");
    let _driver = Driver::stream("input 1 64");
    let turns = turns_beside(async {
        let stream = WriteStream::open("selftest").unwrap();
        let (mut receiver, _sender) = stream.into_async().unwrap();
        for _ in 0..MANY {
            // Unused, and dropped: free at once.
            drop(receiver.buffer().await.unwrap());
        }
    });
    assert!(turns >= 2, "took buffers in {turns} turns");
}

fn without_a_runtime() {
    let _driver = Driver::new(4096, 4096);
    let session = Session::open("selftest").unwrap();
    let consumer = session.consumer().unwrap().into_async();
    assert_eq!(consumer.map(drop), Err(Error::NoRuntime));
    let producer = session.producer().unwrap().into_async();
    assert_eq!(producer.map(drop), Err(Error::NoRuntime));
    let _driver = Driver::stream("output 1 64");
    let stream = ReadStream::open("selftest").unwrap();
    assert_eq!(stream.into_async().map(drop), Err(Error::NoRuntime));
}
