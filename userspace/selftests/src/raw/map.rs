// SPDX-License-Identifier: MIT OR Apache-2.0

//! One mapped area.

use std::ffi::c_void;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use iostream_ring::uapi::iostream_queue;
use rustix::io::Result;
use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};

use super::Session;

/// The rights of a mapping.
pub type Prot = ProtFlags;

/// An area of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    Info,
    Producer,
    Consumer,
    Data,
}

impl Area {
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

    /// How long it is; the data count twice.
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

// SAFETY: Shared memory belongs to no thread; it is reached by atomics and raw copies.
unsafe impl Send for Map {}
// SAFETY: As above.
unsafe impl Sync for Map {}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: The mapping is this value's, and nobody borrows it.
        unsafe { munmap(self.address.as_ptr(), self.bytes) }.expect("munmap");
    }
}

impl Map {
    /// Maps with any arguments.
    pub fn try_new(
        fd: impl AsFd,
        offset: u64,
        bytes: usize,
        prot: Prot,
        flags: MapFlags,
    ) -> Result<Self> {
        // SAFETY: A new mapping where the kernel likes.
        let address = unsafe { mmap(std::ptr::null_mut(), bytes, prot, flags, fd, offset) }?;
        let address = NonNull::new(address).expect("mmap returned null");
        Ok(Self { address, bytes })
    }

    pub fn as_ptr(&self) -> *mut c_void {
        self.address.as_ptr()
    }

    pub fn len(&self) -> usize {
        self.bytes
    }

    /// The word at `offset`.
    pub fn word(&self, offset: usize) -> &AtomicU64 {
        assert!(offset % 8 == 0 && offset + 8 <= self.bytes);
        // SAFETY: In bounds and aligned; the pages are there as long as the mapping.
        unsafe { &*self.address.as_ptr().byte_add(offset).cast::<AtomicU64>() }
    }

    /// A copy of the bytes at `offset`.
    pub fn read(&self, offset: usize, len: usize) -> Vec<u8> {
        assert!(offset + len <= self.bytes);
        let mut bytes = vec![0; len];
        // SAFETY: In bounds; a race yields some bytes, which the caller checks.
        unsafe {
            let from = self.address.as_ptr().byte_add(offset).cast::<u8>();
            std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), len);
        }
        bytes
    }

    /// Stores bytes at `offset`.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.bytes);
        // SAFETY: In bounds.
        unsafe {
            let to = self.address.as_ptr().byte_add(offset).cast::<u8>();
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
    }
}

impl Session {
    /// Maps an area, shared, with these rights.
    pub fn try_map(&self, direction: u32, area: Area, prot: Prot) -> Result<Map> {
        let queue = self.try_queue(direction)?;
        let (offset, bytes) = (area.offset(&queue), area.bytes(&queue));
        Map::try_new(self, offset, bytes, prot, MapFlags::SHARED)
    }

    /// As [`Self::try_map`], for reading.
    pub fn map(&self, direction: u32, area: Area) -> Map {
        self.try_map(direction, area, Prot::READ).expect("mmap")
    }

    /// As [`Self::try_map`], for reading and writing.
    pub fn map_writable(&self, direction: u32, area: Area) -> Map {
        let map = self.try_map(direction, area, Prot::READ | Prot::WRITE);
        map.expect("mmap, writable")
    }
}
