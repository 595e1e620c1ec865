// SPDX-License-Identifier: MIT OR Apache-2.0

//! The producing end of an input queue, with its memory.

use iostream_ring::{Framed, Layout, Mapped, Producer};

use super::{End, QueueMemory, Role};
use crate::{Direction, Error};

/// The producing end of an input queue.
///
/// # Invariants
///
/// - `ring` works on `memory`, whose role is the producer's.
/// - `reserved` is what the last `reserve` returned, and nothing was committed since.
pub(crate) struct ProducerEnd<L = Framed> {
    ring: Producer<Mapped, L>,
    memory: QueueMemory,
    reserved: Option<(usize, usize)>,
}

impl<L: Layout> ProducerEnd<L> {
    pub(crate) fn new(memory: QueueMemory) -> Result<Self, Error> {
        if memory.role() != Role::Producer || memory.overwrite() || memory.slots() != L::FIXED {
            return Err(Error::Mismatch("the queue cannot be produced into"));
        }
        // SAFETY: The memory is kept beside the ring, and this is the one producer on it: its
        // areas can be mapped once in a session. The words are zero, or as write(2) left them.
        let ring = unsafe { Producer::resume_of(memory.mapped(), memory.geometry()) }?;
        // INVARIANT: Nothing is reserved yet.
        Ok(Self {
            ring,
            memory,
            reserved: None,
        })
    }

    #[inline]
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.reserved = None;
        Ok(self.ring.push(bytes)?)
    }

    #[inline]
    pub(crate) fn reserve(&mut self, len: u32) -> Result<(), Error> {
        self.reserved = None;
        let offset = self.ring.reserve(len)?;
        // INVARIANT: Just returned by the ring.
        self.reserved = Some((offset, len as usize));
        self.memory.lent().set(offset, len as usize);
        Ok(())
    }

    /// The reserved bytes; empty if nothing is reserved.
    #[inline]
    pub(crate) fn reserved(&self) -> &[u8] {
        let Some((offset, len)) = self.reserved else {
            return &[];
        };
        // SAFETY: By the invariant `[offset, offset + len)` lies in the doubled data and belongs
        // to this end until it commits, for which it needs `&mut self`. The kernel does not write
        // an input queue's data. The pages were zeroed, so all bytes are initialised.
        unsafe {
            let start = self.ring.memory().data_at(offset);
            std::slice::from_raw_parts(start.as_ptr(), len)
        }
    }

    /// The reserved bytes, to be written.
    #[inline]
    pub(crate) fn reserved_mut(&mut self) -> &mut [u8] {
        let Some((offset, len)) = self.reserved else {
            return &mut [];
        };
        // SAFETY: The range is this end's, as argued in `reserved`, and `&mut self` makes this the
        // only slice of it. The same bytes appear once more in the doubled mapping, which nobody
        // uses while this borrow lives.
        unsafe {
            let start = self.ring.memory().data_at(offset);
            std::slice::from_raw_parts_mut(start.as_ptr(), len)
        }
    }

    /// Makes the first `len` of the reserved bytes an entry.
    #[inline]
    pub(crate) fn commit(&mut self, len: usize) -> Result<(), Error> {
        match self.reserved.take() {
            // The reserved length came from a u32.
            Some((_, reserved)) if len <= reserved => Ok(self.ring.commit(len as u32)?),
            _ => Err(Error::InvalidArgument(
                "an entry cannot be longer than what was reserved for it",
            )),
        }
    }

    /// Appends up to `count` entries of `len` bytes, each filled by a call of `fill`. Returns how
    /// many it appended.
    #[inline(always)]
    pub(crate) fn fill(
        &mut self,
        count: u64,
        len: u32,
        mut fill: impl FnMut(&mut [u8]),
    ) -> Result<u64, Error> {
        self.reserved = None;
        self.memory.lent().set_all();
        let mut appended = 0;
        while appended < count {
            // Also looks for room that has become free, and refuses a length that never fits.
            match self.ring.reserve(len) {
                Ok(_) => {}
                Err(iostream_ring::Error::Full) => break,
                Err(error) if appended == 0 => return Err(error.into()),
                Err(_) => break,
            }
            let (mut head, before) = (self.ring.head(), appended);
            // SAFETY: Nothing but this loop uses the ring until the head is set.
            let memory = unsafe { self.ring.memory().alias() };
            while appended < count {
                // SAFETY: The head is this ring's, which nothing else uses until it is set.
                let placed = unsafe { head.place(&memory, len) };
                let Some(offset) = placed else {
                    break;
                };
                // SAFETY: The ring made room for `len` bytes there. The kernel does not write them
                // and does not look at them before they are published. The pages were zeroed. The
                // slice is the only one, and `fill` cannot keep it.
                let bytes = unsafe {
                    let start = memory.data_at(offset);
                    std::slice::from_raw_parts_mut(start.as_ptr(), len as usize)
                };
                fill(bytes);
                appended += 1;
            }
            // SAFETY: The head came from this ring and was moved by `place` alone.
            unsafe { self.ring.set_head(head) };
            if appended == before {
                break;
            }
        }
        self.memory.lent().set(0, 0);
        Ok(appended)
    }

    #[inline]
    pub(crate) fn publish(&mut self) {
        self.ring.publish();
    }

    #[inline]
    pub(crate) fn must_wake(&mut self) -> bool {
        self.ring.must_wake()
    }

    #[inline]
    pub(crate) fn must_wake_full(&mut self) -> bool {
        self.ring.must_wake_full()
    }

    #[inline]
    pub(crate) fn room(&mut self) -> Result<u64, Error> {
        Ok(self.ring.room()?)
    }

    pub(crate) fn can_push(&mut self, len: u32, count: u64) -> Result<bool, Error> {
        Ok(self.ring.can_push(len, count)?)
    }

    /// Asks to be woken when `need` bytes are free, and tells poll to report this end as writable
    /// from then on. Returns whether they are free already.
    pub(crate) fn arm_room(&mut self, need: u64) -> Result<bool, Error> {
        self.set_poll_room(need);
        // The full barrier in `arm_room` keeps the store before the second look.
        Ok(self.ring.arm_room(need)?)
    }

    /// Sets how many bytes must be free for poll to report this end as writable.
    pub(crate) fn set_poll_room(&mut self, bytes: u64) {
        self.ring.memory().room_bytes().store_relaxed(bytes);
    }
}

impl<L: Layout> End for ProducerEnd<L> {
    const DIRECTION: Direction = Direction::Input;

    #[inline]
    fn memory(&self) -> &QueueMemory {
        &self.memory
    }

    fn restart(&mut self) -> Result<(), Error> {
        self.reserved = None;
        // SAFETY: The memory is kept beside the ring, and the new producer replaces the old one.
        self.ring = unsafe { Producer::resume_of(self.memory.mapped(), self.memory.geometry()) }?;
        Ok(())
    }
}
