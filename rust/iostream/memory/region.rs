// SPDX-License-Identifier: GPL-2.0

//! The pages that a queue shares with a process: their layout, and the rights of each mapping.
//!
//! # Layout
//!
//! ```text
//! page   0      1          2          3 .. 3+n   3+n .. 3+2n
//! what   info   producer   consumer   data       the same data pages again
//! ```
//!
//! The kernel maps the whole region, writable. A process maps each area by itself, and never gets a
//! writable mapping of an area that its role does not write.

use core::{mem::offset_of, ptr::NonNull};

use kernel::{
    mm::virt::VmaNew,
    page::{PAGE_SHIFT, PAGE_SIZE},
    prelude::*,
};

use super::{
    account::Account,
    mapper::Mapper,
    pages::{check_mapping, mapping_pages, prepare_mapping, SharedPages},
};
use crate::{
    bindings,
    ring::{uapi, Geometry, Mapped},
    sync::{
        atomic::{Atomic, Full, Relaxed, Release},
        race::race_point,
    },
};

/// The pages of a region before its data.
pub(crate) const OVERHEAD_PAGES: usize = 3;

/// A part of a region that a process maps by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Area {
    /// The page that only the kernel writes: geometry, generation, counters.
    Info,
    /// The page of words that the producer writes.
    Producer,
    /// The page of words that the consumer writes.
    Consumer,
    /// The data, mapped twice in a row.
    Data,
}

impl Area {
    const ALL: [Area; 4] = [Area::Info, Area::Producer, Area::Consumer, Area::Data];

    /// The index of the area's first page in the region.
    pub(crate) const fn first_page(self) -> usize {
        match self {
            Area::Info => 0,
            Area::Producer => 1,
            Area::Consumer => 2,
            Area::Data => OVERHEAD_PAGES,
        }
    }
}

// The bits of the claims on the memory that the process's end of a queue writes.
/// A read(2), a write(2), an mmap(2) or a reset is about to use or to change it.
const IN_CALL: u32 = 1 << 0;
/// The process has mapped its page of words writable, in this session.
const WORDS_MAPPED: u32 = 1 << 1;
/// The process has mapped the data writable, in this session.
const DATA_MAPPED: u32 = 1 << 2;

/// The shared pages of one queue.
///
/// # Invariants
///
/// `pages` holds `OVERHEAD_PAGES` pages and then those of the data of `geometry`, which are mapped
/// twice in a row.
pub(crate) struct Region {
    pages: SharedPages,
    geometry: Geometry,
    /// The claims on the page of words that the process writes, and on the data if it writes them.
    claims: Atomic<u32>,
    mapper: Mapper,
}

impl Region {
    /// Allocates a zeroed region, charged to the cgroup of the calling task and counted in
    /// `account`, and maps it into the kernel.
    ///
    /// # Errors
    ///
    /// `EDQUOT`: the user's total would be exceeded; `ENOMEM`; `EINTR`: the task is being killed.
    pub(crate) fn new(geometry: Geometry, account: &Account) -> Result<Self> {
        let data_pages = geometry.data_bytes() as usize >> PAGE_SHIFT;
        // INVARIANT: Allocates that many pages, and maps those of the data once more.
        Ok(Self {
            pages: SharedPages::new(data_pages + OVERHEAD_PAGES, OVERHEAD_PAGES, account)?,
            geometry,
            claims: Atomic::new(0),
            mapper: Mapper::new(),
        })
    }

    /// The kernel's address of an area.
    #[inline(always)]
    fn area(&self, area: Area) -> NonNull<u8> {
        // SAFETY: By the type's invariant the mapping contains the first page of every area.
        unsafe { self.pages.base().add(area.first_page() * PAGE_SIZE) }
    }

    /// The memory of the ring, for one of its ends.
    ///
    /// # Safety
    ///
    /// The region outlives the result. The caller uses the result as producer or as consumer, and
    /// nothing else acts in the same role meanwhile.
    pub(crate) unsafe fn mapped(&self) -> Mapped {
        // SAFETY: By the type's invariant the areas are mapped, the data twice in a row, for as
        // long as `self` lives. The caller is alone in its role by this function's contract.
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
        // SAFETY: The assertion checks bounds and alignment. The page lives as long as the region,
        // and every access to it after `write_info` is atomic.
        unsafe { Atomic::from_ptr(self.area(Area::Info).as_ptr().add(offset).cast()) }
    }

    /// A 64-bit word of the producer's page.
    pub(crate) fn producer_word(&self, offset: usize) -> &Atomic<u64> {
        assert!(offset % 8 == 0 && offset < size_of::<uapi::iostream_producer>());
        // SAFETY: The assertion checks bounds and alignment. The page lives as long as the region,
        // and every access to it is atomic.
        unsafe { Atomic::from_ptr(self.area(Area::Producer).as_ptr().add(offset).cast()) }
    }

    /// A 64-bit word of the consumer's page.
    pub(crate) fn consumer_word(&self, offset: usize) -> &Atomic<u64> {
        assert!(offset % 8 == 0 && offset < size_of::<uapi::iostream_consumer>());
        // SAFETY: The assertion checks bounds and alignment. The page lives as long as the region,
        // and every access to it is atomic.
        unsafe { Atomic::from_ptr(self.area(Area::Consumer).as_ptr().add(offset).cast()) }
    }

    /// Fills the info page, before anything else uses the region.
    pub(crate) fn write_info(&mut self, info: uapi::iostream_info) {
        // SAFETY: The page is aligned and larger than the struct, and `&mut self` is exclusive.
        unsafe {
            self.area(Area::Info)
                .cast::<uapi::iostream_info>()
                .write(info)
        };
    }

    /// Sets the words of both sides to zero.
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

