// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a wait says when its time is over, for each waiting function and each state of what it
//! waits for: what is there, then an end, and only then that the time is over.

use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use rustix::event::{poll, PollFd, PollFlags};
use rustix::param::page_size;
use rustix::pipe::{fcntl_setpipe_size, pipe_with, PipeFlags};

use super::loopback::{Loopback, OverwritingProducer};
use super::stream_loopback::StreamLoopback;
use crate::mode::{self, Mode};
use crate::stream::Descriptors;
use crate::{uapi, Buffer, Consumer, Error, Producer, Result, Stream, Waker};

/// The waiting functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Wait,
    DequeueWait,
    ReaderWait,
    WaitRoom,
    EnqueueWait,
    StreamWait,
    StreamDequeueWait,
    DuplexDequeueWait,
    /// For a buffer that comes back from the driver.
    BufferWait,
    /// For a buffer that this process drops.
    HeldBufferWait,
    HeldStreamWait,
}

const CALLS: [Call; 11] = [
    Call::Wait,
    Call::DequeueWait,
    Call::ReaderWait,
    Call::WaitRoom,
    Call::EnqueueWait,
    Call::StreamWait,
    Call::StreamDequeueWait,
    Call::DuplexDequeueWait,
    Call::BufferWait,
    Call::HeldBufferWait,
    Call::HeldStreamWait,
];

impl Call {
    fn is_of_a_stream(self) -> bool {
        !self.is_of_a_producer()
            && !matches!(self, Self::Wait | Self::DequeueWait | Self::ReaderWait)
    }

    fn is_of_a_producer(self) -> bool {
        matches!(self, Self::WaitRoom | Self::EnqueueWait)
    }

    /// Whether it waits for entries of the output queue alone, so that a watermark matters.
    fn heeds_a_watermark(self) -> bool {
        !self.is_of_a_producer() && !matches!(self, Self::HeldBufferWait | Self::HeldStreamWait)
    }
}

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Nothing,
    Ready,
    Gone,
    ReadyAndGone,
    Stopped,
    ReadyAndStopped,
    /// The driver is gone, which stops its stream.
    GoneAndStopped,
    /// Someone has reset the queue.
    Stale,
    /// This process finds the other side's position invalid.
    Corrupt,
    /// The kernel finds this process's position invalid, and says so in poll alone.
    PolledError,
    /// Poll alone says that the driver is gone.
    PolledHangUp,
    Woken,
    /// Another process has woken the waker, which poll alone says.
    WokenElsewhere,
    BelowWatermark,
    BelowWatermarkAndGone,
    BelowWatermarkAndStopped,
    AtWatermark,
}

use State::*;

const STATES: [State; 17] = [
    Nothing,
    Ready,
    Gone,
    ReadyAndGone,
    Stopped,
    ReadyAndStopped,
    GoneAndStopped,
    Stale,
    Corrupt,
    PolledError,
    PolledHangUp,
    Woken,
    WokenElsewhere,
    BelowWatermark,
    BelowWatermarkAndGone,
    BelowWatermarkAndStopped,
    AtWatermark,
];

impl State {
    fn applies_to(self, call: Call) -> bool {
        match self {
            Stopped | ReadyAndStopped | GoneAndStopped => call.is_of_a_stream(),
            BelowWatermark | BelowWatermarkAndGone | AtWatermark => call.heeds_a_watermark(),
            BelowWatermarkAndStopped => call.heeds_a_watermark() && call.is_of_a_stream(),
            _ => true,
        }
    }

    /// What the wait is to say.
    fn outcome(self, call: Call) -> Result<()> {
        match self {
            Nothing | BelowWatermark => Err(Error::TimedOut),
            // Nobody would take the entry.
            ReadyAndGone if call.is_of_a_producer() => Err(Error::Gone),
            Ready | ReadyAndGone | ReadyAndStopped | AtWatermark => Ok(()),
            BelowWatermarkAndGone | BelowWatermarkAndStopped => Ok(()),
            Gone | GoneAndStopped | PolledHangUp => Err(Error::Gone),
            Stopped => Err(Error::NotRunning),
            Stale => Err(Error::Stale),
            Corrupt | PolledError => Err(Error::Corrupt),
            Woken | WokenElsewhere => Err(Error::Cancelled),
        }
    }
}

/// The other side of a wait.
enum Side {
    Consumer(Loopback, Consumer),
    Producer(Loopback, Producer),
    Overwriting(Loopback, OverwritingProducer),
    Driver(StreamLoopback),
    /// Besides the driver, this process has the only buffer.
    Holder(StreamLoopback, Option<Buffer<mode::Write>>),
}

