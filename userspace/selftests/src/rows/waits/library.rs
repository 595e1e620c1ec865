// SPDX-License-Identifier: MIT OR Apache-2.0

//! The waits of the crate, and its futures on tokio.

use std::sync::Arc;

use iostream::{DuplexStream, ReadStream, Result, WriteStream};
use tokio::time::timeout;

use super::ground::{Ground, ENTRY};
use super::means::Wait;
use super::outcome::Outcome;
use super::situation::{Node, Situation, Want};

pub fn wait(ground: &Arc<Ground>) -> Wait {
    let (session, time) = (ground.library(), Some(ground.timeout()));
    let Situation { node, want, .. } = ground.situation;
    let entry = want == Want::Entry;
    match node {
        Node::StreamDuplex => {
            let mut stream = DuplexStream::from_session(session).expect("a stream");
            return Box::new(move || Outcome::of_library(stream.wait(time)));
        }
        Node::Overwriting => {
            let mut reader = session.overwrite_reader().expect("the reader");
            return Box::new(move || Outcome::of_library(reader.wait(time)));
        }
        _ => {}
    }
    match (node.is_stream(), entry) {
        (true, true) => {
            let mut stream = ReadStream::from_session(session).expect("a stream");
            Box::new(move || Outcome::of_library(stream.wait(time)))
        }
        (true, false) => {
            let mut stream = WriteStream::from_session(session).expect("a stream");
            send_all(&mut stream);
            Box::new(move || Outcome::of_library(stream.buffer_wait(time)))
        }
        (false, true) => {
            let mut consumer = session.consumer().expect("the consumer");
            Box::new(move || Outcome::of_library(consumer.wait(time)))
        }
        (false, false) => {
            let mut producer = session.producer().expect("the producer");
            Box::new(move || Outcome::of_library(producer.enqueue_wait(&[9; ENTRY], time)))
        }
    }
}

/// Sends all buffers, so that none is left to fill.
fn send_all(stream: &mut WriteStream) {
    while let Ok(buffer) = stream.buffer() {
        stream.sender().send(buffer, 8).expect("send");
    }
}

/// The outcome of a future that a time-out may end.
fn timed<T>(done: std::result::Result<Result<T>, tokio::time::error::Elapsed>) -> Outcome {
    done.map_or(Outcome::TimedOut, Outcome::of_library)
}

/// Waits on a reactor of this thread.
pub fn future(ground: &Arc<Ground>) -> Wait {
    let (session, time) = (ground.library(), ground.timeout());
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_io().enable_time().build().expect("tokio");
    let context = runtime.enter();
    let Situation { node, want, .. } = ground.situation;
    let entry = want == Want::Entry;
    if node == Node::StreamDuplex {
        let stream = DuplexStream::from_session(session).expect("a stream");
        let (mut receiver, _) = stream.into_async().expect("a reactor");
        drop(context);
        return Box::new(move || {
            timed(runtime.block_on(async { timeout(time, receiver.dequeue()).await }))
        });
    }
    match (node.is_stream(), entry) {
        (true, true) => {
            let stream = ReadStream::from_session(session).expect("a stream");
            let (mut receiver, _) = stream.into_async().expect("a reactor");
            drop(context);
            Box::new(move || {
                timed(runtime.block_on(async { timeout(time, receiver.dequeue()).await }))
            })
        }
        (true, false) => {
            let mut stream = WriteStream::from_session(session).expect("a stream");
            send_all(&mut stream);
            let (mut receiver, _) = stream.into_async().expect("a reactor");
            drop(context);
            Box::new(move || {
                timed(runtime.block_on(async { timeout(time, receiver.buffer()).await }))
            })
        }
        (false, true) => {
            let consumer = session.consumer().expect("the consumer");
            let mut consumer = consumer.into_async().expect("a reactor");
            drop(context);
            Box::new(move || {
                timed(runtime.block_on(async { timeout(time, consumer.wait()).await }))
            })
        }
        (false, false) => {
            let producer = session.producer().expect("the producer");
            let mut producer = producer.into_async().expect("a reactor");
            drop(context);
            Box::new(move || {
                let enqueued = async { timeout(time, producer.enqueue(&[9; ENTRY])).await };
                timed(runtime.block_on(enqueued))
            })
        }
    }
}
