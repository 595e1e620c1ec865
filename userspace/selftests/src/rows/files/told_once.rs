// SPDX-License-Identifier: MIT OR Apache-2.0

//! F-06: a loss is told once, before what comes after it, whatever lies between and whoever looks
//! meanwhile; and F-01: poll foretells it.
//!
//! A driver sends each sequence of up to three items, of up to two in input-output mode. A program
//! then polls and reads, in each reading mode, until nothing is left, and between its reads looks or
//! writes.

use iostream_raw::Session;
use iostream_ring::uapi::*;
use rustix::event::PollFlags;
use rustix::io::{ioctl_fionread, Errno};

use crate::clause::Clause;
use crate::support::driver::Driver;

pub const CLAUSES: &[Clause] = &[
    Clause::slow("F-06/told-once-on-queues", 240, || {
        Node::Queue.check();
        Node::Overwriting.check();
    }),
    Clause::slow("F-06/told-once-on-streams", 240, || {
        Node::Output.check();
        Node::InputOutput.check();
    }),
];

/// What a driver sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Item {
    /// Something is lost before it.
    lost: bool,
    empty: bool,
}

/// What a read returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    Bytes(usize),
    Loss,
}

/// What the program does between its reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    /// Asks how many bytes it could read.
    Looks,
    Writes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Queue,
    Overwriting,
    Output,
    InputOutput,
}

/// Each sequence of up to `most` items.
fn sequences(most: u32) -> impl Iterator<Item = Vec<Item>> {
    let item = |number: usize| Item {
        lost: number & 1 != 0,
        empty: number & 2 != 0,
    };
    (1..=most).flat_map(move |len| {
        (0..4_usize.pow(len)).map(move |number| {
            let numbers = (0..len).map(|at| (number >> (2 * at)) & 3);
            numbers.map(item).collect()
        })
    })
}

/// The bytes of the item with this number.
fn bytes_of(number: usize, item: Item) -> usize {
    if item.empty {
        0
    } else {
        8 + number
    }
}

impl Node {
    fn is_stream(self) -> bool {
        matches!(self, Self::Output | Self::InputOutput)
    }

    fn publish(self) -> Driver {
        match self {
            Self::Queue => Driver::new(4096, 0),
            Self::Overwriting => Driver::overwriting(4096),
            Self::Output => Driver::stream("output 3 64"),
            Self::InputOutput => Driver::stream("input-output 3 64 drain=1"),
        }
    }

    fn check(self) {
        let driver = self.publish();
        // Empty buffers of a stream are passed over in every mode.
        let modes: &[u32] = match self.is_stream() {
            true => &[0, IOSTREAM_READ_LOSS],
            false => &[
                0,
                IOSTREAM_READ_WHOLE,
                IOSTREAM_READ_LOSS,
                IOSTREAM_READ_FLAGS,
            ],
        };
        for &flags in modes {
            for meanwhile in [Meanwhile::Nothing, Meanwhile::Looks, Meanwhile::Writes] {
                if meanwhile == Meanwhile::Writes && self != Self::InputOutput {
                    continue;
                }
                let mut session = self.open(&driver, flags);
                let most = if self == Self::InputOutput { 2 } else { 3 };
                for sequence in sequences(most) {
                    if self == Self::InputOutput {
                        // Empty buffers stay with the client, for write(2).
                        drop(session);
                        session = self.open(&driver, flags);
                    }
                    self.send(&driver, &sequence);
                    self.read_all(&session, flags, meanwhile, &sequence);
                }
            }
        }
    }

    fn open(self, driver: &Driver, flags: u32) -> Session {
        let session = driver.open_nonblocking();
        session
            .pass_number(IOSTREAM_IOC_READ_MODE, flags as usize)
            .unwrap();
        if self.is_stream() {
            session.start().unwrap();
        }
        session
    }

    fn send(self, driver: &Driver, sequence: &[Item]) {
        for (number, item) in sequence.iter().enumerate() {
            if item.lost {
                driver.command("lost 3");
            }
            let len = bytes_of(number, *item);
            if self.is_stream() {
                driver.send_buffer(len);
            } else {
                driver.command(&format!("enqueue {len}"));
            }
        }
    }

    /// What the reads return.
    fn expected(self, flags: u32, sequence: &[Item]) -> Vec<Read> {
        let mut reads = Vec::new();
        for (number, item) in sequence.iter().enumerate() {
            // An overwriting queue tells of several losses at once.
            let told = self == Self::Overwriting && reads.last() == Some(&Read::Loss);
            if flags & IOSTREAM_READ_LOSS != 0 && item.lost && !told {
                reads.push(Read::Loss);
            }
            if !item.empty || (flags & IOSTREAM_READ_WHOLE != 0 && !self.is_stream()) {
                reads.push(Read::Bytes(bytes_of(number, *item)));
            }
        }
        reads
    }

    fn read_all(self, session: &Session, flags: u32, meanwhile: Meanwhile, sequence: &[Item]) {
        let case = format!("{self:?}, mode {flags}, {meanwhile:?}, {sequence:?}");
        let mut reads = Vec::new();
        loop {
            match meanwhile {
                Meanwhile::Nothing => {}
                Meanwhile::Looks => _ = ioctl_fionread(session).unwrap(),
                Meanwhile::Writes => write(session),
            }
            let ready = !session.poll(PollFlags::IN, 0).is_empty();
            let read = session.read(&mut [0; 64]);
            let foretold = ready == (read != Err(Errno::AGAIN));
            assert!(foretold, "{case}: poll, {read:?} after {reads:?}");
            reads.push(match read {
                Ok(len) => Read::Bytes(len),
                Err(Errno::PIPE) => Read::Loss,
                Err(Errno::AGAIN) => break,
                Err(error) => panic!("{case}: {error} after {reads:?}"),
            });
            assert!(reads.len() < 10, "{case}: {reads:?}");
        }
        assert_eq!(reads, self.expected(flags, sequence), "{case}");
    }
}

/// Writes into a buffer, if poll says that there is one to fill.
fn write(session: &Session) {
    let ready = !session.poll(PollFlags::OUT, 0).is_empty();
    let written = session.write(b"x");
    assert_eq!(ready, written != Err(Errno::AGAIN), "poll, {written:?}");
}
