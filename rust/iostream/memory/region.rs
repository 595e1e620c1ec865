// SPDX-License-Identifier: GPL-2.0

//! The pages that a queue shares with a process: what is where, and who may map it how.
//!
//! # How a region is laid out
//!
//! ```text
//! page   0      1          2          3 .. 3+n   3+n .. 3+2n
//! what   info   producer   consumer   data       the same data pages again
//! ```
//!
//! The kernel maps all of it at once, writable. A process maps each area on its own, and only what
//! its role writes is ever writable to it.

use core::{mem::offset_of, ptr::NonNull};

use kernel::{
    mm::virt::VmaNew,
    page::{PAGE_SHIFT, PAGE_SIZE},
    prelude::*,
};

use super::pages::{check_mapping, mapping_pages, prepare_mapping, SharedPages};
use crate::{
    ring::{uapi, Geometry, Mapped},
    sync::atomic::{Atomic, Full, Relaxed, Release},
};

/// Pages of a region before its data.
pub(crate) const OVERHEAD_PAGES: usize = 3;

/// One part of a region, mapped on its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Area {
    /// The kernel's page: geometry and counters.
    Info,
    /// The producer's page.
    Producer,
    /// The consumer's page.
    Consumer,
    /// The data, twice in a row.
    Data,
}

impl Area {
    const ALL: [Area; 4] = [Area::Info, Area::Producer, Area::Consumer, Area::Data];

    /// The first page of the area, counted from the region's start.
    pub(crate) const fn first_page(self) -> usize {
        match self {
            Area::Info => 0,
            Area::Producer => 1,
            Area::Consumer => 2,
            Area::Data => OVERHEAD_PAGES,
        }
    }
}

/// Who uses the process's end of a queue.
const FREE: u32 = 0;
const MAPPED: u32 = 1;
const IN_CALL: u32 = 2;

/// The shared pages of one queue.
///
/// # Invariants
///
/// `pages` holds 3 + n pages, n the pages of the data of `geometry`, which are mapped twice in a row.
pub(crate) struct Region {
    pages: SharedPages,
    geometry: Geometry,
    /// The process's own page of words: `FREE`, `MAPPED` writable for ever, or `IN_CALL`.
    words_claim: Atomic<u32>,
    /// The data, where the process writes them: `FREE` or `MAPPED`.
    data_claim: Atomic<u32>,
}

impl Region {
    /// Allocates zeroed pages, charged to the cgroup of the calling task, and maps them.
    ///
    /// # Errors
    ///
    /// `EDQUOT` if the module's total is used up; `ENOMEM`; `EINTR` if the task is being killed.
    pub(crate) fn new(geometry: Geometry) -> Result<Self> {
        let data_pages = geometry.data_bytes() as usize >> PAGE_SHIFT;
        // INVARIANT: As many as that.
        Ok(Self {
            pages: SharedPages::new(data_pages + OVERHEAD_PAGES, OVERHEAD_PAGES)?,
            geometry,
            words_claim: Atomic::new(FREE),
            data_claim: Atomic::new(FREE),
        })
    }

    #[inline(always)]
    fn area(&self, area: Area) -> NonNull<u8> {
        // SAFETY: Every area begins inside the mapping.
        unsafe { self.pages.base().add(area.first_page() * PAGE_SIZE) }
    }

    /// The ring's memory, for one end.
    ///
    /// # Safety
    ///
    /// The region outlives the result, and the caller uses it in one role, alone in it.
    pub(crate) unsafe fn mapped(&self) -> Mapped {
        // SAFETY: The areas are pages of one queue, mapped and zeroed; the rest is the caller's
        // promise.
        unsafe {
            Mapped::new(
                self.area(Area::Producer).cast(),
                self.area(Area::Consumer).cast(),
                self.area(Area::Data),
            )
        }
    }

    /// A 64-bit word of the info page.
    #[inline(always)]
    pub(crate) fn info_word(&self, offset: usize) -> &Atomic<u64> {
        assert!(offset % 8 == 0 && offset < size_of::<uapi::iostream_info>());
        // SAFETY: In bounds and aligned, as just checked; the page lives as long as the region,
        // and every access to it after set-up is atomic.
        unsafe { Atomic::from_ptr(self.area(Area::Info).as_ptr().add(offset).cast()) }
    }

    /// A 64-bit word of the producer's page.
    pub(crate) fn producer_word(&self, offset: usize) -> &Atomic<u64> {
        assert!(offset % 8 == 0 && offset < size_of::<uapi::iostream_producer>());
        // SAFETY: As in `info_word`.
        unsafe { Atomic::from_ptr(self.area(Area::Producer).as_ptr().add(offset).cast()) }
    }

    /// A 64-bit word of the consumer's page.
    pub(crate) fn consumer_word(&self, offset: usize) -> &Atomic<u64> {
        assert!(offset % 8 == 0 && offset < size_of::<uapi::iostream_consumer>());
        // SAFETY: As in `info_word`.
        unsafe { Atomic::from_ptr(self.area(Area::Consumer).as_ptr().add(offset).cast()) }
    }

