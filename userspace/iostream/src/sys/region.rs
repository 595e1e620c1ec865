// SPDX-License-Identifier: MIT OR Apache-2.0

//! Mapped memory of a device that unmaps itself.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::mm::{madvise, munmap, Advice};

use super::inherited::{self, LentCopy, Mapping};
use super::lent::Lent;
use super::owner::Owner;
use super::Device;

/// A mapping.
///
/// # Invariants
///
/// In the process of `owner`, `[start, start + bytes)` is mapped, and nobody else unmaps it. In a
/// child that fork(2) made of that process, private memory is mapped there, which is never
/// unmapped.
pub(super) struct Region {
    start: NonNull<c_void>,
    bytes: usize,
    owner: Owner,
}

impl Region {
    /// Maps an area of a device that lends no slices, at an address that the kernel chooses.
    pub(super) fn map(
        device: &Device,
        offset: u64,
        bytes: usize,
        writable: bool,
    ) -> Result<Self, Errno> {
        Self::map_lending(device, offset, bytes, writable, None)
    }

    /// Maps an area of a device; `lent` tells which of its bytes slices refer to.
    pub(super) fn map_lending(
        device: &Device,
        offset: u64,
        bytes: usize,
        writable: bool,
        lent: Option<Arc<dyn Lent>>,
    ) -> Result<Self, Errno> {
        let owner = Owner::this_process()?;
        let start = device.map(offset, bytes, writable)?;
        // INVARIANT: Just mapped, and not in use by anyone else.
        let region = Self {
            start,
            bytes,
            owner,
        };
        // The kernel module asks for this as well. What the child finds must not depend on it.
        // SAFETY: The advice affects the children alone, in which nothing refers to this mapping.
        unsafe { madvise(start.as_ptr(), bytes, Advice::LinuxDontFork) }?;
        inherited::add(Mapping {
            start,
            bytes,
            owner,
            lent,
            copy: LentCopy::None,
        })?;
        Ok(region)
    }

    /// The start of the mapping, valid while the value lives.
    pub(super) fn start<T>(&self) -> NonNull<T> {
        self.start.cast()
    }

    /// The process that made the mapping. In others the memory is not the device's.
    #[inline]
    pub(super) fn owner(&self) -> Owner {
        self.owner
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if !self.owner.is_this_process() {
            return;
        }
        inherited::remove(self.start, self.owner);
        // SAFETY: By the invariant it is mapped and ours; whatever uses it borrows or owns `self`.
        // An error would mean that the invariant is broken, and there is nobody to tell.
        let _ = unsafe { munmap(self.start.as_ptr(), self.bytes) };
    }
}

// SAFETY: A mapping is not tied to a thread. `start` returns a pointer; each use of it has an
// argument of its own.
unsafe impl Send for Region {}