/// A wait that has not begun, on a queue of which poll reports nothing until told to.
struct Ground {
    call: Call,
    wait: Box<dyn FnMut(Option<Duration>) -> Result<()> + Send>,
    side: Side,
    waker: Waker,
    /// The other end of the pipe that is polled in the queue's place. When it is closed, poll
    /// reports that the driver is gone, or that the queue is corrupt.
    pipe: Option<OwnedFd>,
    /// The end that is polled.
    polled: OwnedFd,
}

const LEN: usize = 504;

impl Ground {
    fn new(call: Call, is_error: bool) -> Self {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK).unwrap();
        // A pipe that is full is not writable either.
        let size = fcntl_setpipe_size(&writer, 4096).unwrap();
        rustix::io::write(&writer, &vec![0; size]).unwrap();
        let (polled, pipe) = if is_error {
            (writer, reader)
        } else {
            rustix::io::read(&reader, &mut vec![0; size]).unwrap();
            (reader, writer)
        };
        let same = polled.try_clone().unwrap();
        let waker = Waker::new().unwrap();
        let some = Some(waker.clone());
        let page = page_size() as u64;
        let (wait, side): (Box<dyn FnMut(_) -> _ + Send>, _) = match call {
            Call::Wait | Call::DequeueWait => {
                let loopback = Loopback::new(page, false).polled(polled);
                let (producer, mut consumer) = loopback.pair();
                consumer.set_waker(some);
                let side = Side::Producer(loopback, producer);
                match call {
                    Call::Wait => (Box::new(move |time| consumer.wait(time)), side),
                    _ => (
                        Box::new(move |time| consumer.dequeue_wait(time).map(drop)),
                        side,
                    ),
                }
            }
            Call::ReaderWait => {
                let loopback = Loopback::new(page, true).polled(polled);
                let (producer, mut reader) = loopback.overwriting();
                reader.set_waker(some);
                let side = Side::Overwriting(loopback, producer);
                (Box::new(move |time| reader.wait(time)), side)
            }
            Call::WaitRoom | Call::EnqueueWait => {
                let loopback = Loopback::new(page, false).polled(polled);
                let (mut producer, consumer) = loopback.pair();
                producer.set_waker(some);
                while producer.enqueue(&[7; LEN]).is_ok() {}
                let side = Side::Consumer(loopback, consumer);
                match call {
                    Call::WaitRoom => (
                        Box::new(move |time| producer.wait_room(LEN as u64 + 8, time)),
                        side,
                    ),
                    _ => (
                        Box::new(move |time| producer.enqueue_wait(&[7; LEN], time)),
                        side,
                    ),
                }
            }
            Call::StreamWait | Call::StreamDequeueWait => {
                let (driver, mut stream) = stream::<mode::Read>(polled, some);
                let side = Side::Driver(driver);
                match call {
                    Call::StreamWait => (Box::new(move |time| stream.wait(time)), side),
                    _ => (
                        Box::new(move |time| stream.dequeue_wait(time).map(drop)),
                        side,
                    ),
                }
            }
            Call::DuplexDequeueWait => {
                let (driver, mut stream) = stream::<mode::Duplex>(polled, some);
                let wait = move |time| stream.dequeue_wait(time).map(drop);
                (Box::new(wait), Side::Driver(driver))
            }
            Call::BufferWait => {
                let (mut driver, mut stream) = stream::<mode::Write>(polled, some);
                stream.buffer().unwrap().send(1).unwrap();
                driver.receive().unwrap();
                let wait = move |time| stream.buffer_wait(time).map(drop);
                (Box::new(wait), Side::Driver(driver))
            }
            Call::HeldBufferWait | Call::HeldStreamWait => {
                let (driver, mut stream) = stream::<mode::Write>(polled, some);
                let side = Side::Holder(driver, Some(stream.buffer().unwrap()));
                match call {
                    Call::HeldStreamWait => (Box::new(move |time| stream.wait(time)), side),
                    _ => (
                        Box::new(move |time| stream.buffer_wait(time).map(drop)),
                        side,
                    ),
                }
            }
        };
        let pipe = Some(pipe);
        Self {
            call,
            wait,
            side,
            waker,
            pipe,
            polled: same,
        }
    }

    /// Closes the other end of the pipe. A child that another test forks meanwhile has it, too, until
    /// it ends.
    fn close_pipe(&mut self) {
        self.pipe = None;
        let mut fds = [PollFd::new(&self.polled, PollFlags::empty())];
        assert_eq!(poll(&mut fds, None), Ok(1));
    }

    fn loopback(&self) -> &Loopback {
        match &self.side {
            Side::Consumer(loopback, _)
            | Side::Producer(loopback, _)
            | Side::Overwriting(loopback, _) => loopback,
            Side::Driver(driver) | Side::Holder(driver, _) => driver.output(),
        }
    }

    /// Brings about what is waited for.
    fn supply(&mut self) {
        match &mut self.side {
            Side::Consumer(_, consumer) => drop(super::drain(consumer)),
            Side::Producer(_, producer) => producer.enqueue(b"here").unwrap(),
            Side::Overwriting(_, producer) => producer.push(b"here"),
            Side::Driver(driver) => driver.send(0, b"", b""),
            Side::Holder(_, held) => drop(held.take()),
        }
    }

    fn enter(&mut self, state: State) {
        if matches!(state, Ready | ReadyAndGone | ReadyAndStopped) {
            self.supply();
        }
        // A descriptor has 64 bytes, which is also what a short entry takes at most.
        match state {
            BelowWatermark | BelowWatermarkAndGone | BelowWatermarkAndStopped => {
                self.loopback().show_watermark(65);
                self.supply();
            }
            AtWatermark => {
                self.loopback().show_watermark(16);
                self.supply();
            }
            _ => {}
        }
        if matches!(state, PolledError | PolledHangUp) {
            self.close_pipe();
        }
        match (state, &self.side) {
            (Gone | ReadyAndGone | BelowWatermarkAndGone, side) => match side {
                Side::Driver(driver) | Side::Holder(driver, _) => driver.go(),
                _ => self.loopback().go(),
            },
            (
                Stopped | ReadyAndStopped | BelowWatermarkAndStopped,
                Side::Driver(driver) | Side::Holder(driver, _),
            ) => driver.set_state(uapi::IOSTREAM_STATE_STOPPED),
            (GoneAndStopped, Side::Driver(driver) | Side::Holder(driver, _)) => {
                driver.set_state(uapi::IOSTREAM_STATE_STOPPED);
                driver.go();
            }
            (Stale, _) => self.loopback().reset(),
            (Corrupt, Side::Consumer(loopback, _)) => loopback.spoil_consumer_pos(1),
            (Corrupt, _) => self.loopback().spoil_producer_pos(1),
            (Woken, _) => self.waker.wake(),
            (WokenElsewhere, _) => {
                rustix::io::write(&self.waker, &1_u64.to_ne_bytes()).unwrap();
            }
            _ => {}
        }
    }
}

