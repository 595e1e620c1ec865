// SPDX-License-Identifier: GPL-2.0

//! mmap(2): the offset in a session's file selects a queue and an area, or buffers.

use kernel::{bindings as c, mm::virt::VmaNew, page::PAGE_SHIFT, prelude::*};

use super::operations::session;
use crate::{
    bindings,
    memory::{mapper::Mapper, region::Area},
    node::session::{OpenMode, Session},
    queue::config::Direction,
};

/// The offsets are divided into sections of 2^40 bytes, each far larger than a queue. Sections 0
/// and 1 are the queues of the two directions.
const DIRECTION_SHIFT: u32 = 40;

/// The section of a stream's info page.
const STREAM_INFO: u64 = 2;
/// The section of a stream's buffers.
const STREAM_BUFFERS: u64 = 3;

/// The mmap(2) offset of a stream's info page.
pub(crate) const fn stream_info_offset() -> u64 {
    STREAM_INFO << DIRECTION_SHIFT
}

/// The mmap(2) offset of a stream's first buffer.
pub(crate) const fn buffers_offset() -> u64 {
    STREAM_BUFFERS << DIRECTION_SHIFT
}

/// The mmap(2) offset of an area of a queue.
pub(crate) const fn offset(direction: Direction, area: Area) -> u64 {
    ((direction as u64) << DIRECTION_SHIFT) + ((area.first_page() as u64) << PAGE_SHIFT)
}

/// Maps an area, or buffers, into the calling process.
///
/// # Errors
///
/// `EOPNOTSUPP`: the process is a 32-bit one, whose loads of 64-bit words can tear; `EACCES`: the
/// file is not open for reading and writing; `EINVAL`: the offset is in no section; `ENODEV`,
/// `EBADFD`, `ENXIO`, `ENOTTY`: there is no such queue or stream; and those of
/// [`Region::map`](crate::memory::region::Region::map) and [`Pool::map`](crate::pool::Pool::map).
pub(crate) fn mmap(session: &Session, open_mode: OpenMode, vma: &VmaNew) -> Result {
    // SAFETY: The function has no preconditions.
    if unsafe { bindings::iostream_in_compat_syscall() } {
        return Err(EOPNOTSUPP);
    }
    if !open_mode.read_write {
        return Err(EACCES);
    }
    // SAFETY: The VMA is valid, and used only by this call while it is being set up.
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
    queue.region().map(vma, first, queue.user_words())?;
    if vma.writable() && first == queue.user_words().first_page() {
        // SAFETY: The VMA is being set up, and nothing fails after this. Its file is a session's.
        unsafe { (*vma.as_ptr()).vm_ops = &raw const WORDS_OPERATIONS.0 };
    }
    Ok(())
}

/// A table of a mapping's operations, shareable as a static.
struct Operations(c::vm_operations_struct);

// SAFETY: The table is never changed.
unsafe impl Sync for Operations {}

/// The operations of a writable mapping of the words that the process writes. They count the
/// mapping for its region.
static WORDS_OPERATIONS: Operations = Operations(c::vm_operations_struct {
    open: Some(words_copied),
    close: Some(words_removed),
    ..pin_init::zeroed()
});

/// Handles a copy of the mapping, by mremap(2).
///
/// # Safety
///
/// `vma` is a writable mapping of a session's words.
unsafe extern "C" fn words_copied(vma: *mut c::vm_area_struct) {
    // SAFETY: `vma` is such a mapping by this function's contract.
    unsafe { with_mapper(vma, Mapper::copied) };
}

/// Handles the end of the mapping: by munmap(2), mremap(2), exec or exit.
///
/// # Safety
///
/// `vma` is a writable mapping of a session's words.
unsafe extern "C" fn words_removed(vma: *mut c::vm_area_struct) {
    // SAFETY: `vma` is such a mapping by this function's contract.
    unsafe { with_mapper(vma, Mapper::removed) };
}

/// Runs `f` with the mapper of the queue whose words are mapped.
///
/// # Safety
///
/// `vma` is a writable mapping of a session's words.
unsafe fn with_mapper(vma: *mut c::vm_area_struct, f: impl FnOnce(&Mapper)) {
    // SAFETY: The mapping has a reference to its file, which is a session's, until after its
    // operations were called.
    let (session, page) = unsafe { (session((*vma).vm_file), (*vma).vm_pgoff as u64) };
    let direction = match page >> (DIRECTION_SHIFT - PAGE_SHIFT as u32) {
        0 => Direction::Output,
        _ => Direction::Input,
    };
    // There is such a queue: it was mapped.
    if let Ok(lane) = session.queue(direction) {
        f(lane.region().mapper());
    }
}
