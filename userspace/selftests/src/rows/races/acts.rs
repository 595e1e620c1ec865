// SPDX-License-Identifier: MIT OR Apache-2.0

//! What tours and operations do. Each returns how many entries or buffers it moved.

use std::fs::{read_to_string, write as write_file};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use iostream_raw::{Area, INPUT, OUTPUT};
use rustix::event::{EventfdFlags, PollFlags};
use rustix::fd::AsRawFd;
use rustix::io::{Errno, Result};
use rustix::mm::{MapFlags, ProtFlags};

use super::ground::{Ground, Kind, ENTRY};

/// A latency that is over at once.
const SHORT_NS: u64 = 1_000_000;
/// Milliseconds for which a call waits for what the held thread may keep away.
pub const MOMENT_MS: i64 = 100;

pub fn open_another(ground: &Ground) -> Result<u64> {
    ground.open_another().map(|_| 0)
}

pub fn poll(ground: &Ground) -> Result<u64> {
    ground.session()?.poll(PollFlags::IN | PollFlags::OUT, 0);
    Ok(0)
}

/// The number of entries in so many bytes.
fn entries(bytes: usize) -> u64 {
    (bytes / ENTRY) as u64
}

pub fn read(ground: &Ground) -> Result<u64> {
    ground.session()?.read(&mut [0; 64]).map(entries)
}

pub fn write(ground: &Ground) -> Result<u64> {
    ground.session()?.write(&[6; ENTRY]).map(entries)
}

/// A call that may find nothing, or no room, wherever the mapping or the mode allows it.
pub fn or_again(result: Result<u64>) -> Result<u64> {
    match result {
        Err(Errno::AGAIN) => Ok(0),
        other => other,
    }
}

pub fn notify(ground: &Ground, direction: u32) -> Result<u64> {
    ground.session()?.notify(direction).map(|()| 0)
}

pub fn watermark(ground: &Ground, bytes: u64, latency_ns: u64) -> Result<u64> {
    ground.session()?.watermark(bytes, latency_ns).map(|()| 0)
}

/// Sets an eventfd, and replaces it by another.
pub fn set_eventfd(ground: &Ground, direction: u32) -> Result<u64> {
    for _ in 0..2 {
        let eventfd = rustix::event::eventfd(0, EventfdFlags::CLOEXEC)?;
        ground.session()?.eventfd(direction, eventfd.as_raw_fd())?;
    }
    Ok(0)
}

/// Resets a queue.
pub fn reset(ground: &Ground, direction: u32) -> Result<u64> {
    if ground.kind == Kind::Mapped {
        // Its own ends would be ahead of the queue.
        ground.renew_ends();
    }
    ground.session()?.reset(direction).map(|()| 0)
}

/// Maps an area of each queue, and unmaps it.
pub fn map_queues(ground: &Ground) -> Result<u64> {
    let session = ground.session()?;
    for direction in Ground::DIRECTIONS {
        if direction == INPUT && !ground.kind.has_input() {
            continue;
        }
        let queue = session.try_queue(direction)?;
        let words = [Area::Consumer, Area::Producer][usize::from(direction == INPUT)];
        map(&session, words.offset(&queue), words.bytes(&queue))?;
    }
    Ok(0)
}

/// Maps the buffers, and unmaps them.
pub fn map_stream(ground: &Ground) -> Result<u64> {
    let session = ground.session()?;
    let stream = session.try_stream()?;
    let _ = session.try_map_buffers(0..stream.buffers, iostream_raw::Prot::empty())?;
    Ok(0)
}

/// Maps memory of the session writable, and unmaps it.
fn map(session: &iostream_raw::Session, offset: u64, bytes: usize) -> Result<()> {
    // SAFETY: A new mapping, which nothing uses before it is gone.
    unsafe {
        let at = rustix::mm::mmap(
            std::ptr::null_mut(),
            bytes,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::SHARED,
            session,
            offset,
        )?;
        rustix::mm::munmap(at, bytes)
    }
}

pub fn run_endpoint(ground: &Ground) -> Result<u64> {
    let (_, ran) = ground.session()?.run_for(0, SHORT_NS);
    ran.map(|()| 0)
}

pub fn mode(ground: &Ground, mode: u32) -> Result<u64> {
    ground.session()?.set_mode(mode).map(|()| 0)
}

pub fn start(ground: &Ground) -> Result<u64> {
    ground.session()?.start().map(|()| 0)
}

