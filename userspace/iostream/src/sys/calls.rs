// SPDX-License-Identifier: MIT OR Apache-2.0

//! The two system calls that an iostream device answers in its own way: ioctl(2) and mmap(2).
//!
//! [`Device`](super::Device) makes them through [`Calls`], so that the tests can stand in for the
//! kernel. Both are slow paths: an indirect call in front of a system call costs nothing that can
//! be measured.

use std::ffi::c_void;
use std::os::fd::BorrowedFd;
use std::ptr::{null_mut, NonNull};

use rustix::io::Errno;
use rustix::ioctl::{ioctl, Ioctl, IoctlOutput, Opcode};
use rustix::mm::{mmap, MapFlags, ProtFlags};

/// Answers the calls that are made on an open device.
///
/// # Safety
///
/// - A successful `ioctl` has written to its argument what iostream.h says for the request.
/// - A successful `map` returns the start of `bytes` bytes that are mapped, readable, writable if
///   that was asked for, and not in use by anyone else; munmap(2) may unmap them.
pub(crate) unsafe trait Calls: Send + Sync {
    /// Makes the ioctl `request`, with its argument or a pointer to it.
    ///
    /// # Safety
    ///
    /// `request` is one of iostream.h, and `argument` is what iostream.h says for it.
    unsafe fn ioctl(
        &self,
        fd: BorrowedFd<'_>,
        request: Opcode,
        argument: *mut c_void,
    ) -> Result<IoctlOutput, Errno>;

    /// Maps `bytes` bytes of the device, from `offset`, at an address of its own choice.
    fn map(
        &self,
        fd: BorrowedFd<'_>,
        offset: u64,
        bytes: usize,
        writable: bool,
    ) -> Result<NonNull<c_void>, Errno>;
}

/// The kernel.
pub(super) struct Kernel;

// SAFETY: iostream.ko keeps to iostream.h, and the kernel to what mmap(2) says.
unsafe impl Calls for Kernel {
    unsafe fn ioctl(
        &self,
        fd: BorrowedFd<'_>,
        request: Opcode,
        argument: *mut c_void,
    ) -> Result<IoctlOutput, Errno> {
        // SAFETY: The caller passes a request of iostream.h with its argument. (On a file that is
        // not iostream's, requests of type 'j' with these sizes belong to nobody else; `version`
        // is the first call on each file.)
        unsafe { ioctl(fd, Request { request, argument }) }
    }

    fn map(
        &self,
        fd: BorrowedFd<'_>,
        offset: u64,
        bytes: usize,
        writable: bool,
    ) -> Result<NonNull<c_void>, Errno> {
        let rights = if writable {
            ProtFlags::READ | ProtFlags::WRITE
        } else {
            ProtFlags::READ
        };
        // SAFETY: No address is asked for, so no memory in use is replaced.
        let start = unsafe { mmap(null_mut(), bytes, rights, MapFlags::SHARED, fd, offset) }?;
        NonNull::new(start).ok_or(Errno::FAULT)
    }
}

/// An ioctl as the kernel takes it.
struct Request {
    request: Opcode,
    argument: *mut c_void,
}

// SAFETY: Only `Kernel::ioctl` makes one, from a request and the argument that belongs to it.
unsafe impl Ioctl for Request {
    type Output = IoctlOutput;
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.request
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.argument
    }

    unsafe fn output_from_ptr(
        output: IoctlOutput,
        _argument: *mut c_void,
    ) -> Result<IoctlOutput, Errno> {
        Ok(output)
    }
}
