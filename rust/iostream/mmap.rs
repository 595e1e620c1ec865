// SPDX-License-Identifier: GPL-2.0

//! Which offset of a session's file is which area of which queue.

use kernel::{mm::virt::VmaNew, page::PAGE_SHIFT, prelude::*};

use crate::{
    bindings,
    config::Direction,
    region::Area,
    session::{Access, Session},
};

/// Where the offsets of a direction begin, in bytes: far beyond the largest queue.
const DIRECTION_SHIFT: u32 = 40;

/// The mmap(2) offset of an area.
pub(crate) const fn offset(direction: Direction, area: Area) -> u64 {
    ((direction as u64) << DIRECTION_SHIFT) + ((area.first_page() as u64) << PAGE_SHIFT)
}

/// Maps an area into the calling process.
///
/// # Errors
///
/// `EOPNOTSUPP`: a 32-bit process, whose loads of 64 bits can tear; `EACCES`: the file is not open
/// for reading and writing; `ENODEV`, `EBADFD`, `ENXIO`: no such queue; and those of
/// [`Region::map`](crate::region::Region::map).
pub(crate) fn mmap(session: &Session, access: Access, vma: &VmaNew) -> Result {
    // SAFETY: No preconditions.
    if unsafe { bindings::iostream_in_compat_syscall() } {
        return Err(EOPNOTSUPP);
    }
    if !access.read_write {
        return Err(EACCES);
    }
    // SAFETY: The VMA is being set up by this call alone.
    let page = unsafe { (*vma.as_ptr()).vm_pgoff } as u64;
    let direction = match page >> (DIRECTION_SHIFT - PAGE_SHIFT as u32) {
        0 => Direction::Output,
        1 => Direction::Input,
        _ => return Err(EINVAL),
    };
    let queue = session.live_queue(direction)?;
    let first = page & ((1 << (DIRECTION_SHIFT - PAGE_SHIFT as u32)) - 1);
    queue.region().map(vma, first as usize, queue.user_words())
}
