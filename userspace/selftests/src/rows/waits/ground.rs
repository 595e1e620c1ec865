// SPDX-License-Identifier: MIT OR Apache-2.0

//! The node of a cell, and its session, in a state in which nothing is ready.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use iostream_raw::{
    echo, page, sink, source, Input, Output, Session, Stream, DEVICE, INPUT, OUTPUT,
};
use rustix::event::PollFlags;
use rustix::fs::{fcntl_setfl, OFlags};
use rustix::io::Errno;

use super::situation::{End, Node, Situation, Want};
use crate::clause::limit;
use crate::support::driver::Driver;
use crate::support::waiting::HOUR_MS;

/// Bytes of each entry; it occupies 32 bytes. Each queue is as long as a page.
pub const ENTRY: usize = 24;
const OCCUPIED: u64 = 32;

/// The time-out of a wait that nothing else ends.
const DEADLINE: Duration = Duration::from_millis(300);
/// The same while the sleeper is held awake: shorter than a point holds anyone, and so long that no
/// machine that works is as late.
const AWAKE_DEADLINE: Duration = Duration::from_secs(4);

/// A queue's end, or a stream, that the process has mapped.
pub enum Mapped {
    Output(Output),
    Input(Input),
    Stream(Box<Stream>),
}

/// Where a cell takes place.
pub struct Ground {
    pub situation: Situation,
    /// The driver's half, unless the node is `/dev/iostream`.
    driver: Option<Driver>,
    /// The client inside the kernel.
    client: Option<Driver>,
    session: Mutex<Option<Arc<Session>>>,
    mapped: Mutex<Option<Mapped>>,
}

/// A wait that is not ended within this time was not woken.
pub fn bound() -> Duration {
    limit(5)
}