pub fn suspend(ground: &Ground) -> Result<u64> {
    ground.session()?.suspend().map(|()| 0)
}

pub fn stop(ground: &Ground) -> Result<u64> {
    ground.session()?.stop().map(|_| 0)
}

pub fn drain(ground: &Ground, timeout_ns: u64) -> Result<u64> {
    ground.session()?.drain(timeout_ns).map(|_| 0)
}

pub fn join(ground: &Ground) -> Result<u64> {
    ground.session()?.try_stream().map(|_| 0)
}

/// Sets a short latency for what waits, and gives it a moment to be over.
pub fn latency_over(ground: &Ground) -> Result<u64> {
    watermark(ground, 512, SHORT_NS)?;
    ground.session()?.poll(PollFlags::IN, MOMENT_MS);
    Ok(0)
}

/// Writes below the driver's watermark, and waits a moment until the driver is told of it.
pub fn input_latency_over(ground: &Ground) -> Result<u64> {
    let before = ground.driver().log("data_callbacks");
    ground.tell(&format!("watermark 512 {SHORT_NS}"))?;
    let written = match ground.kind {
        Kind::Mapped => ground.put_mapped(),
        _ => or_again(write(ground)),
    }?;
    let start = Instant::now();
    while ground.driver().log("data_callbacks") == before
        && start.elapsed() < Duration::from_millis(MOMENT_MS as u64)
    {
        std::thread::yield_now();
    }
    Ok(written)
}

/// Starts a child, which inherits the descriptors and calls `child`.
fn fork(child: impl FnOnce()) -> libc::pid_t {
    // SAFETY: The child makes system calls alone, and ends.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork");
    if pid == 0 {
        child();
        // SAFETY: Ends the child without running anything of the parent's.
        unsafe { libc::_exit(0) };
    }
    pid
}

/// Waits for a child's end.
fn reap(child: libc::pid_t) -> libc::c_int {
    let mut status = 0;
    // SAFETY: `status` is valid, and the child is ours.
    let waited = unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(waited, child, "the child");
    status
}

/// A child inherits the descriptors, and exits.
pub fn child_exits(_: &Ground) -> Result<u64> {
    assert_eq!(reap(fork(|| ())), 0, "the child's status");
    Ok(0)
}

fn sleep_for_good() {
    loop {
        // SAFETY: It waits for a signal.
        unsafe { libc::pause() };
    }
}

fn kill_child(child: libc::pid_t) {
    // SAFETY: The child is ours, and was not waited for.
    assert_eq!(unsafe { libc::kill(child, libc::SIGKILL) }, 0, "kill");
    assert_eq!(reap(child), libc::SIGKILL, "the child's status");
}

/// A child that inherits the descriptors is killed.
pub fn child_is_killed(_: &Ground) -> Result<u64> {
    kill_child(fork(sleep_for_good));
    Ok(0)
}

/// The only process that has the session is killed.
pub fn kill(ground: &Ground) -> Result<u64> {
    let child = fork(sleep_for_good);
    let closed = ground.close();
    kill_child(child);
    closed
}

/// The node's folder in sysfs, if it is published.
fn sysfs(ground: &Ground) -> Result<PathBuf> {
    let path = iostream_raw::node_called(ground.name()).ok_or(Errno::NOENT)?;
    let name = path.file_name().expect("a node's name");
    Ok(Path::new("/sys/class/iostream").join(name))
}

/// Reads every attribute of the node.
pub fn look_at_sysfs(ground: &Ground) -> Result<u64> {
    let mut folders = vec![sysfs(ground)?];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => drop(read_to_string(entry.path())),
                _ => {}
            }
        }
    }
    Ok(0)
}

pub fn look_at_fdinfo(ground: &Ground) -> Result<u64> {
    let session = ground.session()?;
    let path = format!("/proc/self/fdinfo/{}", session.raw_fd());
    let _ = read_to_string(path);
    Ok(0)
}

pub fn set_state(ground: &Ground, state: &str) -> Result<u64> {
    let done = write_file(sysfs(ground)?.join("state"), state);
    let failed = |error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    done.map(|()| 0).map_err(failed)
}

/// Does something for both directions.
pub fn both(ground: &Ground, act: fn(&Ground, u32) -> Result<u64>) -> Result<u64> {
    act(ground, OUTPUT)?;
    act(ground, INPUT)
}
