// SPDX-License-Identifier: GPL-2.0

//! The file operations of a node: trampolines that convert, and nothing more.
//!
//! They belong to iostream.ko, whoever published the node, so that a driver may be unloaded while
//! its node is open.

use kernel::{
    bindings as c,
    error::{from_result, to_result},
    fs::file::flags,
    iov::{IovIterDest, IovIterSource},
    mm::virt::VmaNew,
    module::this_module,
    prelude::*,
    seq_file::SeqFile,
    sync::{Arc, ArcBorrow},
    types::ForeignOwnable,
};

use super::{ioctl, mmap, read_write};
use crate::{
    bindings,
    node::{
        session::{Access, Session},
        Node,
    },
};

type Private = Arc<Session>;

struct Operations(c::file_operations);

// SAFETY: Immutable.
unsafe impl Sync for Operations {}

static OPERATIONS: Operations = Operations(c::file_operations {
    owner: owner(),
    open: Some(open),
    release: Some(release),
    read_iter: Some(read_iter),
    write_iter: Some(write_iter),
    poll: Some(poll),
    mmap: Some(mmap_file),
    unlocked_ioctl: Some(ioctl_file),
    compat_ioctl: Some(ioctl_file),
    show_fdinfo: Some(show_fdinfo),
    llseek: Some(c::noop_llseek),
    ..pin_init::zeroed()
});

/// The operations of every node.
pub(crate) fn operations() -> *const c::file_operations {
    &raw const OPERATIONS.0
}

/// iostream.ko.
pub(crate) const fn owner() -> *mut c::module {
    this_module::<crate::LocalModule>().as_ptr()
}

/// The session of an open file.
///
/// # Safety
///
/// `file` is open on a node, for as long as the result is used.
unsafe fn session<'a>(file: *mut c::file) -> ArcBorrow<'a, Session> {
    // SAFETY: `open` stored it, and `release` takes it back last.
    unsafe { Private::borrow((*file).private_data) }
}

/// # Safety
///
/// `file` is valid.
unsafe fn access(file: *mut c::file) -> Access {
    // SAFETY: Valid, says the caller; flags are read racily by everybody.
    unsafe {
        Access {
            read_write: (*file).f_flags & flags::O_ACCMODE == flags::O_RDWR,
            nonblocking: (*file).f_flags & flags::O_NONBLOCK != 0,
        }
    }
}

/// How a read or write is to be done: it must not wait if the file or the call says so (`RWF_NOWAIT`,
/// and io_uring's own first attempt).
///
/// # Safety
///
/// `iocb` is valid, and for a node's file.
unsafe fn call_access(iocb: *mut c::kiocb) -> Access {
    // SAFETY: Valid, says the caller.
    unsafe {
        let access = access((*iocb).ki_filp);
        Access {
            nonblocking: access.nonblocking || bindings::iostream_is_nowait(iocb),
            ..access
        }
    }
}

/// # Safety
///
/// `inode` and `file` are being opened, and the inode is a node's.
unsafe extern "C" fn open(inode: *mut c::inode, file: *mut c::file) -> c_int {
    from_result(|| {
        // SAFETY: The cdev of the inode is a node's, and alive while it is being opened.
        let node = unsafe { Node::from_cdev((*inode).__bindgen_anon_5.i_cdev) };
        // SAFETY: The file's credentials live as long as the file.
        let credential = unsafe { kernel::cred::Credential::from_ptr((*file).f_cred) };
        // SAFETY: Both are valid in open.
        to_result(unsafe { c::stream_open(inode, file) })?;
        let session = Session::open(node, credential)?;
        // SAFETY: The open call of a file may set its private data and its mode.
        unsafe {
            (*file).private_data = session.into_foreign();
            bindings::iostream_set_nowait(file);
        }
        Ok(0)
    })
}

/// # Safety
///
/// `file` is a node's, and nobody uses it any more.
unsafe extern "C" fn release(_inode: *mut c::inode, file: *mut c::file) -> c_int {
    // SAFETY: Stored by `open`; nobody uses the file any more.
    drop(unsafe { Private::from_foreign((*file).private_data) });
    0
}

/// # Safety
///
/// `iocb` is for a node's file, `iter` to be written.
unsafe extern "C" fn read_iter(iocb: *mut c::kiocb, iter: *mut c::iov_iter) -> isize {
    from_result(|| {
        // SAFETY: The file is open for the length of the call, and the iterator is for writing to.
        let (session, iov, access) = unsafe {
            let file = (*iocb).ki_filp;
            (
                session(file),
                IovIterDest::from_raw(iter),
                call_access(iocb),
            )
        };
        read_write::read(&session, iov, access).map(|read| read as isize)
    })
}

/// # Safety
///
/// `iocb` is for a node's file, `iter` to be read.
unsafe extern "C" fn write_iter(iocb: *mut c::kiocb, iter: *mut c::iov_iter) -> isize {
    from_result(|| {
        // SAFETY: The file is open for the length of the call, and the iterator is for reading from.
        let (session, iov, access) = unsafe {
            let file = (*iocb).ki_filp;
            (
                session(file),
                IovIterSource::from_raw(iter),
                call_access(iocb),
            )
        };
        read_write::write(&session, iov, access).map(|written| written as isize)
    })
}

/// # Safety
///
/// `file` is a node's; `table` as the kernel gives it to poll.
unsafe extern "C" fn poll(file: *mut c::file, table: *mut c::poll_table) -> c::__poll_t {
    // SAFETY: The file is open for the length of the call.
    let session = unsafe { session(file) };
    session.poll(|queue| {
        // SAFETY: File and table are valid in poll. The wait queue lives in the session, which
        // goes in release, after epoll has let go of the file.
        unsafe { c::poll_wait(file, queue.as_ptr(), table) }
    })
}

/// # Safety
///
/// `file` is a node's; `vma` is being set up.
unsafe extern "C" fn mmap_file(file: *mut c::file, vma: *mut c::vm_area_struct) -> c_int {
    from_result(|| {
        // SAFETY: The file is open for the length of the call, and the VMA is being set up.
        let (session, access, vma) =
            unsafe { (session(file), access(file), VmaNew::from_raw(vma)) };
        mmap::mmap(&session, access, vma).map(|()| 0)
    })
}

/// # Safety
///
/// `file` is a node's.
unsafe extern "C" fn ioctl_file(file: *mut c::file, command: c_uint, arg: c_ulong) -> c_long {
    // SAFETY: The file is open for the length of the call.
    let session = unsafe { session(file) };
    match ioctl::ioctl(&session, command, arg) {
        Ok(()) => 0,
        Err(error) => error.to_errno() as c_long,
    }
}

/// # Safety
///
/// `file` is a node's; `seq` may be written.
unsafe extern "C" fn show_fdinfo(seq: *mut c::seq_file, file: *mut c::file) {
    // SAFETY: Both are valid for the length of the call.
    let (session, seq) = unsafe { (session(file), SeqFile::from_raw(seq)) };
    session.show_fdinfo(seq);
}