/// The time-out of a wait that ends by it.
fn own_timeout(end: End) -> Option<Duration> {
    match end {
        End::Deadline => Some(DEADLINE),
        End::DeadlineAwake => Some(AWAKE_DEADLINE),
        _ => None,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A cell that failed in another thread is still cleaned up.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ground {
    /// Opens the node. `/dev/iostream` has no queues yet.
    pub fn open(situation: Situation) -> Self {
        // A close waits until it is done, or for a time that the test sees.
        let drain_ms = match situation.want {
            Want::Drained => own_timeout(situation.end).map_or(HOUR_MS, |it| it.as_millis() as u64),
            _ => 0,
        };
        let queues =
            |output: u64, input: u64| Driver::queues(&format!("{output} {input} drain={drain_ms}"));
        let stream = |mode: &str| Driver::stream(&format!("{mode} 2 64 queue=16 drain={drain_ms}"));
        let driver = match situation.node {
            Node::Output => Some(queues(page(), 0)),
            Node::Overwriting => Some(Driver::overwriting(page())),
            Node::Input => Some(queues(0, page())),
            Node::Duplex => Some(queues(page(), page())),
            Node::Source | Node::Echo | Node::Sink => None,
            Node::StreamOutput => Some(stream("output")),
            Node::StreamInput => Some(stream("input")),
            Node::StreamDuplex => Some(stream("input-output")),
        };
        let client = situation.want.is_of_client().then(Driver::client);
        let flags = OFlags::RDWR | OFlags::NONBLOCK;
        let session = match (&driver, &client) {
            (_, Some(_)) => None,
            (Some(driver), None) => Some(driver.open_nonblocking()),
            (None, None) => Some(Session::open(DEVICE, flags).expect("open /dev/iostream")),
        };
        Self {
            situation,
            driver,
            client,
            session: Mutex::new(session.map(Arc::new)),
            mapped: Mutex::new(None),
        }
    }

    /// Makes the queues, moves a first entry so that positions are not zero, and brings about the
    /// state in which what is waited for is not there.
    ///
    /// A handle of the crate sends all buffers of a stream itself (`handle`).
    pub fn set_up(&self, handle: bool) {
        match self.situation.node {
            Node::Source => self
                .session()
                .setup(source(page(), 24, 24, 0))
                .expect("set-up"),
            Node::Echo => self.session().setup(echo(page())).expect("set-up"),
            Node::Sink => self.session().setup(sink(page())).expect("set-up"),
            node if node.is_stream() => return self.set_up_stream(handle),
            _ => {}
        }
        match self.situation.want {
            Want::Entry | Want::DriverRoom | Want::RunRoom => {
                self.produce();
                self.session().read_entry();
            }
            _ => {
                self.session().write_entry(&[1; ENTRY]);
                self.consume();
            }
        }
        match self.situation.want {
            Want::RunRoom if self.situation.node == Node::Source => {
                while self.session().run_for(1, 1).1.is_ok() {}
            }
            Want::Room | Want::RunRoom => while self.session().write(&[2; ENTRY]).is_ok() {},
            Want::Drained => (0..2).for_each(|_| self.session().write_entry(&[2; ENTRY])),
            Want::DriverRoom => {
                self.driver().command(&format!("fill {ENTRY}"));
                self.driver()
                    .fails(&format!("enqueue {ENTRY}"), Errno::NOSPC);
            }
            Want::DriverEntry => self
                .driver()
                .fails(&format!("dequeue {ENTRY}"), Errno::NODATA),
            _ => {}
        }
    }

    fn set_up_stream(&self, handle: bool) {
        let duplex = self.situation.node == Node::StreamDuplex;
        if let Some(client) = &self.client {
            client.command("open selftest");
            client.command("start");
            if self.situation.want == Want::ClientRoom {
                while client.tell("take").is_ok() {
                    client.command("send");
                }
            }
            return;
        }
        self.session().start().expect("start");
        match self.situation.want {
            Want::Room if handle || duplex => {}
            Want::Room => while self.session().write(&[2; 8]).is_ok() {},
            Want::Drained => {
                if duplex {
                    (0..2).for_each(|_| self.send_empty());
                }
                while self.session().write(&[2; 8]).is_ok() {}
            }
            Want::DriverRoom => while self.driver().tell("take").is_ok() {},
            Want::DriverEntry => {
                if duplex {
                    self.send_empty();
                }
                self.driver().fails("receive", Errno::NODATA);
            }
            Want::Answer => self.driver().command("hold-callbacks"),
            _ => {}
        }
    }

    /// Maps what the process waits for.
    pub fn map(&self) {
        let session = self.session();
        let mapped = if self.situation.node.is_stream() {
            let fd = rustix::io::fcntl_dupfd_cloexec(&*session, 0).expect("dup");
            let mut stream = Stream::new(Session::from_fd(fd));
            stream.input.pos = position(stream.input.producer_pos());
            stream.output.pos = position(stream.output.consumer_pos());
            Mapped::Stream(Box::new(stream))
        } else if matches!(
            self.situation.want,
            Want::Entry | Want::DriverRoom | Want::RunRoom
        ) {
            let mut output = Output::new(&session);
            output.pos = position(output.consumer_pos());
            Mapped::Output(output)
        } else {
            let mut input = Input::new(&session);
            input.pos = position(input.producer_pos());
            Mapped::Input(input)
        };
        *lock(&self.mapped) = Some(mapped);
    }

    /// Runs `f` with what is mapped.
    pub fn with_mapped<R>(&self, f: impl FnOnce(&mut Mapped, &Session) -> R) -> R {
        let session = self.session();
        let mut mapped = lock(&self.mapped);
        f(mapped.as_mut().expect("it is mapped"), &session)
    }

    /// Consumes what came, or uses up the room that was made, through the mapping.
    pub fn settle(&self) {
        let room = self.situation.want == Want::Room;
        if self.situation.want == Want::Added {
            // The added buffers join.
            self.session().stream();
        }
        self.with_mapped(|mapped, session| match mapped {
            Mapped::Output(output) => while output.take_and_notify(session).is_some() {},
            Mapped::Input(input) => while input.push(session, &[3; ENTRY]) {},
            Mapped::Stream(stream) => {
                for descriptor in stream.take_all() {
                    if room {
                        stream.send_buffer(descriptor.buffer, 8);
                    } else {
                        stream.give_back(descriptor.buffer);
                    }
                }
            }
        });
    }

    /// Arms in the process's own page. Returns whether what is waited for is there already.
    pub fn arm(&self) -> bool {
        let watermark = self.watermark().unwrap_or((0, 0)).0;
        self.with_mapped(|mapped, _| match mapped {
            Mapped::Output(output) if watermark != 0 => output.arm_watermark(watermark),
            Mapped::Output(output) => output.arm(),
            Mapped::Input(input) => input.arm(OCCUPIED),
            Mapped::Stream(stream) => stream.output.arm(),
        })
    }

    /// What a process asks poll for.
    pub fn events(&self) -> PollFlags {
        match self.situation.want {
            Want::Entry => PollFlags::IN,
            Want::Room => PollFlags::OUT,
            Want::Added => PollFlags::PRI,
            want => panic!("nothing can be polled for {want:?}"),
        }
    }

    /// The queue on whose side the process waits.
    pub fn direction(&self) -> u32 {
        match self.situation.want {
            // A stream's buffers to fill come in the output queue.
            Want::Room if !self.situation.node.is_stream() => INPUT,
            _ => OUTPUT,
        }
    }

    /// Bytes and latency of the watermark with which the situation begins.
    pub fn watermark(&self) -> Option<(u64, u64)> {
        match self.situation.end {
            End::Watermark => Some((2 * OCCUPIED, 0)),
            End::Timer => Some((page() / 2, 20_000_000)),
            End::Flush | End::NoWatermark => Some((page() / 2, 0)),
            End::Full => Some((page(), 0)),
            _ => None,
        }
    }

    /// The time-out that a wait gives itself.
    pub fn timeout(&self) -> Duration {
        own_timeout(self.situation.end).unwrap_or_else(bound)
    }

    /// The same in milliseconds.
    pub fn timeout_ms(&self) -> u64 {
        self.timeout().as_millis() as u64
    }

    pub fn driver(&self) -> &Driver {
        self.driver.as_ref().expect("a driver's node")
    }

    pub fn client(&self) -> &Driver {
        self.client.as_ref().expect("a client in the kernel")
    }

    pub fn session(&self) -> Arc<Session> {
        self.open_session().expect("the session is open")
    }

    /// The session, unless a client inside the kernel has it, or it is closed.
    pub fn open_session(&self) -> Option<Arc<Session>> {
        lock(&self.session).clone()
    }

    /// A session of the crate that shares the descriptor.
    pub fn library(&self) -> iostream::Session {
        let fd = rustix::io::fcntl_dupfd_cloexec(&*self.session(), 0).expect("dup");
        iostream::Session::from_fd(fd).expect("a session of the crate")
    }

    /// Lets calls of the session block.
    pub fn let_block(&self) {
        fcntl_setfl(&*self.session(), OFlags::RDWR).expect("fcntl");
    }

    /// Closes the session.
    pub fn close(&self) {
        *lock(&self.mapped) = None;
        // The close may wait, and then without the lock.
        let session = lock(&self.session).take();
        drop(session);
    }

    /// Puts an entry, or a buffer, into the output queue.
    pub fn produce(&self) {
        match self.situation.node {
            Node::Source => self.session().run(1).1.expect("run"),
            Node::Echo => self.session().write_entry(&[4; ENTRY]),
            Node::StreamOutput => self.driver().command("produce 1 8"),
            Node::StreamDuplex => {
                // A buffer that was returned is free once the driver has looked.
                let _ = self.driver().tell("consume 1");
                self.driver().command("produce 1 8");
            }
            _ => self.driver().command(&format!("enqueue {ENTRY}")),
        }
    }

    /// Takes an entry, or a buffer, out of the input queue.
    fn consume(&self) {
        match self.situation.node {
            // The echo moves an entry to the output queue whenever there is room.
            Node::Echo => drop(self.session().read_entry()),
            // The sink has taken it.
            Node::Sink => {}
            Node::StreamInput => self.driver().command("consume 1"),
            _ => self.driver().command(&format!("dequeue {ENTRY}")),
        }
    }

    /// Makes room for an entry, or brings a buffer to fill.
    pub fn make_room(&self) {
        match self.situation.node {
            Node::StreamInput => {
                self.consume();
                // A released buffer goes back when the driver looks for the next one.
                let _ = self.driver().tell("receive");
            }
            Node::StreamDuplex => {
                let _ = self.driver().tell("consume 1");
                self.send_empty();
            }
            _ => self.consume(),
        }
    }

    /// The driver sends a buffer without data, for the client to fill.
    fn send_empty(&self) {
        self.driver().send_buffer(0);
    }

    /// Ends whatever still waits, as far as the cell can.
    pub fn abandon(&self) {
        if let Some(driver) = &self.driver {
            let _ = driver.tell("unpublish");
        }
        self.close();
    }
}

fn position(word: &iostream_raw::Word) -> u64 {
    word.load(std::sync::atomic::Ordering::Relaxed)
}
