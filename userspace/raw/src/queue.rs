// SPDX-License-Identifier: MIT OR Apache-2.0

//! The process's end of a queue, as `iostream.h` describes it.

use std::mem::offset_of;
use std::ops::Deref;
use std::sync::atomic::{fence, Ordering::*};

use iostream_ring::uapi::iostream_info;
use rustix::io::Result;

use crate::{consumer, crossed, occupied, producer, Ring, Session, INPUT, OUTPUT};

/// An entry that was taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its bytes, without the header.
    pub bytes: Vec<u8>,
    /// The flags of its header.
    pub flags: u16,
    /// How many entries were lost before it.
    pub lost: u16,
}

/// An output queue: the process consumes.
pub struct Output {
    ring: Ring,
    /// Its own position.
    pub pos: u64,
    /// Its own position when it last looked whether the kernel waits.
    looked: u64,
}

impl Deref for Output {
    type Target = Ring;

    fn deref(&self) -> &Ring {
        &self.ring
    }
}

impl Output {
    /// Maps the queue.
    pub fn new(session: &Session) -> Self {
        Self::try_new(session).expect("mmap of an output queue")
    }

    /// Maps the queue of a driver that may be removed meanwhile.
    ///
    /// # Errors
    ///
    /// Those of [`Ring::new`].
    pub fn try_new(session: &Session) -> Result<Self> {
        Ok(Self {
            ring: Ring::new(session, OUTPUT)?,
            pos: 0,
            looked: 0,
        })
    }

    /// Bytes that wait, headers included.
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
        assert!(
            occupied(len.into()) <= self.available(),
            "entry of {len} bytes"
        );
        let entry = Entry {
            bytes: self.data.read(at + 8, len as usize),
            flags: u16::from_ne_bytes(header[4..6].try_into().unwrap()),
            lost: u16::from_ne_bytes(header[6..].try_into().unwrap()),
        };
        self.free(occupied(len.into()));
        Some(entry)
    }

    fn free(&mut self, bytes: u64) {
        self.pos += bytes;
        self.consumer.word(consumer::POS).store(self.pos, Release);
    }

    /// Whether the kernel waits for the room that was made since the last call.
    pub fn must_notify(&mut self) -> bool {
        fence(SeqCst);
        let wake = self.producer.word(producer::WAKE).load(Relaxed);
        crossed(
            wake,
            std::mem::replace(&mut self.looked, self.pos),
            self.pos,
        )
    }

    /// Takes the next entry out, and notifies the kernel if it waits for room.
    pub fn take_and_notify(&mut self, session: &Session) -> Option<Entry> {
        let entry = self.take()?;
        if self.must_notify() {
            session.notify(OUTPUT).expect("IOSTREAM_IOC_NOTIFY");
        }
        Some(entry)
    }

    /// Arms for the next entry. Returns whether one waits already.
    pub fn arm(&self) -> bool {
        self.consumer
            .word(consumer::WAKE)
            .store(self.pos + 8, Relaxed);
        fence(SeqCst);
        self.available() != 0
    }

    /// Arms for `bytes`. Returns whether the queue is ready already: the watermark is reached, or
    /// the kernel made an entry ready for another reason.
    pub fn arm_watermark(&self, bytes: u64) -> bool {
        let wake = self.pos + bytes.max(8);
        self.consumer.word(consumer::WAKE).store(wake, Relaxed);
        fence(SeqCst);
        let available = self.available();
        let ready = self.info.word(READY_POS).load(Relaxed);
        available != 0 && (available >= bytes || ready > self.pos)
    }
}

/// Where the info page says up to which position entries are ready, whatever the watermark.
const READY_POS: usize = offset_of!(iostream_info, ready_pos);

/// An input queue: the process produces.
pub struct Input {
    ring: Ring,
    /// Its own position.
    pub pos: u64,
    /// Its own position when it last looked whether the kernel waits.
    looked: u64,
}

impl Deref for Input {
    type Target = Ring;

    fn deref(&self) -> &Ring {
        &self.ring
    }
}

impl Input {
    /// Maps the queue.
    pub fn new(session: &Session) -> Self {
        Self::try_new(session).expect("mmap of an input queue")
    }

    /// Maps the queue of a driver that may be removed meanwhile.
    ///
    /// # Errors
    ///
    /// Those of [`Ring::new`].
    pub fn try_new(session: &Session) -> Result<Self> {
        Ok(Self {
            ring: Ring::new(session, INPUT)?,
            pos: 0,
            looked: 0,
        })
    }

    /// The same end after a reset of the queue.
    pub fn again(self) -> Self {
        Self {
            pos: 0,
            looked: 0,
            ..self
        }
    }

    /// Free bytes, from which headers are taken as well.
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

    /// Writes an entry without publishing it. Returns whether it fitted.
    pub fn put(&mut self, bytes: &[u8]) -> bool {
        let len = bytes.len() as u32;
        let need = self.slot.map_or(occupied(len.into()), u64::from);
        if self.room() < need {
            return false;
        }
        let at = (self.pos % self.size) as usize;
        if let Some(slot) = self.slot {
            assert_eq!(len, slot, "the length of every entry of this queue");
            self.data.write(at, bytes);
        } else {
            self.data.write(at, &u64::from(len).to_le_bytes());
            self.data.write(at + 8, bytes);
        }
        self.pos += need;
        true
    }

    /// Publishes all that was written.
    pub fn publish(&mut self) {
        self.producer.word(producer::POS).store(self.pos, Release);
    }

    /// Whether the kernel waits for what was published since the last call.
    pub fn must_notify(&mut self) -> bool {
        fence(SeqCst);
        let wake = self.consumer.word(consumer::WAKE).load(Relaxed);
        crossed(
            wake,
            std::mem::replace(&mut self.looked, self.pos),
            self.pos,
        )
    }

    /// Writes an entry, publishes it, and notifies the kernel if it waits. Returns whether it
    /// fitted.
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

    /// Arms for `need` free bytes, headers included. Returns whether they are free already.
    pub fn arm(&self, need: u64) -> bool {
        let wake = self.pos.wrapping_add(need).wrapping_sub(self.size);
        self.producer.word(producer::WAKE).store(wake, Relaxed);
        self.producer.word(producer::ROOM).store(need, Relaxed);
        fence(SeqCst);
        self.room() >= need
    }
}