    /// Writes the info page for the first time, before anybody else sees the region.
    pub(crate) fn write_info(&mut self, info: uapi::iostream_info) {
        // SAFETY: The page is as large, aligned, and nobody else knows it yet.
        unsafe {
            self.area(Area::Info)
                .cast::<uapi::iostream_info>()
                .write(info)
        };
    }

    /// Zeroes the words of both sides.
    pub(crate) fn zero_words(&self) {
        for offset in [
            offset_of!(uapi::iostream_producer, producer_pos),
            offset_of!(uapi::iostream_producer, oldest_pos),
            offset_of!(uapi::iostream_producer, wake_pos),
            offset_of!(uapi::iostream_producer, room_bytes),
        ] {
            self.producer_word(offset).store(0, Relaxed);
        }
        for offset in [
            offset_of!(uapi::iostream_consumer, consumer_pos),
            offset_of!(uapi::iostream_consumer, wake_pos),
        ] {
            self.consumer_word(offset).store(0, Relaxed);
        }
    }

    /// Bytes of data as a slice.
    ///
    /// # Safety
    ///
    /// For as long as the slice lives nobody writes there: the process cannot, because the data are
    /// the kernel's to write, and the kernel's end does not, because they are not released.
    /// `offset + len` is at most twice the size of the data.
    pub(crate) unsafe fn data(&self, offset: usize, len: usize) -> &[u8] {
        // SAFETY: The caller's promise.
        unsafe { core::slice::from_raw_parts(self.area(Area::Data).as_ptr().add(offset), len) }
    }

    /// As [`Self::data`], to fill.
    ///
    /// # Safety
    ///
    /// As for [`Self::data`]; and the caller is the producer, with the room reserved.
    #[allow(clippy::mut_from_ref, reason = "exclusive by reservation")]
    #[inline(always)]
    pub(crate) unsafe fn data_mut(&self, offset: usize, len: usize) -> &mut [u8] {
        // SAFETY: The caller's promise.
        unsafe { core::slice::from_raw_parts_mut(self.area(Area::Data).as_ptr().add(offset), len) }
    }

    /// Lets a call of the kernel's act for the process, unless the process has its page mapped.
    ///
    /// # Errors
    ///
    /// `EBUSY`: the process has mapped its end, or another call is at it.
    pub(crate) fn claim_for_call(&self) -> Result<CallClaim<'_>> {
        match self.words_claim.cmpxchg(FREE, IN_CALL, Full) {
            Ok(_) => Ok(CallClaim(self)),
            Err(_) => Err(EBUSY),
        }
    }

    /// Whether the process has mapped its page of words.
    pub(crate) fn is_mapped(&self) -> bool {
        self.words_claim.load(Relaxed) == MAPPED
    }

    /// Maps one area into a process. `page` is the first page asked for, counted from the region's
    /// start; `user_words` says which page of words the process writes.
    ///
    /// # Errors
    ///
    /// `EINVAL`: not a whole area, or not shared; `EACCES`: executable, or writable where the
    /// kernel writes; `EBUSY`: already mapped writable in this session, or in use by a call.
    pub(crate) fn map(&self, vma: &VmaNew, page: usize, user_words: Area) -> Result {
        let area = *Area::ALL
            .iter()
            .find(|area| area.first_page() == page)
            .ok_or(EINVAL)?;
        let data_pages = self.geometry.data_bytes() as usize >> PAGE_SHIFT;
        let pages = if area == Area::Data {
            2 * data_pages
        } else {
            1
        };
        if mapping_pages(vma) != pages {
            return Err(EINVAL);
        }
        check_mapping(vma)?;
        let claim = self.claim_for_mapping(vma, area, user_words)?;
        let mixed = prepare_mapping(vma);
        for i in 0..pages {
            let index = page + if i < data_pages { i } else { i - data_pages };
            let done = self
                .pages
                .insert(mixed, vma.start() + (i << PAGE_SHIFT), index);
            if let Err(error) = done {
                if let Some(claim) = claim {
                    claim.store(FREE, Relaxed);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Checks the rights of a mapping and claims a writable one.
    fn claim_for_mapping(
        &self,
        vma: &VmaNew,
        area: Area,
        user_words: Area,
    ) -> Result<Option<&Atomic<u32>>> {
        if !vma.writable() {
            // For ever: or mprotect could make it writable without asking.
            vma.try_clear_maywrite()?;
            return Ok(None);
        }
        let claim = match area {
            area if area == user_words => &self.words_claim,
            Area::Data if user_words == Area::Producer => &self.data_claim,
            _ => return Err(EACCES),
        };
        // ORDERING: pairs with the store in `CallClaim`'s drop: the process goes on where the call
        // ended (litmus: claim).
        match claim.cmpxchg(FREE, MAPPED, Full) {
            Ok(_) => Ok(Some(claim)),
            Err(_) => Err(EBUSY),
        }
    }
}

/// The right to act for the process, until dropped.
pub(crate) struct CallClaim<'a>(&'a Region);

impl Drop for CallClaim<'_> {
    fn drop(&mut self) {
        // ORDERING: pairs with the full exchange in `claim_for_mapping` and `claim_for_call`: the
        // next owner sees the positions as this one left them (litmus: claim).
        self.0.words_claim.store(FREE, Release);
    }
}
