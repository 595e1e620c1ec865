// SPDX-License-Identifier: MIT OR Apache-2.0

//! A stream's info page, which the kernel writes and this process only loads from.

use std::mem::offset_of;
use std::ptr::NonNull;

use iostream_ring::sync::Word;
use iostream_ring::uapi::{iostream_stream, iostream_stream_counters, iostream_stream_info};

use super::region::Region;
use super::Device;
use crate::{Error, StreamCounters};

const WORDS: usize = size_of::<iostream_stream_info>() / 8;

/// The mapped info page of a stream.
///
/// # Invariants
///
/// The region is a readable page.
pub(crate) struct StreamPage {
    region: Region,
}

impl StreamPage {
    /// Maps the page, and refuses it if it does not describe the stream that the ioctl described.
    pub(crate) fn map(device: &Device, stream: &iostream_stream) -> Result<Self, Error> {
        let page = rustix::param::page_size();
        if stream.info_offset % page as u64 != 0 {
            return Err(Error::Mismatch(
                "the device describes an info page that is not a whole page",
            ));
        }
        let region = Region::map(device, stream.info_offset, page, false)
            .map_err(|errno| Error::of_device_call("mmap", errno))?;
        // INVARIANT: Just mapped.
        let page = Self { region };
        if page.mode() != u64::from(stream.mode) {
            return Err(Error::Mismatch("the info page describes another stream"));
        }
        Ok(page)
    }

    /// `IOSTREAM_MODE_*`.
    pub(crate) fn mode(&self) -> u64 {
        self.word(offset_of!(iostream_stream_info, mode))
    }

    /// `IOSTREAM_STATE_*`.
    pub(crate) fn state(&self) -> u64 {
        // ORDERING: pairs with the kernel's release store of the state, after which a stop returns
        // no more buffers (litmus: publish).
        self.words()[offset_of!(iostream_stream_info, state) / 8].load_acquire()
    }

    /// Raised when buffers are added.
    pub(crate) fn generation(&self) -> u64 {
        self.word(offset_of!(iostream_stream_info, generation))
    }

    /// Buffers before this position of the output queue were discarded: they go back unread.
    #[inline]
    pub(crate) fn discarded_pos(&self) -> u64 {
        self.word(offset_of!(iostream_stream_info, discarded_pos))
    }

    /// The kernel's counters. Each value is consistent; together they are not a snapshot.
    pub(crate) fn counters(&self) -> StreamCounters {
        let base = offset_of!(iostream_stream_info, counters);
        let load = |offset| self.word(base + offset);
        iostream_stream_counters {
            sent: load(offset_of!(iostream_stream_counters, sent)),
            received: load(offset_of!(iostream_stream_counters, received)),
            discarded: load(offset_of!(iostream_stream_counters, discarded)),
            rejected_id: load(offset_of!(iostream_stream_counters, rejected_id)),
            rejected_owner: load(offset_of!(iostream_stream_counters, rejected_owner)),
            rejected_range: load(offset_of!(iostream_stream_counters, rejected_range)),
            rejected_flags: load(offset_of!(iostream_stream_counters, rejected_flags)),
            lost: load(offset_of!(iostream_stream_counters, lost)),
        }
        .into()
    }

    #[inline]
    fn word(&self, offset: usize) -> u64 {
        self.words()[offset / 8].load_relaxed()
    }

    #[inline]
    fn words(&self) -> &[Word; WORDS] {
        let words: NonNull<[Word; WORDS]> = self.region.start();
        // SAFETY: The page is mapped and readable while `self` lives, it is aligned, and this
        // process accesses it as atomics only.
        unsafe { words.as_ref() }
    }
}

// SAFETY: This process only loads from the page, and atomically.
unsafe impl Sync for StreamPage {}

const _: () = assert!(size_of::<iostream_stream_info>() % 8 == 0);
