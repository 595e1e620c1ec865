// SPDX-License-Identifier: MIT OR Apache-2.0

//! Mappings.

use std::ffi::c_void;
use std::os::fd::AsFd;
use std::ptr::NonNull;

use iostream_ring::uapi::iostream_queue;
use rustix::io::Result;
use rustix::mm::{mmap, mmap_anonymous, munmap, MapFlags, ProtFlags};

use crate::{word::Word, Session};

/// The rights of a mapping.
pub type Prot = ProtFlags;

/// An area of a queue's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// The kernel's page: geometry, generation and counters.
    Info,
    /// The producer's words.
    Producer,
    /// The consumer's words.
    Consumer,
    /// The data, twice in a row.
    Data,
}

impl Area {
    /// All areas.
    pub const ALL: [Area; 4] = [Area::Info, Area::Producer, Area::Consumer, Area::Data];

    /// Where it is in the file.
    pub fn offset(self, queue: &iostream_queue) -> u64 {
        match self {
            Area::Info => queue.info_offset,
            Area::Producer => queue.producer_offset,
            Area::Consumer => queue.consumer_offset,
            Area::Data => queue.data_offset,
        }
    }

    /// How long its mapping is; the data count twice.
    pub fn bytes(self, queue: &iostream_queue) -> usize {
        match self {
            Area::Data => 2 * queue.data_bytes as usize,
            _ => queue.page_bytes as usize,
        }
    }
}

/// A mapping, until dropped.
pub struct Map {
    address: NonNull<c_void>,
    bytes: usize,
}

// SAFETY: A mapping belongs to the process, not to a thread.
unsafe impl Send for Map {}
// SAFETY: All access through `&Map` is by atomics or by raw copies, for which no reference to the
// memory is made.
unsafe impl Sync for Map {}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: The value owns the range, and references into it borrow the value.
        unsafe { munmap(self.address.as_ptr(), self.bytes) }.expect("munmap");
    }
}

impl Map {
    /// Calls mmap(2), without an address, with any other arguments.
    ///
    /// # Errors
    ///
    /// Those of mmap(2).
    pub fn try_new(
        fd: impl AsFd,
        offset: u64,
        bytes: usize,
        prot: Prot,
        flags: MapFlags,
    ) -> Result<Self> {
        // SAFETY: The kernel chooses where, so no existing mapping is replaced.
        let address = unsafe { mmap(std::ptr::null_mut(), bytes, prot, flags, fd, offset) }?;
        let address = NonNull::new(address).expect("mmap returned null");
        Ok(Self { address, bytes })
    }

    /// Maps zeroed memory that belongs to no file; with `MapFlags::SHARED` children share it.
    ///
    /// # Errors
    ///
    /// Those of mmap(2).
    pub fn anonymous(bytes: usize, prot: Prot, flags: MapFlags) -> Result<Self> {
        // SAFETY: The kernel chooses where, so no existing mapping is replaced.
        let address = unsafe { mmap_anonymous(std::ptr::null_mut(), bytes, prot, flags) }?;
        let address = NonNull::new(address).expect("mmap returned null");
        Ok(Self { address, bytes })
    }

    /// Takes over a range that something else has mapped.
    ///
    /// # Safety
    ///
    /// Nothing else unmaps the range or refers to it, and it stays mapped until the value is
    /// dropped.
    pub unsafe fn from_raw(address: usize, bytes: usize) -> Self {
        let address = NonNull::new(std::ptr::with_exposed_provenance_mut(address));
        Self {
            address: address.expect("an address"),
            bytes,
        }
    }

    /// Where it begins.
    pub fn as_ptr(&self) -> *mut c_void {
        self.address.as_ptr()
    }

    /// Where it begins, as a number.
    pub fn address(&self) -> usize {
        self.address.as_ptr().expose_provenance()
    }

    /// Its length in bytes, never 0.
    #[expect(clippy::len_without_is_empty, reason = "no mapping is empty")]
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// All words.
    pub fn words(&self) -> impl Iterator<Item = &Word> {
        (0..self.bytes / 8).map(|i| self.word(i * 8))
    }

    /// The word at `offset`.
    pub fn word(&self, offset: usize) -> &Word {
        assert!(offset % 8 == 0 && offset + 8 <= self.bytes);
        // SAFETY: In bounds and aligned, as asserted; the pages are mapped as long as `self` lives.
        unsafe { &*self.address.as_ptr().byte_add(offset).cast::<Word>() }
    }

    /// A copy of the bytes at `offset`.
    pub fn read(&self, offset: usize, len: usize) -> Vec<u8> {
        assert!(offset + len <= self.bytes);
        let mut bytes = vec![0; len];
        // SAFETY: In bounds, as asserted. A peer that writes at the same time yields mixed bytes,
        // which the caller checks.
        unsafe {
            let from = self.address.as_ptr().byte_add(offset).cast::<u8>();
            std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), len);
        }
        bytes
    }

    /// Stores bytes at `offset`.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.bytes);
        // SAFETY: In bounds, as asserted; no reference to the memory exists.
        unsafe {
            let to = self.address.as_ptr().byte_add(offset).cast::<u8>();
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
    }
}

impl Session {
    /// Maps an area, shared, with these rights.
    ///
    /// # Errors
    ///
    /// Those of `IOSTREAM_IOC_QUEUE` and of mmap(2).
    pub fn try_map(&self, direction: u32, area: Area, prot: Prot) -> Result<Map> {
        let queue = self.try_queue(direction)?;
        let (offset, bytes) = (area.offset(&queue), area.bytes(&queue));
        Map::try_new(self, offset, bytes, prot, MapFlags::SHARED)
    }

    /// Maps an area for reading.
    pub fn map(&self, direction: u32, area: Area) -> Map {
        self.try_map(direction, area, Prot::READ).expect("mmap")
    }

    /// Maps an area for reading and writing.
    pub fn map_writable(&self, direction: u32, area: Area) -> Map {
        let map = self.try_map(direction, area, Prot::READ | Prot::WRITE);
        map.expect("mmap, writable")
    }
}
