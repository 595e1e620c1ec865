// SPDX-License-Identifier: GPL-2.0

//! Which offset of a session's file is which area of which queue.

use kernel::{mm::virt::VmaNew, page::PAGE_SHIFT, prelude::*};

use crate::{
    bindings,
    memory::region::Area,
    node::session::{Access, Session},
    queue::config::Direction,
};

/// Where the offsets of a direction begin, in bytes: far beyond the largest queue.
const DIRECTION_SHIFT: u32 = 40;

/// What comes after the two directions: a stream's info page, and its buffers.
const STREAM_INFO: u64 = 2;
const STREAM_BUFFERS: u64 = 3;

/// The mmap(2) offset of a stream's info page.
pub(crate) const fn stream_info_offset() -> u64 {
    STREAM_INFO << DIRECTION_SHIFT
}

/// The mmap(2) offset of a stream's first buffer.
pub(crate) const fn buffers_offset() -> u64 {
    STREAM_BUFFERS << DIRECTION_SHIFT
}

/// The mmap(2) offset of an area.
pub(crate) const fn offset(direction: Direction, area: Area) -> u64 {
    ((direction as u64) << DIRECTION_SHIFT) + ((area.first_page() as u64) << PAGE_SHIFT)
}

/// Maps an area, or buffers, into the calling process.
///
/// # Errors
///
/// `EOPNOTSUPP`: a 32-bit process, whose loads of 64 bits can tear; `EACCES`: the file is not open
/// for reading and writing; `ENODEV`, `EBADFD`, `ENXIO`, `ENOTTY`: no such queue or stream; and
/// those of [`Region::map`](crate::memory::region::Region::map) and [`Pool::map`](crate::pool::Pool::map).
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
    let first = (page & ((1 << (DIRECTION_SHIFT - PAGE_SHIFT as u32)) - 1)) as usize;
    let direction = match page >> (DIRECTION_SHIFT - PAGE_SHIFT as u32) {
        0 => Direction::Output,
        1 => Direction::Input,
        STREAM_INFO if first == 0 => return session.live_pool()?.map_info(vma),
        STREAM_BUFFERS => return session.live_pool()?.map(vma, first),
        _ => return Err(EINVAL),
    };
    let queue = session.live_queue(direction)?;
    if let Ok(pool) = queue.pool() {
        pool.fix_mode();
    }
    queue.region().map(vma, first, queue.user_words())
}
