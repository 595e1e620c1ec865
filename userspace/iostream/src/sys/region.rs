// SPDX-License-Identifier: MIT OR Apache-2.0

//! Mapped memory of a device that unmaps itself.

use std::ffi::c_void;
use std::ptr::NonNull;

use rustix::io::Errno;
use rustix::mm::munmap;

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
    /// Maps an area of a device, at an address that the kernel chooses.
    pub(super) fn map(
        device: &Device,
        offset: u64,
        bytes: usize,
        writable: bool,
    ) -> Result<Self, Errno> {
        let start = device.map(offset, bytes, writable)?;
        // INVARIANT: Just mapped, and not in use by anyone else.
        Ok(Self { start, bytes })
    }

    /// The start of the mapping, valid while the value lives.
    pub(super) fn start<T>(&self) -> NonNull<T> {
        self.start.cast()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: By the invariant it is mapped and ours; whatever uses it borrows or owns `self`.
        // An error would mean that the invariant is broken, and there is nobody to tell.
        let _ = unsafe { munmap(self.start.as_ptr(), self.bytes) };
    }
}

// SAFETY: A mapping is not tied to a thread. `start` returns a pointer; each use of it has an
// argument of its own.
unsafe impl Send for Region {}
