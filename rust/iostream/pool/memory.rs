// SPDX-License-Identifier: GPL-2.0

//! The memory of a stream: its info page, the pages of each buffer, and how both are mapped.

use core::{mem::offset_of, ptr::NonNull};

use kernel::{
    mm::virt::VmaNew,
    page::{PAGE_SHIFT, PAGE_SIZE},
    prelude::*,
};

use super::{
    clock::Clock,
    spec::{Mode, StreamSpec},
    state::State,
    Pool,
};
use crate::{
    memory::{
        account::Account,
        dma::{DmaSegment, Mapping, SyncFor},
        pages::{check_mapping, mapping_pages, prepare_mapping, SharedPages},
    },
    ring::uapi,
    sync::atomic::{Acquire, Atomic, Full, Relaxed, Release},
};

// The values of `BufferMemory::writable`. A buffer can be mapped writable once in its life.
const UNMAPPED: u32 = 0;
const MAPPED: u32 = 1;

/// A stream's info page. The kernel writes it, and the process maps it read-only.
pub(crate) struct InfoPage(SharedPages);

impl InfoPage {
    /// Creates the page of a stopped stream in this mode and with this clock, with generation 1,
    /// counted in `account`.
    ///
    /// # Errors
    ///
    /// `EDQUOT`; `ENOMEM`.
    pub(crate) fn new(mode: Mode, clock: Clock, account: &Account) -> Result<Self> {
        let page = Self(SharedPages::new(1, 1, account)?);
        page.set_mode(mode);
        page.set_generation(1);
        page.word(offset_of!(uapi::iostream_stream_info, clock))
            .store(clock as u64, Relaxed);
        Ok(page)
    }

    /// The word at `offset` bytes.
    ///
    /// # Panics
    ///
    /// If `offset` is not that of a word of the page.
    pub(crate) fn word(&self, offset: usize) -> &Atomic<u64> {
        assert!(offset % 8 == 0 && offset < size_of::<uapi::iostream_stream_info>());
        // SAFETY: `offset` is in bounds and aligned, as just checked; the page lives as long as
        // `self`, and every access to it is atomic.
        unsafe { Atomic::from_ptr(self.0.base().as_ptr().add(offset).cast()) }
    }

    /// Publishes the mode.
    pub(crate) fn set_mode(&self, mode: Mode) {
        self.word(offset_of!(uapi::iostream_stream_info, mode))
            .store(mode as u64, Relaxed);
    }

    /// Publishes the state.
    pub(crate) fn set_state(&self, state: State) {
        // ORDERING: pairs with the acquire loads of the state, in `state` and in the process: who
        // finds the stream stopped finds the buffers that the stop returned (litmus: publish).
        self.word(offset_of!(uapi::iostream_stream_info, state))
            .store(state as u64, Release);
    }

    /// The state that was published last.
    pub(crate) fn state(&self) -> State {
        // ORDERING: pairs with the release store in `set_state` (litmus: publish).
        let state = self.word(offset_of!(uapi::iostream_stream_info, state));
        State::from_word(state.load(Acquire) as u32)
    }

    /// Publishes the generation, which is raised when buffers are added to the stream.
    pub(crate) fn set_generation(&self, generation: u64) {
        self.word(offset_of!(uapi::iostream_stream_info, generation))
            .store(generation, Relaxed);
    }

    /// The generation that was last published.
    pub(crate) fn generation(&self) -> u64 {
        self.word(offset_of!(uapi::iostream_stream_info, generation))
            .load(Relaxed)
    }

    /// Asks the client to return, unread, the descriptors of the output queue that begin before
    /// `pos`.
    pub(crate) fn set_discarded_pos(&self, pos: u64) {
        // No ordering: a client that reads the old value takes a buffer that was discarded, which
        // is harmless.
        self.word(offset_of!(uapi::iostream_stream_info, discarded_pos))
            .store(pos, Relaxed);
    }

    /// The position that [`Self::set_discarded_pos`] published last.
    pub(crate) fn discarded_pos(&self) -> u64 {
        self.word(offset_of!(uapi::iostream_stream_info, discarded_pos))
            .load(Relaxed)
    }

    /// Maps the page into a process.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the mapping is not of one page, or not shared; `EACCES` if it is executable or
    /// writable.
    fn map(&self, vma: &VmaNew) -> Result {
        if mapping_pages(vma) != 1 {
            return Err(EINVAL);
        }
        check_mapping(vma)?;
        read_only(vma)?;
        self.0.insert(prepare_mapping(vma), vma.start(), 0)
    }
}

