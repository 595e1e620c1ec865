// SPDX-License-Identifier: GPL-2.0

//! What the kernel calls when a process uses a node: the file operations, and sysfs.

pub(crate) mod fdinfo;
pub(crate) mod ioctl;
pub(crate) mod mmap;
pub(crate) mod operations;
pub(crate) mod publish;
pub(crate) mod read_write;
pub(crate) mod stream_read_write;
pub(crate) mod sysfs;
pub(crate) mod wait;
