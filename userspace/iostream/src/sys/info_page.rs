// SPDX-License-Identifier: MIT OR Apache-2.0

//! A queue's info page, which the kernel writes and this process only loads from.

use std::mem::offset_of;
use std::ptr::NonNull;

use iostream_ring::is_before;
use iostream_ring::sync::Word;
use iostream_ring::uapi::{self, iostream_info, iostream_queue_counters};

use super::owner::Owner;
use super::region::Region;
use crate::{Counters, Direction, Error};

const WORDS: usize = size_of::<iostream_info>() / 8;

/// The mapped info page.
///
/// # Invariants
///
/// The region is at least one `iostream_info`, readable.
pub(crate) struct InfoPage {
    region: Region,
}

impl InfoPage {
    /// # Safety
    ///
    /// `region` is at least one `iostream_info`, readable.
    pub(super) unsafe fn new(region: Region) -> Self {
        // INVARIANT: The caller passes such a region.
        Self { region }
    }

    /// The process that mapped the page.
    #[inline]
    pub(super) fn owner(&self) -> Owner {
        self.region.owner()
    }

    /// Refuses a page that does not describe the queue that the ioctl described.
    pub(super) fn check(
        &self,
        direction: Direction,
        queue: &uapi::iostream_queue,
    ) -> Result<(), Error> {
        let halves = |offset| {
            let bytes = self.word(offset).to_ne_bytes();
            let half = |at: usize| {
                u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
            };
            (half(0), half(4))
        };
        if halves(offset_of!(iostream_info, magic_low))
            != (uapi::IOSTREAM_MAGIC_LOW, uapi::IOSTREAM_MAGIC_HIGH)
        {
            return Err(Error::Mismatch(
                "the info page lacks iostream's magic number",
            ));
        }
        let (version, flags) = halves(offset_of!(iostream_info, version));
        if version != uapi::IOSTREAM_VERSION {
            return Err(Error::Version {
                found: version,
                known: uapi::IOSTREAM_VERSION,
            });
        }
        let (max_entry_bytes, whose) = halves(offset_of!(iostream_info, max_entry_bytes));
        if flags != queue.flags
            || max_entry_bytes != queue.max_entry_bytes
            || whose != direction.raw()
            || self.word(offset_of!(iostream_info, data_bytes)) != queue.data_bytes
        {
            return Err(Error::Mismatch("the info page describes another queue"));
        }
        Ok(())
    }

    /// Raised at the begin and at the end of each reset: even while one is under way.
    #[inline]
    pub(crate) fn generation(&self) -> u64 {
        self.word(offset_of!(iostream_info, generation))
    }

    /// The generation, once no reset is under way.
    pub(crate) fn settled_generation(&self) -> u64 {
        loop {
            // ORDERING: pairs with the release store at the end of the kernel's `Queue::reset`: the
            // positions that are loaded later are those after it (litmus: reset-poll).
            let generation = self
                .at(offset_of!(iostream_info, generation))
                .load_acquire();
            if generation % 2 != 0 {
                return generation;
            }
            // The kernel zeroes a few words.
            std::thread::yield_now();
        }
    }

    /// Whether the driver is gone. All that it published before can still be read.
    #[inline]
    pub(crate) fn gone(&self) -> bool {
        // ORDERING: the load and its fence pair with the kernel's release store of `gone`, after
        // its last publication (litmus: gone).
        self.at(offset_of!(iostream_info, gone)).load_acquire() != 0
    }

    /// The watermark of an output queue in bytes; 0: none.
    #[inline]
    pub(crate) fn watermark_bytes(&self) -> u64 {
        self.word(offset_of!(iostream_info, watermark_bytes))
    }

    /// How long an entry may wait below the watermark; 0: without limit.
    pub(crate) fn latency_ns(&self) -> u64 {
        self.word(offset_of!(iostream_info, latency_ns))
    }

    /// Whether the entries that wait from `pos` on are ready whatever the watermark.
    pub(crate) fn is_ready_from(&self, pos: u64) -> bool {
        let ready_pos = self.word(offset_of!(iostream_info, ready_pos));
        is_before(pos, ready_pos) || self.gone()
    }

    /// The kernel's counters. Each value is consistent; together they are not a snapshot.
    pub(crate) fn counters(&self) -> Counters {
        let base = offset_of!(iostream_info, counters);
        let load = |offset| self.word(base + offset);
        Counters {
            entries: load(offset_of!(iostream_queue_counters, entries)),
            bytes: load(offset_of!(iostream_queue_counters, bytes)),
            wakeups_sent: load(offset_of!(iostream_queue_counters, wakeups_sent)),
            wakeups_suppressed: load(offset_of!(iostream_queue_counters, wakeups_suppressed)),
            notifications: load(offset_of!(iostream_queue_counters, notifications)),
            full: load(offset_of!(iostream_queue_counters, full)),
            lost: load(offset_of!(iostream_queue_counters, lost)),
            corrupt: load(offset_of!(iostream_queue_counters, corrupt)),
            high_water_bytes: load(offset_of!(iostream_queue_counters, high_water_bytes)),
        }
    }

    #[inline]
    fn word(&self, offset: usize) -> u64 {
        self.at(offset).load_relaxed()
    }

    #[inline]
    fn at(&self, offset: usize) -> &Word {
        let words: NonNull<[Word; WORDS]> = self.region.start();
        // SAFETY: The page is mapped and readable while `self` lives, it is aligned, and this
        // process accesses it as atomics only.
        let words = unsafe { words.as_ref() };
        &words[offset / 8]
    }
}

const _: () = assert!(size_of::<iostream_info>() % 8 == 0);
