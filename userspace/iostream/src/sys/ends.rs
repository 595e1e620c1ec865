// SPDX-License-Identifier: MIT OR Apache-2.0

//! The ring's ends together with the memory they work on.
//!
//! Each type owns its mapping and the one ring value that uses it, so that no use outlives the
//! mapping and there is one producer, one consumer. Slices borrow the end: while one lives, nothing
//! can be committed, released or reset.

use iostream_ring::{
    Consumer, Drained, Entry, Framed, Layout, Mapped, OverwriteReader, Producer, Read,
};

use super::info_page::is_before;
use super::{InfoPage, QueueMemory, Role};
use crate::Error;

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
        // areas are mapped once in a session. If write(2) was used before, the words are as it
        // left them; else they are zero.
        let ring = unsafe { Producer::resume_of(memory.mapped(), memory.geometry()) }?;
        // INVARIANT: Nothing is reserved yet.
        Ok(Self {
            ring,
            memory,
            reserved: None,
        })
    }

    /// Takes the positions anew after a reset. Nothing is reserved any more.
    pub(crate) fn restart(&mut self) -> Result<(), Error> {
        self.reserved = None;
        // SAFETY: As in `new`; the previous ring value is replaced, so there is still one.
        self.ring = unsafe { Producer::resume_of(self.memory.mapped(), self.memory.geometry()) }?;
        Ok(())
    }

    #[inline]
    pub(crate) fn info(&self) -> &InfoPage {
        self.memory.info()
    }

    /// The ring, for all that neither reserves nor commits.
    #[inline]
    pub(crate) fn ring(&self) -> &Producer<Mapped, L> {
        &self.ring
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
        Ok(())
    }

    /// The bytes that are reserved; none if nothing is.
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

    /// As [`Self::reserved`], to be written.
    #[inline]
    pub(crate) fn reserved_mut(&mut self) -> &mut [u8] {
        let Some((offset, len)) = self.reserved else {
            return &mut [];
        };
        // SAFETY: As in `reserved`; `&mut self` makes it the only slice. The same bytes appear
        // once more in the doubled mapping, where nobody looks while this borrow lives.
        unsafe {
            let start = self.ring.memory().data_at(offset);
            std::slice::from_raw_parts_mut(start.as_ptr(), len)
        }
    }

    /// Makes the first `len` of the reserved bytes an entry.
    #[inline]
    pub(crate) fn commit(&mut self, len: usize) -> Result<(), Error> {
        match self.reserved.take() {
            // What was reserved came from a u32.
            Some((_, reserved)) if len <= reserved => Ok(self.ring.commit(len as u32)?),
            _ => Err(Error::InvalidArgument(
                "an entry cannot be longer than what was reserved for it",
            )),
        }
    }

    /// Appends up to `count` entries of `len` bytes, each filled by a call of `fill`; returns how
    /// many there was room for.
    #[inline(always)]
    pub(crate) fn fill(
        &mut self,
        count: u64,
        len: u32,
        mut fill: impl FnMut(&mut [u8]),
    ) -> Result<u64, Error> {
        self.reserved = None;
        let mut made = 0;
        while made < count {
            // Also looks for room that was not known of, and refuses what never fits.
            match self.ring.reserve(len) {
                Ok(_) => {}
                Err(iostream_ring::Error::Full) => break,
                Err(error) if made == 0 => return Err(error.into()),
                Err(_) => break,
            }
            let (mut head, before) = (self.ring.head(), made);
            // SAFETY: This loop is all that uses the ring meanwhile.
            let memory = unsafe { self.ring.memory().alias() };
            while made < count {
                // SAFETY: The head came from this ring, which does nothing else meanwhile.
                let placed = unsafe { head.place(&memory, len) };
                let Some(offset) = placed else {
                    break;
                };
                // SAFETY: The ring made room for `len` bytes there, which the kernel neither writes
                // nor looks at before they are published. The pages were zeroed. The slice is the
                // only one, and `fill` cannot keep it.
                let bytes = unsafe {
                    let start = memory.data_at(offset);
                    std::slice::from_raw_parts_mut(start.as_ptr(), len as usize)
                };
                fill(bytes);
                made += 1;
            }
            // SAFETY: As above.
            unsafe { self.ring.set_head(head) };
            if made == before {
                break;
            }
        }
        Ok(made)
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

    /// Says at which room poll is to report this end as writable, and arms for it.
    pub(crate) fn arm_room(&mut self, need: u64) -> Result<bool, Error> {
        self.set_poll_room(need);
        // The full barrier in `arm_room` keeps the store before the second look.
        Ok(self.ring.arm_room(need)?)
    }

    /// Says at which room poll is to report this end as writable.
    pub(crate) fn set_poll_room(&mut self, bytes: u64) {
        self.ring.memory().room_bytes().store_relaxed(bytes);
    }
}

