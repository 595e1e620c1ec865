// SPDX-License-Identifier: MIT OR Apache-2.0

//! The kinds of ends that a child can inherit: how each is opened, used, and seen to go on.

use std::io::{BufRead, Write};
use std::ops::ControlFlow;
use std::time::Duration;

use iostream::mode;
use iostream::{
    AsyncConsumer, AsyncProducer, AsyncReceiver, BuiltIn, Consumer, Control, DuplexStream, Error,
    OverwriteReader, Producer, ReadStream, Receiver, Result, Sender, Setup, Stop, Stream,
    WriteStream,
};
use tokio::runtime::Runtime;

use crate::clause::limit;
use crate::support::driver::Driver;
use crate::support::waiting::{wait_until, woken_by, EPOLL_WAIT};

/// What was opened before a fork.
pub trait Inherited {
    /// The results of operations, of which each would do something if it were not inherited.
    fn operations(&mut self) -> Vec<Result<()>>;

    /// Shows that all goes on in the process that opened it.
    fn goes_on(&mut self);
}

/// A kind of end.
pub struct Kind {
    pub name: &'static str,
    /// The stream of the driver, if the kind needs one.
    pub plan: Option<&'static str>,
    pub open: fn() -> Box<dyn Inherited>,
}

pub const KINDS: &[Kind] = &[
    Kind::queue("queue", || Box::new(Queue::open())),
    Kind::queue("overwriting queue", || Box::new(Overwriting::open())),
    Kind::queue("async queue", || Box::new(AsyncQueue::open())),
    Kind::stream("output stream", "output 8 64", || {
        Box::new(start::<mode::Read>())
    }),
    Kind::stream("input stream", "input 8 64", || {
        Box::new(start::<mode::Write>())
    }),
    Kind::stream("input-output stream", "input-output 8 64", || {
        Box::new(start::<mode::Duplex>())
    }),
    Kind::stream("halves", "input-output 8 64", || Box::new(Halves::open())),
    Kind::stream("control", "output 8 64", || Box::new(Steered::open())),
    Kind::stream("reader", "output 8 64", || {
        Box::new(start::<mode::Read>().into_reader())
    }),
    Kind::stream("writer", "input 8 64", || {
        Box::new(start::<mode::Write>().into_writer())
    }),
    Kind::stream("async stream", "output 8 64", || {
        Box::new(AsyncStream::open())
    }),
];

impl Kind {
    const fn queue(name: &'static str, open: fn() -> Box<dyn Inherited>) -> Self {
        let plan = None;
        Self { name, plan, open }
    }

    const fn stream(
        name: &'static str,
        plan: &'static str,
        open: fn() -> Box<dyn Inherited>,
    ) -> Self {
        let plan = Some(plan);
        Self { name, plan, open }
    }

    /// The driver of the kind, which lives while the kind is used.
    pub fn driver(&self) -> Option<Driver> {
        self.plan.map(Driver::stream)
    }
}

const NOW: Option<Duration> = Some(Duration::ZERO);

/// After this long a wait of [`Inherited::goes_on`] gives up. It looks once more then, so whoever
/// asks whether it was woken looks at the time.
pub fn time_out() -> Duration {
    limit(10)
}

/// Both ends of an echo.
struct Queue {
    producer: Producer,
    consumer: Consumer,
}

impl Queue {
    fn open() -> Self {
        let session = Setup::echo().open().unwrap();
        Self {
            producer: session.producer().unwrap(),
            consumer: session.consumer().unwrap(),
        }
    }
}

impl Inherited for Queue {
    fn operations(&mut self) -> Vec<Result<()>> {
        let (producer, consumer) = (&mut self.producer, &mut self.consumer);
        let batched = producer.batch().enqueue(b"child");
        vec![
            batched,
            producer.enqueue(b"child"),
            producer.reserve(8).map(drop),
            producer.enqueue_in_place(1, 8, |_| ()).map(drop),
            producer.wait_room(8, NOW),
            producer.arm_room(8).map(drop),
            producer.set_eventfd(None),
            producer.reset(),
            producer.renew(),
            consumer.peek().map(drop),
            consumer.dequeue_wait(NOW).map(drop),
            consumer.dequeue_into(&mut [0; 64]).map(drop),
            consumer.drain(1, |_| true).map(drop),
            consumer.for_each(|_| ControlFlow::Break(())),
            consumer.wait(NOW),
            consumer.arm().map(drop),
            consumer.set_watermark(0, Duration::ZERO),
            consumer.reset(),
            consumer.renew(),
        ]
    }

