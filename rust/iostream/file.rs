// SPDX-License-Identifier: GPL-2.0

//! The entry points for processes: file operations, sysfs, and the publication of nodes.

pub(crate) mod fdinfo;
pub(crate) mod ioctl;
pub(crate) mod mmap;
pub(crate) mod operations;
pub(crate) mod poll;
pub(crate) mod publish;
mod read_entry;
pub(crate) mod read_write;
pub(crate) mod stream_read_write;
mod sync;
pub(crate) mod sysfs;
pub(crate) mod wait;