    /// Copies bytes of the data, which may be written meanwhile.
    ///
    /// # Safety
    ///
    /// `offset + len` is at most twice the size of the data, and `dst` is valid for writes of `len`
    /// bytes.
    pub(crate) unsafe fn copy_data(&self, offset: usize, dst: *mut u8, len: usize) {
        // SAFETY: The range is in bounds by this function's contract. `iostream_copy` allows others
        // to write meanwhile.
        unsafe {
            let from = self.area(Area::Data).add(offset);
            bindings::iostream_copy(dst.cast(), from.as_ptr().cast(), len);
        }
    }

    /// Views bytes of the data as a slice.
    ///
    /// # Safety
    ///
    /// `offset + len` is at most twice the size of the data. Nothing writes these bytes while the
    /// slice lives: this is an output queue, so the process cannot, and the consumer has not
    /// released them, so the kernel's producer does not.
    pub(crate) unsafe fn data(&self, offset: usize, len: usize) -> &[u8] {
        // SAFETY: The range is in bounds, and not written, by this function's contract.
        unsafe { core::slice::from_raw_parts(self.area(Area::Data).as_ptr().add(offset), len) }
    }

    /// Views reserved bytes of the data as a slice to fill.
    ///
    /// # Safety
    ///
    /// `offset + len` is at most twice the size of the data. This is an output queue, so the
    /// process cannot write the bytes, and the caller is its producer and has reserved them.
    #[allow(clippy::mut_from_ref, reason = "exclusive by reservation")]
    #[inline(always)]
    pub(crate) unsafe fn data_mut(&self, offset: usize, len: usize) -> &mut [u8] {
        // SAFETY: The range is in bounds, and used by the caller alone, by this function's
        // contract.
        unsafe { core::slice::from_raw_parts_mut(self.area(Area::Data).as_ptr().add(offset), len) }
    }

    /// Claims the process's end for a read(2) or write(2), which acts for the process.
    ///
    /// # Errors
    ///
    /// `EBUSY`: the process has mapped what it writes of the queue, or another call has the claim.
    pub(crate) fn claim_for_call(&self) -> Result<Claim<'_>> {
        self.claim(WORDS_MAPPED | DATA_MAPPED)
    }

    /// Claims the process's end for a reset by the calling process.
    ///
    /// # Errors
    ///
    /// `EBUSY`: another address space has the page of words mapped, or a call has the claim.
    pub(crate) fn claim_for_reset(&self) -> Result<Claim<'_>> {
        // With the claim, so that nobody else begins to map the page.
        let claim = self.claim(0)?;
        if self.mapper.is_another() {
            return Err(EBUSY);
        }
        Ok(claim)
    }

    /// Claims the process's end, unless one of these bits is set.
    #[inline(never)]
    fn claim(&self, unless: u32) -> Result<Claim<'_>> {
        let mut now = self.claims.load(Relaxed);
        loop {
            if now & (unless | IN_CALL) != 0 {
                return Err(EBUSY);
            }
            // ORDERING: pairs with the release store in `Claim`'s drop: the process, or the call
            // that acts for it, continues at the positions that the last call left (litmus: claim).
            match self.claims.cmpxchg(now, now | IN_CALL, Full) {
                Ok(_) => break,
                Err(other) => now = other,
            }
        }
        Ok(Claim {
            claims: &self.claims,
            then: now,
        })
    }

    /// Whether the process has mapped what it writes of the queue, in this session.
    pub(crate) fn is_mapped(&self) -> bool {
        self.claims.load(Relaxed) & (WORDS_MAPPED | DATA_MAPPED) != 0
    }

    /// The address space that has the page of words mapped.
    pub(crate) fn mapper(&self) -> &Mapper {
        &self.mapper
    }

    /// Maps one area into a process. `page` is the index of its first page in the region;
    /// `user_words` is the page of words that the process writes.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the mapping is not a whole area, or not shared; `EACCES`: it is executable, or
    /// writable although the process does not write the area; `EBUSY`: the area is already mapped
    /// writable in this session, or in use by a call; `ENOMEM`.
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
        race_point!("map-claimed");
        let mixed = prepare_mapping(vma);
        for i in 0..pages {
            let index = page + if i < data_pages { i } else { i - data_pages };
            self.pages
                .insert(mixed, vma.start() + (i << PAGE_SHIFT), index)?;
        }
        if let Some((mut claim, mapped)) = claim {
            if mapped == WORDS_MAPPED {
                self.mapper.begin(vma);
            }
            claim.then |= mapped;
        }
        Ok(())
    }

    /// Checks the rights of a mapping. If it is writable, claims its area, and returns the bit to
    /// set once it is mapped.
    fn claim_for_mapping(
        &self,
        vma: &VmaNew,
        area: Area,
        user_words: Area,
    ) -> Result<Option<(Claim<'_>, u32)>> {
        if !vma.writable() {
            // Otherwise mprotect(2) could make the mapping writable later, without this check.
            vma.try_clear_maywrite()?;
            return Ok(None);
        }
        let mapped = match area {
            area if area == user_words => WORDS_MAPPED,
            Area::Data if user_words == Area::Producer => DATA_MAPPED,
            _ => return Err(EACCES),
        };
        Ok(Some((self.claim(mapped)?, mapped)))
    }
}

/// The right to act as the process's end, or to change who does, until dropped.
pub(crate) struct Claim<'a> {
    claims: &'a Atomic<u32>,
    /// The claims after the drop. Nobody else changes them meanwhile.
    then: u32,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        // ORDERING: pairs with the full exchange in `Region::claim`: the next owner of the claim
        // sees the positions that this one stored (litmus: claim).
        self.claims.store(self.then, Release);
    }
}
