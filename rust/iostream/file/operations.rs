// SPDX-License-Identifier: GPL-2.0

//! The file operations of nodes. Each function only converts its arguments and its result.
//!
//! The operations of all nodes belong to iostream.ko, so a driver may be unloaded while its node is
//! open.

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

use super::{ioctl, mmap, poll, read_write, sync};
use crate::sync::race::race_point;
use crate::{
    bindings,
    memory::account::Account,
    node::{
        session::{OpenMode, Session},
        Node,
    },
};

/// What `private_data` of an open file points to.
type Private = Arc<Session>;

/// A table of file operations, shareable as a static.
struct Operations(c::file_operations);

// SAFETY: The table is never changed.
unsafe impl Sync for Operations {}

static OPERATIONS: Operations = Operations(c::file_operations {
    owner: owner(),
    open: Some(open),
    release: Some(release),
    read_iter: Some(read_iter),
    write_iter: Some(write_iter),
    poll: Some(poll_file),
    mmap: Some(mmap_file),
    unlocked_ioctl: Some(ioctl_file),
    // No argument differs for 32-bit processes, and no architecture of ours needs compat_ptr().
    compat_ioctl: Some(ioctl_file),
    fsync: Some(fsync),
    splice_read: Some(c::copy_splice_read),
    splice_write: Some(c::iter_file_splice_write),
    show_fdinfo: Some(show_fdinfo),
    llseek: Some(c::noop_llseek),
    ..pin_init::zeroed()
});

/// The file operations of all nodes.
pub(crate) fn operations() -> *const c::file_operations {
    &raw const OPERATIONS.0
}

/// The module that owns the operations: iostream.ko.
pub(crate) const fn owner() -> *mut c::module {
    this_module::<crate::LocalModule>().as_ptr()
}

/// The session of an open file.
///
/// # Safety
///
/// `file` is an open file of a node, and is not released while the result is used.
pub(super) unsafe fn session<'a>(file: *mut c::file) -> ArcBorrow<'a, Session> {
    // SAFETY: `open` stored the session in `private_data`, and it stays there until `release`.
    unsafe { Private::borrow((*file).private_data) }
}

/// How a file is open.
///
/// # Safety
///
/// `file` is valid.
unsafe fn open_mode(file: *mut c::file) -> OpenMode {
    // SAFETY: `file` is valid by this function's contract. fcntl(2) may change the flags meanwhile,
    // as everywhere in the kernel where they are read.
    unsafe {
        OpenMode {
            read_write: (*file).f_flags & flags::O_ACCMODE == flags::O_RDWR,
            nonblocking: (*file).f_flags & flags::O_NONBLOCK != 0,
        }
    }
}

/// How a read or write is to be done. It must not wait if the file says so, or the call does
/// (`RWF_NOWAIT`, and io_uring's first attempt).
///
/// # Safety
///
/// `iocb` is valid, and for a node's file.
unsafe fn call_mode(iocb: *mut c::kiocb) -> OpenMode {
    // SAFETY: The caller passes a valid `iocb`, whose file is open during the call.
    unsafe {
        let mode = open_mode((*iocb).ki_filp);
        OpenMode {
            nonblocking: mode.nonblocking || bindings::iostream_is_nowait(iocb),
            ..mode
        }
    }
}

/// Opens a session.
///
/// # Safety
///
/// The kernel is opening `file` on `inode`, which is a node's.
unsafe extern "C" fn open(inode: *mut c::inode, file: *mut c::file) -> c_int {
    from_result(|| {
        // SAFETY: The inode's cdev is a node's, and the kernel holds a reference to it during open.
        let node = unsafe { Node::from_cdev((*inode).__bindgen_anon_5.i_cdev) };
        // SAFETY: The file keeps its credentials as long as it lives.
        let credential = unsafe { kernel::cred::Credential::from_ptr((*file).f_cred) };
        // SAFETY: Both pointers are valid in open.
        to_result(unsafe { c::stream_open(inode, file) })?;
        // SAFETY: As above.
        let patience = unsafe { open_mode(file) }.patience();
        let account = Account::of_user(credential)?;
        race_point!("node-found");
        let session = Session::open(node, credential, account, patience)?;
        // SAFETY: `private_data` and `f_mode` are for the open operation to set.
        unsafe {
            (*file).private_data = session.into_foreign();
            bindings::iostream_set_nowait(file);
        }
        Ok(0)
    })
}

