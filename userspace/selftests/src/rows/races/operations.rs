// SPDX-License-Identifier: MIT OR Apache-2.0

//! The operations that run while a thread is held.

use std::fs::{read_to_string, write};
use std::path::{Path, PathBuf};

use iostream_raw::{INPUT, OUTPUT};
use iostream_ring::uapi::IOSTREAM_MODE_INPUT_OUTPUT;
use rustix::event::PollFlags;
use rustix::io::{Errno, Result};

use super::ground::{Ground, Kind, ENTRY};
use super::tours::{map_queues, map_stream, poll, reset, set_eventfd};

/// Something that a process, the driver or the system does.
pub struct Operation {
    pub name: &'static str,
    pub run: fn(&Ground) -> Result<()>,
    /// Whether a node of this kind has it.
    applies: fn(Kind) -> bool,
}

impl Operation {
    /// All of them that a node of this kind has.
    pub fn all(kind: Kind) -> impl Iterator<Item = &'static Self> {
        OPERATIONS
            .iter()
            .filter(move |operation| (operation.applies)(kind))
    }
}

const fn on_all(name: &'static str, run: fn(&Ground) -> Result<()>) -> Operation {
    Operation {
        name,
        run,
        applies: |_| true,
    }
}

const fn on_queues(name: &'static str, run: fn(&Ground) -> Result<()>) -> Operation {
    Operation {
        name,
        run,
        applies: |kind| !kind.is_stream(),
    }
}

const fn on_streams(name: &'static str, run: fn(&Ground) -> Result<()>) -> Operation {
    Operation {
        name,
        run,
        applies: Kind::is_stream,
    }
}

const OPERATIONS: &[Operation] = &[
    // A process.
    on_all("open", |g| g.open_another().map(drop)),
    on_all("close", Ground::close),
    on_all("poll", |g| poll(g, PollFlags::IN | PollFlags::OUT)),
    on_all("read", |g| g.session()?.read(&mut [0; 64]).map(drop)),
    on_all("write", |g| g.session()?.write(&[6; ENTRY]).map(drop)),
    on_all("eventfd of the output", |g| set_eventfd(g, OUTPUT)),
    on_all("eventfd of the input", |g| set_eventfd(g, INPUT)),
    on_all("notify", |g| g.session()?.notify(INPUT)),
    on_all("notify of room", |g| g.session()?.notify(OUTPUT)),
    on_queues("watermark", |g| g.session()?.watermark(512, 1_000_000)),
    on_queues("reset the output", |g| reset(g, OUTPUT)),
    on_queues("reset the input", |g| reset(g, INPUT)),
    on_queues("map", map_queues),
    on_streams("map", map_stream),
    on_streams("mode", |g| {
        g.session()?.set_mode(IOSTREAM_MODE_INPUT_OUTPUT)
    }),
    on_streams("start", |g| g.session()?.start()),
    on_streams("suspend", |g| g.session()?.suspend()),
    on_streams("stop", |g| g.session()?.stop().map(drop)),
    on_streams("drain", |g| g.session()?.drain(1_000_000).map(drop)),
    on_streams("join", |g| g.session()?.try_stream().map(drop)),
    on_streams("notice", |g| g.session()?.notice(7)),
    on_streams("synchronous notice", |g| g.session()?.notice_sync(7)),
    on_all("a child that exits", fork),
    // The driver.
    on_all("disable", |g| g.driver.tell("disable")),
    on_all("enable", |g| g.driver.tell("enable")),
    on_all("unpublish", |g| g.driver.tell("unpublish")),
    on_queues("enqueue", |g| g.driver.tell("enqueue 24")),
    on_queues("enqueue in an interrupt", |g| {
        g.driver.tell("enqueue 24 hardirq")
    }),
    on_queues("fill", |g| g.driver.tell("fill 100")),
    on_queues("dequeue", |g| g.driver.tell("dequeue 24")),
    on_queues("drain", |g| g.driver.tell("drain 10")),
    on_queues("watermark of the driver", |g| {
        g.driver.tell("watermark 512 1000000")
    }),
    on_streams("produce", |g| g.driver.tell("produce 1 24")),
    on_streams("consume", |g| g.driver.tell("consume 1")),
    on_streams("add", |g| g.driver.tell("add 1")),
    on_streams("create queues", |g| g.driver.tell("create-queues")),
    on_streams("destroy queues", |g| g.driver.tell("destroy-queues")),
    // The system.
    on_all("look at sysfs", look_at_sysfs),
    on_all("look at fdinfo", look_at_fdinfo),
    on_streams("stop by sysfs", |g| set_state(g, "stopped")),
    on_streams("start by sysfs", |g| set_state(g, "running")),
];

/// The errors with which a call may answer what somebody else has done meanwhile.
pub fn is_expected(error: Errno) -> bool {
    matches!(
        error,
        // The other thread has not come so far, or was here before.
        Errno::BADF | Errno::NOENT | Errno::NXIO | Errno::NODEV | Errno::NOTCONN | Errno::BUSY
            // The state is another one.
            | Errno::ALREADY | Errno::BADFD | Errno::SHUTDOWN | Errno::STALE | Errno::INVAL
            | Errno::OPNOTSUPP | Errno::EXIST
            // Nothing there, or no room.
            | Errno::AGAIN | Errno::NODATA | Errno::NOSPC | Errno::NOBUFS | Errno::TIMEDOUT
            // The held thread is in the way for longer than the call waits.
            | Errno::INTR
    )
}

/// A child inherits the descriptors, and exits.
fn fork(_: &Ground) -> Result<()> {
    // SAFETY: The child calls nothing but _exit.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork");
    if child == 0 {
        // SAFETY: Ends the child without running anything of the parent's.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: `status` is valid, and the child is ours.
    let waited = unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!((waited, status), (child, 0), "the child");
    Ok(())
}

/// The node's folder in sysfs, if it is published.
fn sysfs() -> Result<PathBuf> {
    let path = iostream_raw::node_called("selftest").ok_or(Errno::NOENT)?;
    let name = path.file_name().expect("a node's name");
    Ok(Path::new("/sys/class/iostream").join(name))
}

/// Reads every attribute of the node.
fn look_at_sysfs(_: &Ground) -> Result<()> {
    let mut folders = vec![sysfs()?];
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
    Ok(())
}

fn look_at_fdinfo(ground: &Ground) -> Result<()> {
    let session = ground.session()?;
    let path = format!("/proc/self/fdinfo/{}", session.raw_fd());
    let _ = read_to_string(path);
    Ok(())
}

fn set_state(_: &Ground, state: &str) -> Result<()> {
    let done = write(sysfs()?.join("state"), state);
    done.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}
