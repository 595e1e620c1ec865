// SPDX-License-Identifier: MIT OR Apache-2.0

//! The consuming end of an output queue that loses nothing, with its memory.

use iostream_ring::{Consumer, Drained, Entry, Framed, Layout, Mapped};

use super::end::Readiness;
use super::{End, QueueMemory, Role};
use crate::{Direction, Error};

/// The consuming end of an output queue that loses nothing.
///
/// # Invariants
///
/// - `ring` works on `memory`, whose role is the consumer's.
/// - `current` is the entry that the ring last checked, which was not released since.
pub(crate) struct ConsumerEnd<L = Framed> {
    ring: Consumer<Mapped, L>,
    memory: QueueMemory,
    current: Option<Entry>,
    readiness: Readiness,
}

impl<L: Layout> ConsumerEnd<L> {
    pub(crate) fn new(memory: QueueMemory) -> Result<Self, Error> {
        if memory.role() != Role::Consumer || memory.overwrite() || memory.slots() != L::FIXED {
            return Err(Error::Mismatch("the queue cannot be consumed in place"));
        }
        // SAFETY: The memory is kept beside the ring, and this is the one consumer on it: its
        // page can be mapped once in a session. The words are zero, or as read(2) left them.
        let ring = unsafe { Consumer::resume_of(memory.mapped(), memory.geometry()) }?;
        // INVARIANT: No entry was looked at yet.
        Ok(Self {
            readiness: Readiness::new(ring.released_pos()),
            ring,
            memory,
            current: None,
        })
    }

    #[inline]
    pub(crate) fn ring(&self) -> &Consumer<Mapped, L> {
        &self.ring
    }

    /// Finds the next entry; [`Self::bytes`] then returns its bytes.
    #[inline]
    pub(crate) fn peek(&mut self) -> Result<Entry, Error> {
        self.current = None;
        let entry = self.ring.peek()?;
        // INVARIANT: Just checked by the ring.
        self.current = Some(entry);
        self.memory.lent().set(entry.offset(), entry.len());
        Ok(entry)
    }

    /// The bytes of the entry that was last peeked and not released; empty if there is none.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        let Some(entry) = self.current else {
            return &[];
        };
        // SAFETY: The ring checked that the entry lies before the producer's position and in the
        // doubled data. Releasing it needs `&mut self`; until then the kernel, which is trusted in
        // this, does not write it. All its bytes are initialised.
        unsafe {
            let start = self.ring.memory().data_at(entry.offset());
            std::slice::from_raw_parts(start.as_ptr(), entry.len())
        }
    }

    /// Copies the next entry, which must have exactly `N` bytes, and leaves it in the queue.
    #[inline]
    pub(crate) fn peek_array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        Ok(self.ring.peek_array()?)
    }

    /// Releases the entry that was last peeked. Returns whether there was one.
    #[inline]
    pub(crate) fn release(&mut self) -> bool {
        self.current = None;
        self.ring.release()
    }

    /// Passes up to `max` entries to `take`, which returns whether to release the entry.
    #[inline(always)]
    pub(crate) fn drain(&mut self, max: u64, mut take: impl FnMut(&[u8]) -> bool) -> Drained {
        self.current = None;
        self.memory.lent().set_all();
        let drained = self.ring.drain(max, |memory, entry| {
            // SAFETY: The ring checked the entry as it does for `bytes`, and releases it after
            // `take`, which cannot keep the slice.
            let bytes = unsafe {
                let start = memory.data_at(entry.offset());
                std::slice::from_raw_parts(start.as_ptr(), entry.len())
            };
            take(bytes)
        });
        self.memory.lent().set(0, 0);
        drained
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

    /// Asks to be woken when the queue is ready. Returns whether it is ready already.
    pub(crate) fn arm(&mut self) -> Result<bool, Error> {
        match self.memory.info().watermark_bytes() {
            0 => Ok(self.ring.arm()?),
            // Its full barrier orders the store before the second look, also at the info page.
            bytes => Ok(self.ring.arm_watermark(bytes)? || self.is_ready()?),
        }
    }

    #[inline]
    pub(crate) fn available(&mut self) -> Result<u64, Error> {
        Ok(self.ring.available()?)
    }

    /// Whether an entry is known to wait, without a look at the kernel's position.
    ///
    /// False with a watermark, and while something is released and not published.
    #[inline]
    pub(crate) fn is_known_ready(&self) -> bool {
        self.ring.known_bytes() != 0 && self.memory.info().watermark_bytes() == 0
    }

    /// Whether an entry waits; with a watermark, whether the queue counts as ready.
    #[inline]
    pub(crate) fn is_ready(&mut self) -> Result<bool, Error> {
        let available = self.ring.available()?;
        let pos = self.ring.released_pos();
        let info = self.memory.info();
        Ok(self.readiness.is_ready(info, pos, available))
    }
}

impl<L: Layout> End for ConsumerEnd<L> {
    const DIRECTION: Direction = Direction::Output;

    #[inline]
    fn memory(&self) -> &QueueMemory {
        &self.memory
    }

    fn restart(&mut self) -> Result<(), Error> {
        self.current = None;
        // SAFETY: The memory is kept beside the ring, and the new consumer replaces the old one.
        self.ring = unsafe { Consumer::resume_of(self.memory.mapped(), self.memory.geometry()) }?;
        self.readiness = Readiness::new(self.ring.released_pos());
        Ok(())
    }
}
