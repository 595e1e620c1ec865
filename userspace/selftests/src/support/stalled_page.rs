// SPDX-License-Identifier: MIT OR Apache-2.0

//! A page that does not arrive until it is told to, by userfaultfd(2).

use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use iostream_raw::{page, page_len};
use rustix::mm::{mmap_anonymous, munmap, MapFlags, ProtFlags};

use crate::clause::skip;

/// From `linux/userfaultfd.h`, as are the structs below.
const UFFDIO_API: libc::c_ulong = 0xc018_aa3f;
const UFFDIO_REGISTER: libc::c_ulong = 0xc020_aa00;
const UFFDIO_ZEROPAGE: libc::c_ulong = 0xc020_aa04;
const UFFD_API: u64 = 0xaa;
const REGISTER_MODE_MISSING: u64 = 1;
const MESSAGE_BYTES: usize = 32;

/// A page of memory that is missing. A system call that copies to it, or from it, stalls.
pub struct StalledPage {
    faults: std::fs::File,
    page: *mut libc::c_void,
}

// SAFETY: The page is only passed to system calls, never accessed.
unsafe impl Sync for StalledPage {}

impl StalledPage {
    /// Makes a page. Skips the clause where the kernel has no userfaultfd.
    pub fn new() -> Self {
        // SAFETY: The call touches no memory.
        let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) };
        if fd < 0 {
            skip("this kernel has no userfaultfd");
        }
        // SAFETY: The descriptor was just opened, and nothing else has it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        let faults = std::fs::File::from(fd);
        // SAFETY: A new mapping at an address that the kernel chooses.
        let start = unsafe {
            let access = ProtFlags::READ | ProtFlags::WRITE;
            mmap_anonymous(std::ptr::null_mut(), page_len(), access, MapFlags::PRIVATE)
        }
        .unwrap();
        let stalled = Self {
            faults,
            page: start,
        };
        stalled.call(UFFDIO_API, &mut [UFFD_API, 0, 0]);
        let mut range = [start as u64, page(), REGISTER_MODE_MISSING, 0];
        stalled.call(UFFDIO_REGISTER, &mut range);
        stalled
    }

    fn call(&self, number: libc::c_ulong, argument: &mut [u64]) {
        // SAFETY: The argument has the size that the number encodes.
        let done = unsafe { libc::ioctl(self.faults.as_raw_fd(), number, argument.as_mut_ptr()) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }

    /// Waits until a thread has touched the page, and stalls.
    pub fn wait_touched(&self) {
        let mut message = [0; MESSAGE_BYTES];
        (&self.faults).read_exact(&mut message).unwrap();
    }

    /// Lets the page arrive, full of zeros.
    pub fn arrive(&self) {
        self.call(UFFDIO_ZEROPAGE, &mut [self.page as u64, page(), 0, 0]);
    }

    /// read(2) of `len` bytes into the page.
    pub fn read_into(&self, fd: impl AsRawFd, len: usize) -> isize {
        // SAFETY: The page is mapped and longer than `len`, and nothing else uses it.
        unsafe { libc::read(fd.as_raw_fd(), self.page, len.min(page_len())) }
    }

    /// write(2) of `len` bytes of the page.
    pub fn write_from(&self, fd: impl AsRawFd, len: usize) -> isize {
        // SAFETY: As in `read_into`.
        unsafe { libc::write(fd.as_raw_fd(), self.page, len.min(page_len())) }
    }
}

impl Drop for StalledPage {
    fn drop(&mut self) {
        // SAFETY: The page was mapped by `new`, and no call uses it any more.
        let _ = unsafe { munmap(self.page, page_len()) };
    }
}