/// Drops a session's file.
///
/// # Safety
///
/// `file` is a node's, and this is its last use.
unsafe extern "C" fn release(_inode: *mut c::inode, file: *mut c::file) -> c_int {
    // SAFETY: `open` stored the pointer, and nothing uses the file after release.
    drop(unsafe { Private::from_foreign((*file).private_data) });
    0
}

/// Handles read(2).
///
/// # Safety
///
/// `iocb` is for an open file of a node, and `iter` describes memory to write to.
unsafe extern "C" fn read_iter(iocb: *mut c::kiocb, iter: *mut c::iov_iter) -> isize {
    from_result(|| {
        // SAFETY: The file stays open during the call. `iter` is valid, and to be written to.
        let (session, iov, open_mode) = unsafe {
            let file = (*iocb).ki_filp;
            (session(file), IovIterDest::from_raw(iter), call_mode(iocb))
        };
        read_write::read(&session, iov, open_mode).map(|read| read as isize)
    })
}

/// Handles write(2).
///
/// # Safety
///
/// `iocb` is for an open file of a node, and `iter` describes memory to read from.
unsafe extern "C" fn write_iter(iocb: *mut c::kiocb, iter: *mut c::iov_iter) -> isize {
    from_result(|| {
        // SAFETY: The file stays open during the call. `iter` is valid, and to be read from.
        let (session, iov, open_mode) = unsafe {
            let file = (*iocb).ki_filp;
            (
                session(file),
                IovIterSource::from_raw(iter),
                call_mode(iocb),
            )
        };
        read_write::write(&session, iov, open_mode).map(|written| written as isize)
    })
}

/// Handles poll(2), select(2) and epoll.
///
/// # Safety
///
/// `file` is an open file of a node, and `table` the table that the kernel passes to poll.
unsafe extern "C" fn poll_file(file: *mut c::file, table: *mut c::poll_table) -> c::__poll_t {
    // SAFETY: The file stays open during the call.
    let session = unsafe { session(file) };
    // SAFETY: As above; `table` is null or valid in poll.
    let request = unsafe {
        let access = (*file).f_flags & flags::O_ACCMODE;
        poll::Request {
            events: table.as_ref().map_or(!0, |table| table._key),
            read: access != flags::O_WRONLY,
            write: access != flags::O_RDONLY,
        }
    };
    poll::poll(&session, request, |queue| {
        // SAFETY: File and table are valid in poll. The wait queue belongs to the session, which is
        // dropped in release, after epoll has removed itself from the file.
        unsafe { c::poll_wait(file, queue.as_ptr(), table) }
    })
}

/// Handles mmap(2).
///
/// # Safety
///
/// `file` is an open file of a node, and `vma` is being set up.
unsafe extern "C" fn mmap_file(file: *mut c::file, vma: *mut c::vm_area_struct) -> c_int {
    from_result(|| {
        // SAFETY: The file stays open during the call, and the VMA is being set up.
        let (session, open_mode, vma) =
            unsafe { (session(file), open_mode(file), VmaNew::from_raw(vma)) };
        mmap::mmap(&session, open_mode, vma).map(|()| 0)
    })
}

/// Handles ioctl(2), of 32-bit processes too: the structs have the same layout for them.
///
/// # Safety
///
/// `file` is an open file of a node.
unsafe extern "C" fn ioctl_file(file: *mut c::file, command: c_uint, arg: c_ulong) -> c_long {
    // SAFETY: The file stays open during the call.
    let session = unsafe { session(file) };
    match ioctl::ioctl(&session, command, arg) {
        Ok(()) => 0,
        Err(error) => error.to_errno() as c_long,
    }
}

/// Handles fsync(2) and fdatasync(2).
///
/// # Safety
///
/// `file` is an open file of a node.
unsafe extern "C" fn fsync(
    file: *mut c::file,
    _start: c::loff_t,
    _end: c::loff_t,
    _data_only: c_int,
) -> c_int {
    from_result(|| {
        // SAFETY: The file stays open during the call.
        let session = unsafe { session(file) };
        sync::sync(&session).map(|()| 0)
    })
}

/// Prints a session in `/proc/PID/fdinfo/FD`.
///
/// # Safety
///
/// `file` is an open file of a node, and `seq` is valid.
unsafe extern "C" fn show_fdinfo(seq: *mut c::seq_file, file: *mut c::file) {
    // SAFETY: Both stay valid during the call.
    let (session, seq) = unsafe { (session(file), SeqFile::from_raw(seq)) };
    session.show_fdinfo(seq);
}