/// The pages of one buffer: those of the data area, then those of the control area.
pub(crate) struct BufferMemory {
    /// The mapping of the data area for the device. Declared first, so that it is dropped before
    /// the pages.
    mapping: Option<Mapping>,
    pages: SharedPages,
    /// Bytes from the start of the pages to the control area.
    control_start: usize,
    /// `MAPPED` once a process has mapped the buffer writable.
    writable: Atomic<u32>,
}

impl BufferMemory {
    /// Allocates zeroed memory for one buffer, charged to the calling task's cgroup and counted in
    /// `account`.
    ///
    /// # Errors
    ///
    /// `EDQUOT`; `ENOMEM`; `EINTR`; for a stream with a device also those of [`Mapping::new`].
    pub(crate) fn new(spec: &StreamSpec, account: &Account) -> Result<Self> {
        let count = spec.buffer_pages();
        let pages = SharedPages::new(count, count, account)?;
        let data_bytes = spec.data_bytes as usize;
        let mapping = match &spec.dma {
            Some(binding) => Some(Mapping::new(binding.device(), &pages, data_bytes)?),
            None => None,
        };
        Ok(Self {
            mapping,
            pages,
            control_start: spec.data_pages() << PAGE_SHIFT,
            writable: Atomic::new(UNMAPPED),
        })
    }

    /// The start of the data area.
    #[inline(always)]
    pub(crate) fn data(&self) -> NonNull<u8> {
        self.pages.base()
    }

    /// The data area as the device sees it; empty without a device.
    pub(crate) fn dma_segments(&self) -> &[DmaSegment] {
        self.mapping.as_ref().map_or(&[], Mapping::segments)
    }

    /// Synchronises the data for their next user, the device or the processor.
    pub(crate) fn sync(&self, next: SyncFor) {
        if let Some(mapping) = &self.mapping {
            mapping.sync(next);
        }
    }

    /// The start of the control area. There is nothing to access if the stream has none.
    #[inline(always)]
    pub(crate) fn control(&self) -> NonNull<u8> {
        // SAFETY: `control_start` is inside the pages, or at their end if there is no control area.
        unsafe { self.pages.base().add(self.control_start) }
    }
}

impl Pool {
    /// Maps the stream's info page into a process.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the mapping is not of one page, or not shared; `EACCES` if it is executable or
    /// writable.
    pub(crate) fn map_info(&self, vma: &VmaNew) -> Result {
        self.fix_mode();
        self.info().map(vma)
    }

    /// Maps a run of whole buffers into a process, beginning with page `first_page` of the pool.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the mapping is not of whole buffers that exist, or not shared; `EACCES` if it is
    /// executable, or writable although the mode is output; `EBUSY` if one of the buffers has been
    /// mapped writable before.
    pub(crate) fn map(&self, vma: &VmaNew, first_page: usize) -> Result {
        let stride = self.spec().buffer_pages();
        let pages = mapping_pages(vma);
        if first_page % stride != 0 || pages % stride != 0 {
            return Err(EINVAL);
        }
        let (first, count) = (first_page / stride, pages / stride);
        let end = first.checked_add(count).ok_or(EINVAL)?;
        if end > self.count() as usize {
            return Err(EINVAL);
        }
        check_mapping(vma)?;
        let mode = self.fix_mode();
        let writable = vma.writable();
        if !writable {
            read_only(vma)?;
        } else if mode == Mode::Output {
            return Err(EACCES);
        }
        let mixed = prepare_mapping(vma);
        for index in 0..count {
            let memory = self.memory((first + index) as u32).ok_or(EINVAL)?;
            let address = vma.start() + index * stride * PAGE_SIZE;
            // No ordering: the word alone decides who maps; the pages were zeroed before they joined.
            let claimed = !writable || memory.writable.cmpxchg(UNMAPPED, MAPPED, Full).is_ok();
            let mapped = if claimed {
                (0..stride).try_for_each(|page| {
                    memory
                        .pages
                        .insert(mixed, address + (page << PAGE_SHIFT), page)
                })
            } else {
                Err(EBUSY)
            };
            if let Err(error) = mapped {
                let claimed = index + usize::from(claimed);
                for undone in (first..first + claimed).filter(|_| writable) {
                    if let Some(memory) = self.memory(undone as u32) {
                        memory.writable.store(UNMAPPED, Relaxed);
                    }
                }
                return Err(error);
            }
        }
        Ok(())
    }
}

/// Makes a mapping read-only for good: clears `VM_MAYWRITE`, so that mprotect(2) cannot make it
/// writable.
fn read_only(vma: &VmaNew) -> Result {
    if vma.writable() {
        return Err(EACCES);
    }
    vma.try_clear_maywrite()
}
