// SPDX-License-Identifier: MIT OR Apache-2.0

//! `/dev/iostream` and drivers' nodes as the header describes them.

use std::mem::offset_of;
use std::sync::atomic::AtomicU64;

use iostream_ring::uapi::*;
use libc::{MAP_SHARED, O_CLOEXEC, O_NONBLOCK, O_RDWR, PROT_READ, PROT_WRITE};

use crate::sys::{self, Fd, Map, Result};

pub const DEVICE: &str = "/dev/iostream";
pub const PAGE: u64 = 4096;
pub const OUTPUT: u32 = IOSTREAM_OUTPUT;
pub const INPUT: u32 = IOSTREAM_INPUT;

/// Words of the producer's page that the header names.
pub const PRODUCER_WORDS: [usize; 4] = [
    offset_of!(iostream_producer, producer_pos),
    offset_of!(iostream_producer, oldest_pos),
    offset_of!(iostream_producer, wake_pos),
    offset_of!(iostream_producer, room_bytes),
];
/// Words of the consumer's page that the header names.
pub const CONSUMER_WORDS: [usize; 2] = [
    offset_of!(iostream_consumer, consumer_pos),
    offset_of!(iostream_consumer, wake_pos),
];
const PRODUCER_WAKE: usize = offset_of!(iostream_producer, wake_pos);
const CONSUMER_WAKE: usize = offset_of!(iostream_consumer, wake_pos);

/// Bytes that an entry of `len` occupies.
pub fn occupied(len: u64) -> u64 {
    (len + 8).next_multiple_of(8)
}

pub fn echo(bytes: u64) -> iostream_setup {
    iostream_setup {
        flags: IOSTREAM_SETUP_OUTPUT | IOSTREAM_SETUP_INPUT,
        endpoint: IOSTREAM_ENDPOINT_ECHO,
        output_bytes: bytes,
        input_bytes: bytes,
        ..Default::default()
    }
}

pub fn source(bytes: u64, len: u32, rate: u64) -> iostream_setup {
    iostream_setup {
        flags: IOSTREAM_SETUP_OUTPUT,
        endpoint: IOSTREAM_ENDPOINT_SOURCE,
        output_bytes: bytes,
        source_min_bytes: len,
        source_max_bytes: len,
        source_rate: rate,
        ..Default::default()
    }
}

pub fn sink(bytes: u64) -> iostream_setup {
    iostream_setup {
        flags: IOSTREAM_SETUP_INPUT,
        endpoint: IOSTREAM_ENDPOINT_SINK,
        input_bytes: bytes,
        ..Default::default()
    }
}

/// One open of a node.
pub struct Session {
    pub fd: Fd,
}

impl Drop for Session {
    fn drop(&mut self) {
        sys::close(self.fd);
    }
}

impl Session {
    /// Without a set-up; calls do not block.
    pub fn open(path: &str) -> Result<Self> {
        let fd = sys::open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK)?;
        Ok(Self { fd })
    }

    pub fn new(setup: iostream_setup) -> Self {
        Self::try_new(setup).unwrap_or_else(|error| panic!("set-up: errno {error}"))
    }

    pub fn try_new(mut setup: iostream_setup) -> Result<Self> {
        let session = Self::open(DEVICE)?;
        sys::ioctl_with(session.fd, IOSTREAM_IOC_SETUP, &mut setup)?;
        Ok(session)
    }

    pub fn queue(&self, direction: u32) -> Result<iostream_queue> {
        let mut queue = iostream_queue {
            direction,
            ..Default::default()
        };
        sys::ioctl_with(self.fd, IOSTREAM_IOC_QUEUE, &mut queue)?;
        Ok(queue)
    }

    pub fn notify(&self, direction: u32) -> Result<()> {
        sys::ioctl(self.fd, IOSTREAM_IOC_NOTIFY, direction as usize)
    }

    pub fn reset(&self, direction: u32) -> Result<()> {
        sys::ioctl(self.fd, IOSTREAM_IOC_RESET, direction as usize)
    }

    pub fn eventfd(&self, direction: u32, fd: Fd) -> Result<()> {
        let mut set = iostream_eventfd { direction, fd };
        sys::ioctl_with(self.fd, IOSTREAM_IOC_EVENTFD, &mut set)
    }

    /// Runs the endpoint; gives up after `timeout_ns` without progress (0: never).
    pub fn run(&self, entries: u64, timeout_ns: u64) -> (u64, Result<()>) {
        let mut run = iostream_run {
            entries,
            timeout_ns,
            ..Default::default()
        };
        let result = sys::ioctl_with(self.fd, IOSTREAM_IOC_RUN, &mut run);
        (run.done, result)
    }

    pub fn endpoint(&self) -> Result<iostream_endpoint> {
        let mut endpoint = iostream_endpoint::default();
        sys::ioctl_with(self.fd, IOSTREAM_IOC_ENDPOINT, &mut endpoint)?;
        Ok(endpoint)
    }

    pub fn map(&self, offset: u64, bytes: u64, writable: bool) -> Result<Map> {
        let prot = PROT_READ | if writable { PROT_WRITE } else { 0 };
        Map::new(self.fd, offset, bytes as usize, prot, MAP_SHARED)
    }
}

/// One queue, mapped as a process may.
pub struct Ring {
    pub producer: Map,
    pub consumer: Map,
    pub data: Map,
    pub info: Map,
    pub size: u64,
    pub max: u64,
    input: bool,
}

impl Ring {
    pub fn new(session: &Session, direction: u32) -> Result<Self> {
        let q = session.queue(direction)?;
        let input = direction == INPUT;
        Ok(Self {
            producer: session.map(q.producer_offset, PAGE, input)?,
            consumer: session.map(q.consumer_offset, PAGE, !input)?,
            data: session.map(q.data_offset, 2 * q.data_bytes, input)?,
            info: session.map(q.info_offset, PAGE, false)?,
            size: q.data_bytes,
            max: q.max_entry_bytes.into(),
            input,
        })
    }

    pub fn producer_pos(&self) -> &AtomicU64 {
        self.producer.word(PRODUCER_WORDS[0])
    }

    pub fn consumer_pos(&self) -> &AtomicU64 {
        self.consumer.word(CONSUMER_WORDS[0])
    }

    /// Where the consumer says at what position of the producer it wants to be woken.
    pub fn consumer_wake(&self) -> &AtomicU64 {
        self.consumer.word(CONSUMER_WAKE)
    }

    /// The same of the producer.
    pub fn producer_wake(&self) -> &AtomicU64 {
        self.producer.word(PRODUCER_WAKE)
    }

    /// The word of the data at a position.
    pub fn data_word(&self, pos: u64) -> &AtomicU64 {
        self.data.word((pos % self.size) as usize)
    }

    /// The page of words that the process writes, and those in it that mean something.
    pub fn own_words(&self) -> (&Map, &'static [usize]) {
        if self.input {
            (&self.producer, &PRODUCER_WORDS)
        } else {
            (&self.consumer, &CONSUMER_WORDS)
        }
    }

    /// All that the process may write.
    pub fn writable(&self) -> Vec<&Map> {
        if self.input {
            vec![&self.producer, &self.data]
        } else {
            vec![&self.consumer]
        }
    }
}
