// SPDX-License-Identifier: MIT OR Apache-2.0

//! System calls with any arguments, valid or not.

use std::ffi::CString;
use std::os::fd::{FromRawFd, OwnedFd};

use iostream_raw::{page_len, Map, Prot, Session};
use rustix::io::Errno;
pub use rustix::io::Result;
use rustix::mm::MapFlags;

/// A descriptor, or a number that is none.
pub type Fd = libc::c_int;

/// Why the last call failed.
pub fn errno() -> Errno {
    let error = std::io::Error::last_os_error();
    Errno::from_io_error(&error).expect("an error of the kernel's")
}

fn result(value: i64) -> Result<i64> {
    if value < 0 {
        Err(errno())
    } else {
        Ok(value)
    }
}

/// open(2).
pub fn open(path: &str, flags: i32) -> Result<Fd> {
    let path = CString::new(path).expect("a path without zero bytes");
    // SAFETY: The path ends in zero.
    result(unsafe { libc::open(path.as_ptr(), flags) }.into()).map(|fd| fd as Fd)
}

/// close(2) of any number.
pub fn close(fd: Fd) {
    // SAFETY: Callers do not use the descriptor afterwards, except to see the call fail.
    unsafe { libc::close(fd) };
}

/// dup(2).
pub fn dup(fd: Fd) -> Result<Fd> {
    // SAFETY: No memory is involved.
    result(unsafe { libc::dup(fd) }.into()).map(|fd| fd as Fd)
}

/// A session that owns a descriptor.
///
/// # Panics
///
/// If the number is no descriptor's.
pub fn session(fd: Fd) -> Session {
    assert!(fd >= 0, "a descriptor");
    // SAFETY: Callers pass a descriptor that was created or received for the session alone.
    Session::from_fd(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The session by a second descriptor.
pub fn duplicate(session: &Session) -> Session {
    self::session(dup(session.raw_fd()).expect("dup"))
}

/// A page that children share, zeroed.
pub fn shared_page() -> Map {
    let prot = Prot::READ | Prot::WRITE;
    Map::anonymous(page_len(), prot, MapFlags::SHARED).expect("memory")
}

/// Private memory, zeroed.
pub fn memory(bytes: usize, prot: Prot) -> Map {
    Map::anonymous(bytes, prot, MapFlags::PRIVATE).expect("memory")
}

/// Maps a part of a session's file, shared.
pub fn map(session: &Session, offset: u64, bytes: u64, writable: bool) -> Result<Map> {
    let write = if writable { Prot::WRITE } else { Prot::empty() };
    Map::try_new(
        session,
        offset,
        bytes as usize,
        Prot::READ | write,
        MapFlags::SHARED,
    )
}

/// ioctl(2), whatever number and argument.
pub fn ioctl(fd: Fd, number: u32, arg: usize) -> Result<()> {
    // SAFETY: Callers that expect an answer give the address of memory that is large enough;
    // others give addresses where nothing is.
    result(unsafe { libc::ioctl(fd, number as libc::Ioctl, arg) }.into()).map(|_| ())
}

/// ioctl(2) with a struct.
pub fn ioctl_with<T>(fd: Fd, number: u32, arg: &mut T) -> Result<()> {
    ioctl(fd, number, std::ptr::from_mut(arg) as usize)
}

/// read(2).
pub fn read(fd: Fd, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: The buffer has the stated length.
    result(unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) } as i64)
        .map(|n| n as usize)
}

/// write(2).
pub fn write(fd: Fd, bytes: &[u8]) -> Result<usize> {
    // SAFETY: The buffer has the stated length.
    result(unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) } as i64)
        .map(|n| n as usize)
}

/// poll(2) of one descriptor.
pub fn poll(fd: Fd, events: i16, timeout_ms: i32) -> i16 {
    let mut one = libc::pollfd {
        fd,
        events,
        revents: 0,
    };
    // SAFETY: One descriptor.
    unsafe { libc::poll(&mut one, 1, timeout_ms) };
    one.revents
}

/// Any other system call.
pub fn call(number: libc::c_long, args: &[usize]) -> Result<i64> {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    let [a, b, c, d, e, f] = all;
    // SAFETY: Callers pass addresses of memory that is large enough, or where nothing is.
    result(unsafe { libc::syscall(number, a, b, c, d, e, f) })
}

/// Runs `child` in a process of its own and returns its id. The process ends when `child` returns.
pub fn fork(child: impl FnOnce()) -> libc::pid_t {
    // SAFETY: The program has one thread where it forks, so no lock is held that the child could
    // need.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", errno());
    if pid == 0 {
        child();
        exit_now(0);
    }
    pid
}

/// Ends the process at once.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: No preconditions.
    unsafe { libc::_exit(status) }
}

/// kill(2).
pub fn kill(pid: libc::pid_t, signal: i32) {
    // SAFETY: No memory is involved.
    unsafe { libc::kill(pid, signal) };
}

/// Waits for a process and returns its wait status.
pub fn wait(pid: libc::pid_t) -> i32 {
    let mut status = 0;
    loop {
        // SAFETY: The status is written.
        let waited = unsafe { libc::waitpid(pid, &mut status, 0) };
        if waited == pid {
            return status;
        }
        assert_eq!(errno(), Errno::INTR, "waitpid");
    }
}

/// A new eventfd, which does not block.
pub fn eventfd(count: u32) -> Fd {
    // SAFETY: No memory is involved.
    let fd = unsafe { libc::eventfd(count, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
    assert!(fd >= 0, "eventfd: {}", errno());
    fd
}

/// A new epoll.
pub fn epoll() -> Fd {
    // SAFETY: No memory is involved.
    let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    assert!(fd >= 0, "epoll_create1: {}", errno());
    fd
}

/// epoll_ctl(2) with any descriptors.
pub fn epoll_ctl(epoll: Fd, what: i32, fd: Fd, events: u32) -> Result<()> {
    let mut event = libc::epoll_event {
        events,
        u64: fd as u64,
    };
    // SAFETY: The event is read.
    result(unsafe { libc::epoll_ctl(epoll, what, fd, &mut event) }.into()).map(|_| ())
}

/// Waits for epoll. Returns how many events came within the time, and the flags of the first.
pub fn epoll_wait(epoll: Fd, timeout_ms: i32) -> (i32, u32) {
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 4];
    // SAFETY: The array has room for as many events as stated.
    let n = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), 4, timeout_ms) };
    (n, events[0].events)
}
