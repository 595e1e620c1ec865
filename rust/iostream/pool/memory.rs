// SPDX-License-Identifier: GPL-2.0

//! The memory of a stream: its info page, and the pages of each buffer.

use core::{mem::offset_of, ptr::NonNull};

use kernel::{
    mm::virt::VmaNew,
    page::{PAGE_SHIFT, PAGE_SIZE},
    prelude::*,
};

use super::{
    spec::{Mode, StreamSpec},
    state::State,
    Pool,
};
use crate::{
    memory::{
        dma::{DmaSegment, Mapping, SyncFor},
        pages::{check_mapping, mapping_pages, prepare_mapping, SharedPages},
    },
    ring::uapi,
    sync::atomic::{Atomic, Full, Relaxed},
};

/// Whether a buffer is mapped writable: for ever, once it is.
const FREE: u32 = 0;
const MAPPED: u32 = 1;

/// A stream's info page. The kernel writes it, the process maps it read-only.
pub(crate) struct InfoPage(SharedPages);

impl InfoPage {
    /// A page that says: stopped, in this mode, first generation.
    ///
    /// # Errors
    ///
    /// `EDQUOT`; `ENOMEM`.
    pub(crate) fn new(mode: Mode) -> Result<Self> {
        let page = Self(SharedPages::new(1, 1)?);
        page.set_mode(mode);
        page.set_generation(1);
        Ok(page)
    }

    /// One of its words.
    pub(crate) fn word(&self, offset: usize) -> &Atomic<u64> {
        assert!(offset % 8 == 0 && offset < size_of::<uapi::iostream_stream_info>());
        // SAFETY: In bounds and aligned, as just checked; the page lives as long as `self`, and
        // every access to it is atomic.
        unsafe { Atomic::from_ptr(self.0.base().as_ptr().add(offset).cast()) }
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        self.word(offset_of!(uapi::iostream_stream_info, mode))
            .store(mode as u64, Relaxed);
    }

    pub(crate) fn set_state(&self, state: State) {
        self.word(offset_of!(uapi::iostream_stream_info, state))
            .store(state as u64, Relaxed);
    }

    /// Raised when buffers are added.
    pub(crate) fn set_generation(&self, generation: u64) {
        self.word(offset_of!(uapi::iostream_stream_info, generation))
            .store(generation, Relaxed);
    }

    /// Raised when buffers are added.
    pub(crate) fn generation(&self) -> u64 {
        self.word(offset_of!(uapi::iostream_stream_info, generation))
            .load(Relaxed)
    }

    /// What begins before `pos` in the output queue is to be returned unread.
    pub(crate) fn set_discarded_pos(&self, pos: u64) {
        // Who reads it late takes a buffer that was discarded, and nothing else happens.
        self.word(offset_of!(uapi::iostream_stream_info, discarded_pos))
            .store(pos, Relaxed);
    }

    /// See [`Self::set_discarded_pos`].
    pub(crate) fn discarded_pos(&self) -> u64 {
        self.word(offset_of!(uapi::iostream_stream_info, discarded_pos))
            .load(Relaxed)
    }

    /// Maps it into a process.
    ///
    /// # Errors
    ///
    /// `EINVAL`: not the whole page, or not shared; `EACCES`: executable or writable.
    fn map(&self, vma: &VmaNew) -> Result {
        if mapping_pages(vma) != 1 {
            return Err(EINVAL);
        }
        check_mapping(vma)?;
        read_only(vma)?;
        self.0.insert(prepare_mapping(vma), vma.start(), 0)
    }
}

/// The pages of one buffer: those of its data, then those of its control area.
pub(crate) struct BufferMemory {
    /// Of the data, for a device. Goes before the pages.
    mapping: Option<Mapping>,
    pages: SharedPages,
    control_start: usize,
    /// Whether the process has it mapped writable.
    claim: Atomic<u32>,
}

impl BufferMemory {
    /// Zeroed memory for one buffer, charged to the calling task's cgroup.
    ///
    /// # Errors
    ///
    /// `EDQUOT`; `ENOMEM`; `EINTR`; with a device those of [`Mapping::new`].
    pub(crate) fn new(spec: &StreamSpec) -> Result<Self> {
        let count = spec.buffer_pages();
        let pages = SharedPages::new(count, count)?;
        let data_bytes = spec.data_bytes as usize;
        let mapping = match &spec.dma {
            Some(device) => Some(Mapping::new(device, &pages, data_bytes)?),
            None => None,
        };
        Ok(Self {
            mapping,
            pages,
            control_start: spec.data_pages() << PAGE_SHIFT,
            claim: Atomic::new(FREE),
        })
    }

    /// Where the data begin.
    #[inline(always)]
    pub(crate) fn data(&self) -> NonNull<u8> {
        self.pages.base()
    }

    /// Where the data are for the device, if there is one.
    pub(crate) fn dma_segments(&self) -> &[DmaSegment] {
        self.mapping.as_ref().map_or(&[], Mapping::segments)
    }

    /// Makes the data ready for who uses them next.
    pub(crate) fn sync(&self, next: SyncFor) {
        if let Some(mapping) = &self.mapping {
            mapping.sync(next);
        }
    }

    /// Where the control area begins; valid if the stream has one.
    #[inline(always)]
    pub(crate) fn control(&self) -> NonNull<u8> {
        // SAFETY: Inside the mapping, or one past it if there is no control area.
        unsafe { self.pages.base().add(self.control_start) }
    }
}

impl Pool {
    /// Maps the stream's info page into a process.
    ///
    /// # Errors
    ///
    /// As [`InfoPage::map`].
    pub(crate) fn map_info(&self, vma: &VmaNew) -> Result {
        self.fix_mode();
        self.info().map(vma)
    }

    /// Maps a run of whole buffers into a process, beginning with page `first_page` of the pool.
    ///
    /// # Errors
    ///
    /// `EINVAL`: not whole buffers, none of that number, or not shared; `EACCES`: executable, or
    /// writable where the process only reads; `EBUSY`: one is mapped writable already.
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
            let claimed = !writable || memory.claim.cmpxchg(FREE, MAPPED, Full).is_ok();
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
                        memory.claim.store(FREE, Relaxed);
                    }
                }
                return Err(error);
            }
        }
        Ok(())
    }
}

/// For ever: or mprotect could make it writable without asking.
fn read_only(vma: &VmaNew) -> Result {
    if vma.writable() {
        return Err(EACCES);
    }
    vma.try_clear_maywrite()
}