fn stream<M: Mode>(polled: OwnedFd, waker: Option<Waker>) -> (StreamLoopback, Stream<M>) {
    let output = Loopback::of_slots::<Descriptors>(2 * page_size() as u64).polled(polled);
    let (driver, mut stream) = StreamLoopback::with_output(1, 1, output);
    stream.set_waker(waker);
    (driver, stream)
}

fn cases() -> impl Iterator<Item = (Call, State)> {
    let all = |call| STATES.into_iter().map(move |state| (call, state));
    let applies = |(call, state): &(Call, State)| state.applies_to(*call);
    CALLS.into_iter().flat_map(all).filter(applies)
}

/// All that differs from what it is to be, in one list.
#[track_caller]
fn check(outcomes: impl Iterator<Item = (Call, State, Result<()>)>) {
    let wrong: Vec<String> = outcomes
        .filter(|(call, state, outcome)| *outcome != state.outcome(*call))
        .map(|(call, state, outcome)| format!("{call:?} in {state:?}: {outcome:?}"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A time that is over says no more than that nothing else has happened.
#[test]
fn no_time_and_little_time_say_what_there_is() {
    for time in [Duration::ZERO, Duration::from_millis(1)] {
        check(cases().map(|(call, state)| {
            let mut ground = Ground::new(call, state == PolledError);
            ground.enter(state);
            (call, state, (ground.wait)(Some(time)))
        }));
    }
}

/// What happens during the last sleep, and does not end it, is not missed.
#[test]
fn the_last_look_comes_after_the_time() {
    const TIME: Duration = Duration::from_secs(2);
    let late = [Ready, Gone, ReadyAndGone, Stopped, Stale, Corrupt];
    let grounds = cases().filter(|(_, state)| late.contains(state));
    let waiting: Vec<_> = grounds
        .map(|(call, state)| {
            let mut ground = Ground::new(call, false);
            let mut wait = std::mem::replace(&mut ground.wait, Box::new(|_| Ok(())));
            let calls = ground.loopback().calls();
            let waiting = thread::spawn(move || wait(Some(TIME)));
            // A call is counted before it is made.
            while ground.loopback().calls() == calls {
                thread::yield_now();
            }
            ground.enter(state);
            (state, ground, waiting)
        })
        .collect();
    check(waiting.into_iter().map(|(state, ground, waiting)| {
        let (call, outcome) = (ground.call, waiting.join().unwrap());
        // A busy machine may let it look between the two.
        let between = state == ReadyAndGone && outcome == Ready.outcome(call);
        (call, if between { Ready } else { state }, outcome)
    }));
}
