// SPDX-License-Identifier: MIT OR Apache-2.0

//! A stretch of mapped memory that unmaps itself.

use std::ffi::c_void;
use std::ptr::{null_mut, NonNull};

use rustix::io::Errno;
use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};

use super::Device;

/// A mapping.
///
/// # Invariants
///
/// `[start, start + bytes)` is mapped, and nobody else unmaps it.
pub(super) struct Region {
    start: NonNull<c_void>,
    bytes: usize,
}

impl Region {
    /// Maps an area of a device. The place is the kernel's choice, so nothing is replaced.
    pub(super) fn map(
        device: &Device,
        offset: u64,
        bytes: usize,
        writable: bool,
    ) -> Result<Self, Errno> {
        use std::os::fd::AsFd;
        let rights = if writable {
            ProtFlags::READ | ProtFlags::WRITE
        } else {
            ProtFlags::READ
        };
        device.count_call();
        // SAFETY: No address is asked for, so no memory in use is touched.
        let start = unsafe {
            mmap(
                null_mut(),
                bytes,
                rights,
                MapFlags::SHARED,
                device.as_fd(),
                offset,
            )
        }?;
        // INVARIANT: Just mapped.
        NonNull::new(start)
            .map(|start| Self { start, bytes })
            .ok_or(Errno::FAULT)
    }

    /// # Safety
    ///
    /// As the type's invariant: the mapping becomes the value's own.
    #[cfg(test)]
    pub(super) unsafe fn from_raw(start: NonNull<c_void>, bytes: usize) -> Self {
        // INVARIANT: The caller's promise.
        Self { start, bytes }
    }

    /// Where it begins. Valid while the value lives.
    pub(super) fn start<T>(&self) -> NonNull<T> {
        self.start.cast()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: By the invariant it is mapped and ours; who borrowed from it borrowed `self`.
        // An error would mean that the invariant is broken, and there is nobody to tell.
        let _ = unsafe { munmap(self.start.as_ptr(), self.bytes) };
    }
}

// SAFETY: A mapping is not tied to a thread; `start` hands out a pointer, whose uses are argued
// where they are.
unsafe impl Send for Region {}
