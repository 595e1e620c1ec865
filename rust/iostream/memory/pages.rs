// SPDX-License-Identifier: GPL-2.0

//! Pages that the kernel shares with a process: how they are allocated, charged and mapped.
//!
//! # Why pages live long enough
//!
//! The owner holds one reference to each page, each mapping in a process holds another
//! (`vm_insert_page`), and so does whatever pins a page. A mapping therefore stays valid after the
//! owner is gone, and no page is reused before its last reference is dropped. Nobody has to count
//! mappings.

use core::ptr::NonNull;

use kernel::{
    alloc::flags::GFP_KERNEL_ACCOUNT,
    bindings as c,
    mm::virt::{flags as vm, VmaMixedMap, VmaNew},
    page::{BorrowedPage, PAGE_SHIFT},
    prelude::*,
};

use super::{account::Account, limits};
use crate::bindings;

/// The owner's reference to a page, charged to the cgroup of the task that allocated it.
#[repr(transparent)]
struct SharedPage(NonNull<c::page>);

impl SharedPage {
    /// Allocates a zeroed page.
    fn new() -> Result<Self> {
        // SAFETY: This is process context, where the allocation may sleep.
        let page = unsafe { bindings::iostream_alloc_page() };
        NonNull::new(page).map(Self).ok_or(ENOMEM)
    }
}

impl Drop for SharedPage {
    fn drop(&mut self) {
        // SAFETY: `self` owns one reference to the page, and drops it once.
        unsafe { bindings::iostream_put_page(self.0.as_ptr()) };
    }
}

/// Pages that the kernel has mapped in a row, zeroed at first.
///
/// # Invariants
///
/// At `base`, until drop, the kernel has mapped all of `pages` in a row, and after them once more
/// those from `repeat_from` on.
pub(crate) struct SharedPages {
    pages: KVVec<SharedPage>,
    base: NonNull<u8>,
    _charge: limits::Charge,
}

// SAFETY: Pages and their mapping belong to no thread.
unsafe impl Send for SharedPages {}
// SAFETY: No method changes the fields, and the memory is handed out as a raw pointer only.
unsafe impl Sync for SharedPages {}

impl SharedPages {
    /// Allocates `count` pages, charged to the cgroup of the calling task and counted in `account`,
    /// and maps them. The pages from `repeat_from` on are mapped a second time, after all others.
    ///
    /// # Errors
    ///
    /// `EDQUOT`: the user's total would be exceeded; `ENOMEM`; `EINTR`: the task is being killed.
    pub(crate) fn new(count: usize, repeat_from: usize, account: &Account) -> Result<Self> {
        let charge = limits::Charge::new(account, count as u64)?;
        let mut pages = KVVec::with_capacity(count, GFP_KERNEL_ACCOUNT)?;
        for _ in 0..count {
            // SAFETY: The function has no preconditions.
            if unsafe { bindings::iostream_fatal_signal_pending() } {
                return Err(EINTR);
            }
            pages.push(SharedPage::new()?, GFP_KERNEL)?;
        }
        let repeated = count.saturating_sub(repeat_from);
        let mut list = KVVec::with_capacity(count + repeated, GFP_KERNEL)?;
        for page in Iterator::chain(pages.iter(), pages.iter().skip(repeat_from)) {
            list.push(page.0.as_ptr(), GFP_KERNEL)?;
        }
        // SAFETY: `list` consists of valid pages, and its own length is passed.
        let base = unsafe { bindings::iostream_vmap(list.as_mut_ptr(), list.len() as u32) };
        let base = NonNull::new(base.cast()).ok_or(ENOMEM)?;
        // INVARIANT: `list` has all pages and then those from `repeat_from` on, and is mapped.
        Ok(Self {
            pages,
            base,
            _charge: charge,
        })
    }

    /// The address at which the kernel has mapped the pages.
    #[inline(always)]
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// The pages as C takes them: an array of `struct page *`.
    pub(crate) fn as_raw(&self) -> &[*mut c::page] {
        // SAFETY: `SharedPage` is a transparent wrapper of a pointer to a page, so the vector's
        // elements are such pointers. `self` keeps the vector.
        unsafe { core::slice::from_raw_parts(self.pages.as_ptr().cast(), self.pages.len()) }
    }

    /// Maps page `index` at `address` of a process.
    ///
    /// # Errors
    ///
    /// `EINVAL`: there is no page `index`, or `address` lies outside of `vma`; `ENOMEM`.
    pub(crate) fn insert(&self, vma: &VmaMixedMap, address: usize, index: usize) -> Result {
        let page = self.pages.get(index).ok_or(EINVAL)?;
        // SAFETY: `self` holds a reference to the page for the length of the call.
        let page = unsafe { BorrowedPage::from_raw(page.0) };
        vma.vm_insert_page(address, &page)
    }
}

impl Drop for SharedPages {
    fn drop(&mut self) {
        // SAFETY: `base` came from `iostream_vmap`, and only this unmaps it. This is process
        // context: owners of pages are dropped in a worker or a system call.
        unsafe { bindings::iostream_vunmap(self.base.as_ptr().cast()) };
    }
}

/// Checks that a mapping is shared and not executable, and keeps it from becoming executable.
///
/// # Errors
///
/// `EINVAL`: the mapping is private; `EACCES`: it is executable.
pub(crate) fn check_mapping(vma: &VmaNew) -> Result {
    if vma.flags() & vm::SHARED == 0 {
        return Err(EINVAL);
    }
    vma.try_clear_mayexec().map_err(|_| EACCES)
}

/// Prepares a mapping for its pages: it will not be inherited by fork, will not grow, and will not
/// be part of core dumps.
pub(crate) fn prepare_mapping(vma: &VmaNew) -> &VmaMixedMap {
    vma.set_dontcopy();
    vma.set_dontexpand();
    vma.set_dontdump();
    vma.set_mixedmap()
}

/// The size in pages of a mapping that is being made.
pub(crate) fn mapping_pages(vma: &VmaNew) -> usize {
    (vma.end() - vma.start()) >> PAGE_SHIFT
}
