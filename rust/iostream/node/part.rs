// SPDX-License-Identifier: GPL-2.0

//! How far read(2) has come.

use kernel::prelude::*;

/// How far read(2) has come in the entry, or in the buffer of a stream, that it copies.
#[derive(Default)]
pub(crate) struct Part {
    /// The position of the entry, or of the buffer's descriptor.
    pos: u64,
    /// How many of its bytes have been copied.
    done: u32,
    /// The position of the entry, or of the descriptor, whose loss was reported last.
    told: Option<u64>,
    /// An entry of an overwriting queue that was taken out, because the producer does not wait.
    pub(crate) taken: Option<KVVec<u8>>,
    /// Something was lost before `taken`, and was not reported yet.
    pub(crate) untold: bool,
}

impl Part {
    /// How many bytes of the entry at `pos` have been copied.
    pub(crate) fn done_at(&self, pos: u64) -> usize {
        if self.pos == pos {
            self.done as usize
        } else {
            0
        }
    }

    /// How many bytes are left of the entry that was taken out.
    pub(crate) fn taken_len(&self) -> usize {
        let whole = self.taken.as_ref().map_or(0, |taken| taken.len());
        whole - self.done_at(0)
    }

    /// Notes that `done` bytes of the entry at `pos` have been copied, and that some are left.
    pub(crate) fn stop_at(&mut self, pos: u64, done: usize) {
        (self.pos, self.done) = (pos, done as u32);
    }

    /// Notes that nothing is left of the entry.
    pub(crate) fn finish(&mut self) {
        self.done = 0;
        self.taken = None;
    }

    /// Whether the loss before the entry at `pos` is still to be reported. The caller reports it.
    pub(crate) fn must_tell(&mut self, pos: u64) -> bool {
        self.told.replace(pos) != Some(pos)
    }
}
