// SPDX-License-Identifier: MIT OR Apache-2.0

//! Memory that stands in for a device's: a memfd, which both sides map.

#![allow(
    unsafe_code,
    reason = "the tests map memory and share it as the kernel does"
)]

use std::ffi::c_void;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::{null_mut, NonNull};

use iostream_ring::sync::Word;
use rustix::fs::{ftruncate, memfd_create, MemfdFlags};
use rustix::io::Errno;
use rustix::mm::{mmap, mmap_anonymous, munmap, MapFlags, ProtFlags};

/// A memfd, mapped as a whole for the kernel's side.
///
/// # Invariants
///
/// `[start, start + bytes)` is mapped, readable and writable, and holds words.
pub(super) struct Memfd {
    fd: OwnedFd,
    start: NonNull<c_void>,
    bytes: usize,
}

impl Memfd {
    pub(super) fn new(bytes: usize) -> Self {
        let fd = memfd_create("iostream-test", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&fd, bytes as u64).unwrap();
        let start = map(fd.as_fd(), 0, bytes, true).unwrap();
        // INVARIANT: Just mapped; all accesses go through `word` and the ring.
        Self { fd, start, bytes }
    }

    /// A descriptor of its own, for a device.
    pub(super) fn fd(&self) -> OwnedFd {
        self.fd.try_clone().unwrap()
    }

    pub(super) fn start<T>(&self, offset: usize) -> NonNull<T> {
        assert!(offset < self.bytes);
        // SAFETY: Within the mapping.
        unsafe { self.start.byte_add(offset).cast() }
    }

    pub(super) fn word(&self, offset: usize) -> &Word {
        assert!(offset % 8 == 0);
        // SAFETY: By the invariant there is a word at this offset.
        unsafe { self.start::<Word>(offset).as_ref() }
    }

    pub(super) fn store(&self, offset: usize, value: u64) {
        self.word(offset).store_release(value);
    }

    pub(super) fn load(&self, offset: usize) -> u64 {
        self.word(offset).load_acquire()
    }
}

impl Drop for Memfd {
    fn drop(&mut self) {
        // SAFETY: By the invariant it is mapped; what uses it borrows or owns `self`.
        unsafe { munmap(self.start.as_ptr(), self.bytes) }.unwrap();
    }
}

// SAFETY: A mapping is not tied to a thread, and holds words alone, which are atomic.
unsafe impl Send for Memfd {}
// SAFETY: As for `Send`.
unsafe impl Sync for Memfd {}

/// Maps a part of a memfd.
pub(super) fn map(
    fd: BorrowedFd<'_>,
    offset: u64,
    bytes: usize,
    writable: bool,
) -> Result<NonNull<c_void>, Errno> {
    let flags = MapFlags::SHARED;
    // SAFETY: No address is asked for, so no memory in use is replaced.
    let start = unsafe { mmap(null_mut(), bytes, rights(writable), flags, fd, offset) }?;
    Ok(NonNull::new(start).unwrap())
}

/// Maps a part of a memfd twice in a row.
pub(super) fn map_twice(
    fd: BorrowedFd<'_>,
    offset: u64,
    bytes: usize,
    writable: bool,
) -> Result<NonNull<c_void>, Errno> {
    let none = ProtFlags::empty();
    let flags = MapFlags::SHARED | MapFlags::FIXED;
    // SAFETY: No address is asked for; the two halves then replace what was just mapped.
    unsafe {
        let start = mmap_anonymous(null_mut(), 2 * bytes, none, MapFlags::PRIVATE)?;
        for half in [start, start.byte_add(bytes)] {
            mmap(half, bytes, rights(writable), flags, fd, offset)?;
        }
        Ok(NonNull::new(start).unwrap())
    }
}

fn rights(writable: bool) -> ProtFlags {
    if writable {
        ProtFlags::READ | ProtFlags::WRITE
    } else {
        ProtFlags::READ
    }
}

pub(super) fn page() -> usize {
    rustix::param::page_size()
}
