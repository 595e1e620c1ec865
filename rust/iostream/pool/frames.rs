// SPDX-License-Identifier: GPL-2.0

//! The frames of a session: their numbers, and how many were lost.

use super::{clock::Clock, descriptor::Descriptor};
use crate::{
    ring::uapi,
    sync::atomic::{Atomic, Relaxed},
};

/// Numbers the frames that the driver sends, and those that it reports lost.
///
/// Whoever changes it holds `Pool::sending`, or is the only sender of a stream that stays in output
/// mode, or has the ends quiesced: one thread at a time does.
pub(crate) struct Frames {
    /// The number of the next frame.
    next: Atomic<u64>,
    /// How many frames were lost since the last one was sent.
    lost: Atomic<u64>,
}

impl Frames {
    /// Begins with frame 0.
    pub(crate) const fn new() -> Self {
        Self {
            next: Atomic::new(0),
            lost: Atomic::new(0),
        }
    }

    /// Whether no frame was sent or lost.
    pub(super) fn is_first(&self) -> bool {
        self.next.load(Relaxed) == 0
    }

    /// Notes that `frames` frames were lost.
    pub(crate) fn lose(&self, frames: u64) {
        add(&self.next, frames);
        add(&self.lost, frames);
    }

    /// The descriptor of the next frame: `descriptor` with number, time and losses. The time is
    /// `timestamp_ns`, or else now.
    #[inline(always)]
    pub(crate) fn stamped(
        &self,
        descriptor: &Descriptor,
        timestamp_ns: Option<u64>,
        clock: Clock,
    ) -> Descriptor {
        let lost = self.lost.load(Relaxed);
        let gap = match lost {
            0 => 0,
            _ => uapi::IOSTREAM_DESCRIPTOR_DISCONTINUITY,
        };
        Descriptor {
            flags: descriptor.flags | gap,
            frame: self.next.load(Relaxed),
            timestamp_ns: timestamp_ns.unwrap_or_else(|| clock.now_ns()),
            lost,
            ..*descriptor
        }
    }

    /// Notes that the frame of [`Self::stamped`] was sent.
    #[inline(always)]
    pub(crate) fn sent(&self) {
        add(&self.next, 1);
        self.lost.store(0, Relaxed);
    }
}

/// Adds to a word that one thread at a time writes.
#[inline(always)]
fn add(word: &Atomic<u64>, add: u64) {
    word.store(word.load(Relaxed).wrapping_add(add), Relaxed);
}
