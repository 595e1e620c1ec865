// SPDX-License-Identifier: MIT OR Apache-2.0

//! The process's end of a queue, as iostream.h describes it. It shares no code with the ring.

use std::sync::atomic::{fence, Ordering::*};

use std::mem::offset_of;

use rustix::io::Result;

use super::{consumer, producer, Area, Map, Prot, Session, INPUT, OUTPUT};
use iostream_ring::uapi::{iostream_info, iostream_queue, IOSTREAM_QUEUE_SLOTS};

/// An entry that was taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub bytes: Vec<u8>,
    pub flags: u16,
    pub lost: u16,
}

fn occupied(len: u32) -> u64 {
    (u64::from(len) + 8).next_multiple_of(8)
}

/// The length of all entries, in a queue where they have no headers.
fn slot_of(queue: &iostream_queue) -> Option<u32> {
    (queue.flags & IOSTREAM_QUEUE_SLOTS != 0).then_some(queue.max_entry_bytes)
}

/// Whether a step from `old` to `new` crosses `wake`.
fn crossed(wake: u64, old: u64, new: u64) -> bool {
    new.wrapping_sub(wake) < new.wrapping_sub(old)
}

/// An output queue: the process consumes.
pub struct Output {
    pub info: Map,
    pub producer: Map,
    pub consumer: Map,
    pub data: Map,
    pub size: u64,
    slot: Option<u32>,
    pub pos: u64,
    looked: u64,
}

impl Output {
    pub fn new(session: &Session) -> Self {
        Self::try_new(session).expect("mmap of an output queue")
    }

    /// As [`Self::new`], of a driver that may go meanwhile.
    pub fn try_new(session: &Session) -> Result<Self> {
        let queue = session.try_queue(OUTPUT)?;
        Ok(Self {
            info: session.try_map(OUTPUT, Area::Info, Prot::READ)?,
            producer: session.try_map(OUTPUT, Area::Producer, Prot::READ)?,
            consumer: session.try_map(OUTPUT, Area::Consumer, Prot::READ | Prot::WRITE)?,
            data: session.try_map(OUTPUT, Area::Data, Prot::READ)?,
            size: queue.data_bytes,
            slot: slot_of(&queue),
            pos: 0,
            looked: 0,
        })
    }

    /// Bytes that wait, overhead included.
    pub fn available(&self) -> u64 {
        let head = self.producer.word(producer::POS).load(Acquire);
        let bytes = head.wrapping_sub(self.pos);
        assert!(
            bytes <= self.size,
            "the kernel's position: {head}, own {}",
            self.pos
        );
        bytes
    }

    /// Takes the next entry out and frees its room; does not notify.
    pub fn take(&mut self) -> Option<Entry> {
        if self.available() == 0 {
            return None;
        }
        let at = (self.pos % self.size) as usize;
        if let Some(len) = self.slot {
            let entry = Entry {
                bytes: self.data.read(at, len as usize),
                flags: 0,
                lost: 0,
            };
            self.free(len.into());
            return Some(entry);
        }
        let header = self.data.read(at, 8);
        let len = u32::from_ne_bytes(header[..4].try_into().unwrap());
        assert!(occupied(len) <= self.available(), "entry of {len} bytes");
        let entry = Entry {
            bytes: self.data.read(at + 8, len as usize),
            flags: u16::from_ne_bytes(header[4..6].try_into().unwrap()),
            lost: u16::from_ne_bytes(header[6..].try_into().unwrap()),
        };
        self.free(occupied(len));
        Some(entry)
    }

    fn free(&mut self, bytes: u64) {
        self.pos += bytes;
        self.consumer.word(consumer::POS).store(self.pos, Release);
    }

    /// Whether the kernel waits for the room that was made.
    pub fn must_notify(&mut self) -> bool {
        fence(SeqCst);
        let wake = self.producer.word(producer::WAKE).load(Relaxed);
        crossed(
            wake,
            std::mem::replace(&mut self.looked, self.pos),
            self.pos,
        )
    }

    /// Takes the next entry out, and tells the kernel of the room if it waits.
    pub fn take_and_notify(&mut self, session: &Session) -> Option<Entry> {
        let entry = self.take()?;
        if self.must_notify() {
            session.notify(OUTPUT).expect("IOSTREAM_IOC_NOTIFY");
        }
        Some(entry)
    }

