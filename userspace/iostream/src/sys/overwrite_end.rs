// SPDX-License-Identifier: MIT OR Apache-2.0

//! The reading end of an output queue that overwrites, with its memory.

use iostream_ring::{Mapped, OverwriteReader, Read};

use super::end::Readiness;
use super::{End, QueueMemory, Role};
use crate::{Direction, Error};

/// The reading end of an output queue whose producer overwrites the oldest entries.
///
/// # Invariants
///
/// `ring` works on `memory`, whose role is the consumer's.
pub(crate) struct OverwriteEnd {
    ring: OverwriteReader<Mapped>,
    memory: QueueMemory,
    readiness: Readiness,
}

impl OverwriteEnd {
    pub(crate) fn new(memory: QueueMemory) -> Result<Self, Error> {
        if memory.role() != Role::Consumer || !memory.overwrite() {
            return Err(Error::Mismatch("the queue does not overwrite"));
        }
        // SAFETY: The memory is kept beside the ring, and this is the one reader on it: its page
        // can be mapped once in a session.
        let ring = unsafe { OverwriteReader::new(memory.mapped(), memory.geometry()) };
        Ok(Self {
            readiness: Readiness::new(ring.pos()),
            ring,
            memory,
        })
    }

    #[inline]
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<Read, Error> {
        loop {
            match self.ring.read(buffer) {
                // The producer has overtaken the ring's reader, which must not go on for ever in the
                // kernel. Here it may: whoever has waited finds an entry.
                Err(iostream_ring::Error::Empty) if self.ring.available()? != 0 => {}
                read => return Ok(read?),
            }
        }
    }

    /// Asks to be woken when the queue is ready. Returns whether it is ready already.
    pub(crate) fn arm(&mut self) -> Result<bool, Error> {
        match self.memory.info().watermark_bytes() {
            0 => Ok(self.ring.arm()?),
            // Its full barrier orders the store before the second look, also at the info page.
            bytes => Ok(self.ring.arm_watermark(bytes)? || self.is_ready()?),
        }
    }

    pub(crate) fn available(&mut self) -> Result<u64, Error> {
        Ok(self.ring.available()?)
    }

    /// Whether an entry waits; with a watermark, whether the queue counts as ready.
    pub(crate) fn is_ready(&mut self) -> Result<bool, Error> {
        let available = self.ring.available()?;
        let info = self.memory.info();
        Ok(self.readiness.is_ready(info, self.ring.pos(), available))
    }
}

impl End for OverwriteEnd {
    const DIRECTION: Direction = Direction::Output;

    #[inline]
    fn memory(&self) -> &QueueMemory {
        &self.memory
    }

    /// Never fails: the reader has no position of its own that could be wrong.
    fn restart(&mut self) -> Result<(), Error> {
        // SAFETY: The memory is kept beside the ring, and the new reader replaces the old one.
        self.ring = unsafe { OverwriteReader::new(self.memory.mapped(), self.memory.geometry()) };
        self.readiness = Readiness::new(self.ring.pos());
        Ok(())
    }
}
