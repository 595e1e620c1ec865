// SPDX-License-Identifier: MIT OR Apache-2.0

//! A ring's memory on the host: a memfd laid out as the module lays out a queue.

use std::ptr::{null_mut, NonNull};

use iostream_bench::Result;
use iostream_ring::{Consumer, Geometry, Layout, Mapped, Producer};
use rustix::fs::{ftruncate, memfd_create, MemfdFlags};
use rustix::mm::{mmap, mmap_anonymous, munmap, MapFlags, ProtFlags};

const PAGE_BYTES: usize = 4096;

/// A mapped memfd: the producer's page, the consumer's page, the data twice in a row.
///
/// # Invariants
///
/// `[start, start + bytes)` has this mapping until drop.
pub struct RingMemory {
    start: NonNull<u8>,
    bytes: usize,
    geometry: Geometry,
}

impl RingMemory {
    /// A ring of `bytes` bytes, a multiple of the page size.
    pub fn new(data_bytes: usize) -> Result<Self> {
        let geometry = Geometry::with_capacity(data_bytes as u64, PAGE_BYTES as u64, u64::MAX)
            .map_err(|error| format!("{error:?}"))?;
        let data_bytes = geometry.data_bytes() as usize;
        let (head, bytes) = (2 * PAGE_BYTES, 2 * PAGE_BYTES + 2 * data_bytes);
        let fd = memfd_create("ring", MemfdFlags::CLOEXEC)?;
        ftruncate(&fd, (head + data_bytes) as u64)?;
        let rights = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: The kernel chooses the address; the later mappings lie inside this one.
        let start = unsafe {
            let start = mmap_anonymous(null_mut(), bytes, ProtFlags::empty(), MapFlags::PRIVATE)?;
            let flags = MapFlags::SHARED | MapFlags::FIXED | MapFlags::POPULATE;
            mmap(start, head + data_bytes, rights, flags, &fd, 0)?;
            let again = start.byte_add(head + data_bytes);
            mmap(again, data_bytes, rights, flags, &fd, head as u64)?;
            start
        };
        let start = NonNull::new(start.cast()).ok_or("mapped at address zero")?;
        // INVARIANT: The three mappings above cover the range.
        Ok(Self {
            start,
            bytes,
            geometry,
        })
    }

    /// The memory in the form that the ring takes.
    ///
    /// # Safety
    ///
    /// The result is used in one role, and not after `self` is dropped.
    pub unsafe fn mapped(&self) -> Mapped {
        // SAFETY: By the invariant the areas lie at these addresses.
        unsafe {
            Mapped::new(
                self.start.cast(),
                self.start.add(PAGE_BYTES).cast(),
                self.start.add(2 * PAGE_BYTES),
            )
        }
    }

    /// Both ends of a ring without overwriting.
    ///
    /// # Safety
    ///
    /// It is called once for each memory, and the ends are not used after `self` is dropped.
    pub unsafe fn ends<L: Layout>(&self) -> (Producer<Mapped, L>, Consumer<Mapped, L>) {
        // SAFETY: The memory is zeroed, and by this function's contract each role exists once.
        unsafe {
            (
                Producer::new_of(self.mapped(), self.geometry, false),
                Consumer::new_of(self.mapped(), self.geometry),
            )
        }
    }
}

impl Drop for RingMemory {
    fn drop(&mut self) {
        // SAFETY: By the invariant the range is mapped, and it is ours.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

// SAFETY: A mapping is not tied to a thread.
unsafe impl Send for RingMemory {}
// SAFETY: `&self` only gives out pointers; each use of one has an argument of its own.
unsafe impl Sync for RingMemory {}