    /// Asks to be woken by the next entry. Whether one waits already.
    pub fn arm(&self) -> bool {
        self.consumer
            .word(consumer::WAKE)
            .store(self.pos + 8, Relaxed);
        fence(SeqCst);
        self.available() != 0
    }

    /// Asks to be woken when `bytes` wait. Whether they do, or something was made ready before.
    pub fn arm_watermark(&self, bytes: u64) -> bool {
        let wake = self.pos + bytes.max(8);
        self.consumer.word(consumer::WAKE).store(wake, Relaxed);
        fence(SeqCst);
        let available = self.available();
        let ready = self.info.word(READY_POS).load(Relaxed);
        available != 0 && (available >= bytes || ready > self.pos)
    }
}

/// Where the info page has it.
const READY_POS: usize = offset_of!(iostream_info, ready_pos);

/// An input queue: the process produces.
pub struct Input {
    pub producer: Map,
    pub consumer: Map,
    pub data: Map,
    pub size: u64,
    slot: Option<u32>,
    pub pos: u64,
    looked: u64,
}

impl Input {
    pub fn new(session: &Session) -> Self {
        Self::try_new(session).expect("mmap of an input queue")
    }

    /// As [`Self::new`], of a driver that may go meanwhile.
    pub fn try_new(session: &Session) -> Result<Self> {
        let writable = Prot::READ | Prot::WRITE;
        let queue = session.try_queue(INPUT)?;
        Ok(Self {
            producer: session.try_map(INPUT, Area::Producer, writable)?,
            consumer: session.try_map(INPUT, Area::Consumer, Prot::READ)?,
            data: session.try_map(INPUT, Area::Data, writable)?,
            size: queue.data_bytes,
            slot: slot_of(&queue),
            pos: 0,
            looked: 0,
        })
    }

    /// The same after a reset.
    pub fn again(self) -> Self {
        Self {
            pos: 0,
            looked: 0,
            ..self
        }
    }

    /// Free bytes, overhead included.
    pub fn room(&self) -> u64 {
        let tail = self.consumer.word(consumer::POS).load(Acquire);
        let used = self.pos.wrapping_sub(tail);
        assert!(
            used <= self.size,
            "the kernel's position: {tail}, own {}",
            self.pos
        );
        self.size - used
    }

    /// Writes an entry without showing it. Whether it fitted.
    pub fn put(&mut self, bytes: &[u8]) -> bool {
        let len = bytes.len() as u32;
        let need = self.slot.map_or(occupied(len), u64::from);
        if self.room() < need {
            return false;
        }
        let at = (self.pos % self.size) as usize;
        if let Some(slot) = self.slot {
            assert_eq!(len, slot, "no entry of this queue");
            self.data.write(at, bytes);
        } else {
            self.data.write(at, &u64::from(len).to_le_bytes());
            self.data.write(at + 8, bytes);
        }
        self.pos += need;
        true
    }

    /// Shows all that was written.
    pub fn publish(&mut self) {
        self.producer.word(producer::POS).store(self.pos, Release);
    }

    /// Whether the kernel waits for what was published.
    pub fn must_notify(&mut self) -> bool {
        fence(SeqCst);
        let wake = self.consumer.word(consumer::WAKE).load(Relaxed);
        crossed(
            wake,
            std::mem::replace(&mut self.looked, self.pos),
            self.pos,
        )
    }

    /// Writes an entry, shows it, and tells the kernel if it waits. Whether it fitted.
    pub fn push(&mut self, session: &Session, bytes: &[u8]) -> bool {
        if !self.put(bytes) {
            return false;
        }
        self.publish();
        if self.must_notify() {
            session.notify(INPUT).expect("IOSTREAM_IOC_NOTIFY");
        }
        true
    }

    /// Asks to be woken when `need` bytes, overhead included, are free. Whether they are already.
    pub fn arm(&self, need: u64) -> bool {
        let wake = self.pos.wrapping_add(need).wrapping_sub(self.size);
        self.producer.word(producer::WAKE).store(wake, Relaxed);
        self.producer.word(producer::ROOM).store(need, Relaxed);
        fence(SeqCst);
        self.room() >= need
    }
}