    fn goes_on(&mut self) {
        for bytes in [&b"one"[..], b"another"] {
            self.producer.enqueue(bytes).unwrap();
            assert_eq!(
                &*self.consumer.dequeue_wait(Some(time_out())).unwrap(),
                bytes
            );
        }
    }
}

struct Overwriting {
    session: BuiltIn,
    reader: OverwriteReader,
}

impl Overwriting {
    fn open() -> Self {
        let session = Setup::source(16, 16).overwrite(true).open().unwrap();
        let reader = session.overwrite_reader().unwrap();
        Self { session, reader }
    }
}

impl Inherited for Overwriting {
    fn operations(&mut self) -> Vec<Result<()>> {
        vec![
            self.reader.read_into(&mut [0; 64]).map(drop),
            self.reader.wait(NOW),
            self.reader.arm().map(drop),
            self.reader.set_eventfd(None),
            self.reader.reset(),
        ]
    }

    fn goes_on(&mut self) {
        self.session.run(1, None).result.unwrap();
        assert_eq!(self.reader.read_into(&mut [0; 64]).unwrap().len, 16);
    }
}

struct AsyncQueue {
    producer: AsyncProducer,
    consumer: AsyncConsumer,
    // Dropped last: the ends are registered with it.
    runtime: Runtime,
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_io().enable_time().build().unwrap()
}

impl AsyncQueue {
    fn open() -> Self {
        let (runtime, queue) = (runtime(), Queue::open());
        let guard = runtime.enter();
        let producer = queue.producer.into_async().unwrap();
        let consumer = queue.consumer.into_async().unwrap();
        drop(guard);
        Self {
            producer,
            consumer,
            runtime,
        }
    }
}

impl Inherited for AsyncQueue {
    fn operations(&mut self) -> Vec<Result<()>> {
        vec![
            self.runtime.block_on(self.producer.enqueue(b"child")),
            self.runtime.block_on(self.consumer.wait()),
            self.runtime.block_on(self.consumer.dequeue()).map(drop),
        ]
    }

    fn goes_on(&mut self) {
        let (producer, consumer) = (&mut self.producer, &mut self.consumer);
        let dequeue = || {
            self.runtime.block_on(async {
                let waiting = tokio::time::timeout(time_out(), consumer.dequeue());
                waiting.await.expect("woken").unwrap().to_vec()
            })
        };
        let enqueue = || producer.get_mut().enqueue(b"one").unwrap();
        assert_eq!(woken_by(EPOLL_WAIT, dequeue, enqueue), b"one");
    }
}

/// An open stream that runs.
fn start<M: iostream::mode::Mode>() -> Stream<M> {
    let stream = Stream::open("selftest").unwrap();
    stream.start().unwrap();
    stream
}

fn produce() {
    let driver = iostream_raw::Control::open("stspare");
    wait_until("a free buffer", || driver.tell("produce 1 8").is_ok());
}

fn operations_of_control(control: &Control) -> Vec<Result<()>> {
    vec![
        control.start(),
        control.suspend(),
        control.stop(Stop::Discard).map(drop),
        control.info().map(drop),
        control.refresh().map(drop),
        control.notify(0).map(drop),
        control.force_notify(0),
    ]
}

impl Inherited for ReadStream {
    fn operations(&mut self) -> Vec<Result<()>> {
        let mut results = operations_of_control(&self.control());
        results.extend([self.dequeue_wait(NOW).map(drop), self.wait(NOW)]);
        results
    }

    fn goes_on(&mut self) {
        produce();
        assert_eq!(self.dequeue_wait(Some(time_out())).unwrap().len(), 8);
    }
}

