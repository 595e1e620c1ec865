// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the three kinds of ends have in common.
//!
//! Each end owns its mapping and the one ring value that uses it. So no use outlives the mapping,
//! and there is one producer and one consumer. Slices borrow the end: while one lives, nothing can
//! be committed, released or reset.

use iostream_ring::is_before;

use super::{InfoPage, QueueMemory};
use crate::{Direction, Error};

/// An end of a queue.
pub(crate) trait End {
    /// The direction of the queues that have this end in a process.
    const DIRECTION: Direction;

    /// The memory that the end works on.
    fn memory(&self) -> &QueueMemory;

    /// Reads the positions again after a reset. Forgets what was reserved or looked at.
    fn restart(&mut self) -> Result<(), Error>;
}

/// Decides whether an output queue is ready, by its watermark if it has one.
///
/// A queue that was found ready stays ready until all that waited then is consumed.
pub(super) struct Readiness {
    /// Entries before this position were found ready.
    ready_pos: u64,
}

impl Readiness {
    /// For an end that has consumed everything before `pos`.
    pub(super) fn new(pos: u64) -> Self {
        Self { ready_pos: pos }
    }

    /// Whether the queue is ready if `available` bytes wait from `pos` on.
    #[inline]
    pub(super) fn is_ready(&mut self, info: &InfoPage, pos: u64, available: u64) -> bool {
        let watermark = info.watermark_bytes();
        if available == 0 || watermark == 0 {
            return available != 0;
        }
        if available >= watermark || info.is_ready_from(pos) {
            self.ready_pos = pos.wrapping_add(available);
            return true;
        }
        is_before(pos, self.ready_pos)
    }
}
