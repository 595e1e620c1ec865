// SPDX-License-Identifier: GPL-2.0

//! Pages that the kernel shares with a process: allocation, limits, both mappings.
//!
//! # Why pages live as long as they must
//!
//! Each page has one reference of its owner's and one for each mapping of it (`vm_insert_page`),
//! and more while something pins it. So a mapping stays valid after the owner is gone, and no page
//! is handed to anybody else before the last reference to it goes. Nothing counts mappings.

use core::ptr::NonNull;

use kernel::{
    alloc::flags::GFP_KERNEL_ACCOUNT,
    bindings as c,
    mm::virt::{flags as vm, VmaMixedMap, VmaNew},
    page::{BorrowedPage, PAGE_SHIFT},
    prelude::*,
};

use super::limits;
use crate::bindings;

/// One reference to a zeroed page, charged to the cgroup of who made it.
#[repr(transparent)]
struct SharedPage(NonNull<c::page>);

impl SharedPage {
    fn new() -> Result<Self> {
        // SAFETY: No preconditions, this is process context.
        let page = unsafe { bindings::iostream_alloc_page() };
        NonNull::new(page).map(Self).ok_or(ENOMEM)
    }
}

impl Drop for SharedPage {
    fn drop(&mut self) {
        // SAFETY: The reference is this one's.
        unsafe { bindings::iostream_put_page(self.0.as_ptr()) };
    }
}

/// Zeroed pages, mapped into the kernel in a row.
///
/// # Invariants
///
/// `base` is where the kernel has `pages` mapped, those from `repeat_from` on twice in a row, until
/// drop.
pub(crate) struct SharedPages {
    pages: KVVec<SharedPage>,
    base: NonNull<u8>,
    _charge: limits::Charge,
}

// SAFETY: The mapping at `base` may be used from any thread.
unsafe impl Send for SharedPages {}
// SAFETY: The pages themselves are immutable; what is handed out are raw pointers.
unsafe impl Sync for SharedPages {}

impl SharedPages {
    /// Allocates `count` pages, charged to the cgroup of the calling task, and maps them; those
    /// from `repeat_from` on a second time after all others.
    ///
    /// # Errors
    ///
    /// `EDQUOT` if the module's total is used up; `ENOMEM`; `EINTR` if the task is being killed.
    pub(crate) fn new(count: usize, repeat_from: usize) -> Result<Self> {
        let charge = limits::Charge::new(count as u64)?;
        let mut pages = KVVec::with_capacity(count, GFP_KERNEL_ACCOUNT)?;
        for _ in 0..count {
            // SAFETY: No preconditions, this is process context.
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
        // SAFETY: `list` holds as many valid pages as it is long.
        let base = unsafe { bindings::iostream_vmap(list.as_mut_ptr(), list.len() as u32) };
        let base = NonNull::new(base.cast()).ok_or(ENOMEM)?;
        // INVARIANT: Allocated and mapped right above.
        Ok(Self {
            pages,
            base,
            _charge: charge,
        })
    }

    /// Where the kernel has them mapped.
    #[inline(always)]
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// The pages, for C: an array of `struct page *`.
    pub(crate) fn as_raw(&self) -> &[*mut c::page] {
        // SAFETY: `SharedPage` is a transparent wrapper of a pointer to a page.
        unsafe { core::slice::from_raw_parts(self.pages.as_ptr().cast(), self.pages.len()) }
    }

    /// Puts page `index` at `address` of a process.
    ///
    /// # Errors
    ///
    /// `EINVAL`: there is no such page; `ENOMEM`.
    pub(crate) fn insert(&self, vma: &VmaMixedMap, address: usize, index: usize) -> Result {
        let page = self.pages.get(index).ok_or(EINVAL)?;
        // SAFETY: `self` keeps the page for longer than this.
        let page = unsafe { BorrowedPage::from_raw(page.0) };
        vma.vm_insert_page(address, &page)
    }
}

impl Drop for SharedPages {
    fn drop(&mut self) {
        // SAFETY: `base` came from `iostream_vmap` and is unmapped nowhere else. This is process
        // context: whoever owns pages lets go of them in a worker or a system call.
        unsafe { bindings::iostream_vunmap(self.base.as_ptr().cast()) };
    }
}

/// Checks what every mapping of ours must be: shared, and never executable.
///
/// # Errors
///
/// `EINVAL`: not shared; `EACCES`: executable.
pub(crate) fn check_mapping(vma: &VmaNew) -> Result {
    if vma.flags() & vm::SHARED == 0 {
        return Err(EINVAL);
    }
    vma.try_clear_mayexec().map_err(|_| EACCES)
}

/// Makes a mapping ready for pages: it is not inherited, does not grow, and is in no core dump.
pub(crate) fn prepare_mapping(vma: &VmaNew) -> &VmaMixedMap {
    vma.set_dontcopy();
    vma.set_dontexpand();
    vma.set_dontdump();
    vma.set_mixedmap()
}

/// Pages of a mapping that is being made.
pub(crate) fn mapping_pages(vma: &VmaNew) -> usize {
    (vma.end() - vma.start()) >> PAGE_SHIFT
}