/// The consuming end of an output queue that loses nothing.
///
/// # Invariants
///
/// - `ring` works on `memory`, whose role is the consumer's.
/// - `current` is the entry that the ring last checked, and it was not released since.
pub(crate) struct ConsumerEnd<L = Framed> {
    ring: Consumer<Mapped, L>,
    memory: QueueMemory,
    current: Option<Entry>,
    /// Entries before this position were found ready, so they stay so.
    ready_pos: u64,
}

impl<L: Layout> ConsumerEnd<L> {
    pub(crate) fn new(memory: QueueMemory) -> Result<Self, Error> {
        if memory.role() != Role::Consumer || memory.overwrite() || memory.slots() != L::FIXED {
            return Err(Error::Mismatch("the queue cannot be consumed in place"));
        }
        // SAFETY: The memory is kept beside the ring, and this is the one consumer on it: its
        // page is mapped once in a session. If read(2) was used before, the words are as it left
        // them; else they are zero.
        let ring = unsafe { Consumer::resume_of(memory.mapped(), memory.geometry()) }?;
        // INVARIANT: Nothing was looked at yet.
        Ok(Self {
            ready_pos: ring.released_pos(),
            ring,
            memory,
            current: None,
        })
    }

    /// Takes the positions anew after a reset. The entry looked at is gone.
    pub(crate) fn restart(&mut self) -> Result<(), Error> {
        self.current = None;
        // SAFETY: As in `new`; the previous ring value is replaced, so there is still one.
        self.ring = unsafe { Consumer::resume_of(self.memory.mapped(), self.memory.geometry()) }?;
        self.ready_pos = self.ring.released_pos();
        Ok(())
    }

    #[inline]
    pub(crate) fn info(&self) -> &InfoPage {
        self.memory.info()
    }

    #[inline]
    pub(crate) fn ring(&self) -> &Consumer<Mapped, L> {
        &self.ring
    }

    /// Finds the next entry; [`Self::bytes`] then has it.
    #[inline]
    pub(crate) fn peek(&mut self) -> Result<Entry, Error> {
        self.current = None;
        let entry = self.ring.peek()?;
        // INVARIANT: Just checked by the ring.
        self.current = Some(entry);
        Ok(entry)
    }