impl Inherited for WriteStream {
    fn operations(&mut self) -> Vec<Result<()>> {
        let mut results = operations_of_control(&self.control());
        results.extend([self.buffer().map(drop), self.buffer_wait(NOW).map(drop)]);
        results
    }

    fn goes_on(&mut self) {
        self.buffer_wait(Some(time_out())).unwrap().send(8).unwrap();
    }
}

impl Inherited for DuplexStream {
    fn operations(&mut self) -> Vec<Result<()>> {
        let mut results = operations_of_control(&self.control());
        results.extend([self.next().map(drop), self.wait(NOW)]);
        results
    }

    fn goes_on(&mut self) {
        produce();
        self.dequeue_wait(Some(time_out()))
            .unwrap()
            .send(8)
            .unwrap();
    }
}

struct Halves {
    receiver: Receiver<mode::Duplex>,
    sender: Sender<mode::Duplex>,
}

impl Halves {
    fn open() -> Self {
        let (receiver, sender) = start::<mode::Duplex>().split();
        Self { receiver, sender }
    }
}

impl Inherited for Halves {
    fn operations(&mut self) -> Vec<Result<()>> {
        vec![
            self.receiver.dequeue().map(drop),
            self.receiver.wait(NOW),
            self.receiver.arm().map(drop),
            self.receiver.set_eventfd(None),
            self.sender.set_eventfd(None),
            self.sender.control().start(),
        ]
    }

    fn goes_on(&mut self) {
        produce();
        let buffer = self.receiver.dequeue_wait(Some(time_out())).unwrap();
        self.sender.send(buffer, 8).unwrap();
    }
}

/// The last handle of a stream: dropping it stops the stream.
struct Steered {
    control: Control,
}

impl Steered {
    fn open() -> Self {
        let control = start::<mode::Read>().control();
        Self { control }
    }
}

impl Inherited for Steered {
    fn operations(&mut self) -> Vec<Result<()>> {
        operations_of_control(&self.control)
    }

    fn goes_on(&mut self) {
        self.control.suspend().unwrap();
        self.control.start().unwrap();
    }
}

/// This crate's error in one of `std::io`.
fn inner(error: std::io::Error) -> Error {
    let inner = error.into_inner().and_then(|inner| inner.downcast().ok());
    *inner.expect("an error of the crate")
}

impl Inherited for iostream::Reader<mode::Read> {
    fn operations(&mut self) -> Vec<Result<()>> {
        vec![self.fill_buf().map(drop).map_err(inner)]
    }

    fn goes_on(&mut self) {
        produce();
        let len = self.fill_buf().unwrap().len();
        assert_eq!(len, 8);
        self.consume(len);
    }
}

impl Inherited for iostream::Writer {
    fn operations(&mut self) -> Vec<Result<()>> {
        vec![self.write(b"child").map(drop).map_err(inner)]
    }

    fn goes_on(&mut self) {
        self.write_all(b"parent").unwrap();
        self.flush().unwrap();
    }
}

struct AsyncStream {
    receiver: AsyncReceiver<mode::Read>,
    _sender: Sender<mode::Read>,
    runtime: Runtime,
}

impl AsyncStream {
    fn open() -> Self {
        let runtime = runtime();
        let guard = runtime.enter();
        let (receiver, sender) = start::<mode::Read>().into_async().unwrap();
        drop(guard);
        Self {
            receiver,
            _sender: sender,
            runtime,
        }
    }
}

impl Inherited for AsyncStream {
    fn operations(&mut self) -> Vec<Result<()>> {
        vec![self.runtime.block_on(self.receiver.dequeue()).map(drop)]
    }

    fn goes_on(&mut self) {
        let receiver = &mut self.receiver;
        let dequeue = || {
            self.runtime.block_on(async {
                let waiting = tokio::time::timeout(time_out(), receiver.dequeue());
                waiting.await.expect("woken").unwrap().len()
            })
        };
        assert_eq!(woken_by(EPOLL_WAIT, dequeue, produce), 8);
    }
}