    /// The bytes of the entry that was last peeked and not released; none if there is none.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        let Some(entry) = self.current else {
            return &[];
        };
        // SAFETY: The ring checked that the entry lies before the producer's position and in the
        // doubled data. It is released with `&mut self` only, and until then the kernel, which is
        // trusted in this, does not write it. All its bytes are initialised.
        unsafe {
            let start = self.ring.memory().data_at(entry.offset());
            std::slice::from_raw_parts(start.as_ptr(), entry.len())
        }
    }

    /// A copy of the next entry, which stays, if it has just `N` bytes.
    #[inline]
    pub(crate) fn peek_array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        Ok(self.ring.peek_array()?)
    }

    /// Gives up the entry that was last peeked. Returns whether there was one.
    #[inline]
    pub(crate) fn release(&mut self) -> bool {
        self.current = None;
        self.ring.release()
    }

    /// Gives up to `max` entries to `take`, which says of each whether to release it.
    #[inline(always)]
    pub(crate) fn drain(&mut self, max: u64, mut take: impl FnMut(&[u8]) -> bool) -> Drained {
        self.current = None;
        self.ring.drain(max, |memory, entry| {
            // SAFETY: As in `bytes`; it is released after `take`, which cannot keep the slice.
            let bytes = unsafe {
                let start = memory.data_at(entry.offset());
                std::slice::from_raw_parts(start.as_ptr(), entry.len())
            };
            take(bytes)
        })
    }

    #[inline]
    pub(crate) fn pop(&mut self, buffer: &mut [u8]) -> Result<Entry, Error> {
        self.current = None;
        Ok(self.ring.pop(buffer)?)
    }

    #[inline]
    pub(crate) fn publish(&mut self) {
        self.ring.publish();
    }

    #[inline]
    pub(crate) fn must_wake(&mut self) -> bool {
        self.ring.must_wake()
    }

    /// Asks to be woken when the queue is ready; returns whether it is.
    pub(crate) fn arm(&mut self) -> Result<bool, Error> {
        match self.info().watermark_bytes() {
            0 => Ok(self.ring.arm()?),
            // Its full barrier keeps the store before the second look, at the info page, too.
            bytes => Ok(self.ring.arm_watermark(bytes)? || self.is_ready()?),
        }
    }

    #[inline]
    pub(crate) fn available(&mut self) -> Result<u64, Error> {
        Ok(self.ring.available()?)
    }

    /// Whether something is known to wait, with no look at the kernel's position; not with a watermark, nor
    /// while something is released and not published.
    #[inline]
    pub(crate) fn is_known_ready(&self) -> bool {
        self.ring.known_bytes() != 0 && self.info().watermark_bytes() == 0
    }

    /// Whether something waits, and with a watermark, whether that is reached or no longer counts.
    #[inline]
    pub(crate) fn is_ready(&mut self) -> Result<bool, Error> {
        let available = self.ring.available()?;
        let watermark = self.info().watermark_bytes();
        if available == 0 || watermark == 0 {
            return Ok(available != 0);
        }
        let pos = self.ring.released_pos();
        if available >= watermark || self.info().is_ready_from(pos) {
            self.ready_pos = pos.wrapping_add(available);
            return Ok(true);
        }
        Ok(is_before(pos, self.ready_pos))
    }
}

/// The reading end of an output queue whose producer overwrites the oldest entries.
///
/// # Invariants
///
/// `ring` works on `memory`, whose role is the consumer's.
pub(crate) struct OverwriteEnd {
    ring: OverwriteReader<Mapped>,
    memory: QueueMemory,
    /// Entries before this position were found ready, so they stay so.
    ready_pos: u64,
}

impl OverwriteEnd {
    pub(crate) fn new(memory: QueueMemory) -> Result<Self, Error> {
        if memory.role() != Role::Consumer || !memory.overwrite() {
            return Err(Error::Mismatch("the queue does not overwrite"));
        }
        // SAFETY: As in `ConsumerEnd::new`.
        let ring = unsafe { OverwriteReader::new(memory.mapped(), memory.geometry()) };
        Ok(Self {
            ready_pos: ring.pos(),
            ring,
            memory,
        })
    }

    /// Takes the positions anew after a reset.
    pub(crate) fn restart(&mut self) {
        // SAFETY: As in `ConsumerEnd::new`; the previous ring value is replaced.
        self.ring = unsafe { OverwriteReader::new(self.memory.mapped(), self.memory.geometry()) };
        self.ready_pos = self.ring.pos();
    }

    #[inline]
    pub(crate) fn info(&self) -> &InfoPage {
        self.memory.info()
    }

    pub(crate) fn ring(&self) -> &OverwriteReader<Mapped> {
        &self.ring
    }

    #[inline]
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<Read, Error> {
        Ok(self.ring.read(buffer)?)
    }

    /// Asks to be woken when the queue is ready; returns whether it is.
    pub(crate) fn arm(&mut self) -> Result<bool, Error> {
        match self.info().watermark_bytes() {
            0 => Ok(self.ring.arm()?),
            // As for `ConsumerEnd`.
            bytes => Ok(self.ring.arm_watermark(bytes)? || self.is_ready()?),
        }
    }

    pub(crate) fn available(&mut self) -> Result<u64, Error> {
        Ok(self.ring.available()?)
    }

    /// As [`ConsumerEnd::is_ready`].
    pub(crate) fn is_ready(&mut self) -> Result<bool, Error> {
        let available = self.ring.available()?;
        let watermark = self.info().watermark_bytes();
        if available == 0 || watermark == 0 {
            return Ok(available != 0);
        }
        let pos = self.ring.pos();
        if available >= watermark || self.info().is_ready_from(pos) {
            self.ready_pos = pos.wrapping_add(available);
            return Ok(true);
        }
        Ok(is_before(pos, self.ready_pos))
    }
}
