// SPDX-License-Identifier: MIT OR Apache-2.0

//! A tour: everything that a program and its driver can do with a node, one after the other.

use iostream_raw::{Area, INPUT, OUTPUT};
use iostream_ring::uapi::*;
use rustix::event::{EventfdFlags, PollFlags};
use rustix::fd::AsRawFd;
use rustix::io::{Errno, Result};
use rustix::mm::{MapFlags, ProtFlags};

use super::ground::{Ground, Kind, ENTRY};

/// What a step of a tour came to.
pub type Step = (&'static str, Result<()>);

/// Nanoseconds of a latency that is not over while a cell runs.
const HOUR_NS: u64 = 3_600_000_000_000;

/// Makes the tour, and returns what each step came to.
pub fn tour(ground: &Ground) -> Vec<Step> {
    let mut steps = Steps {
        ground,
        done: Vec::new(),
    };
    steps.step("open", |ground| ground.open());
    match ground.kind {
        Kind::Queues => queues(&mut steps),
        Kind::Output | Kind::Input => stream(&mut steps),
    }
    steps.step("close", |ground| ground.close());
    steps.step("open again", |ground| ground.open());
    if ground.kind.is_stream() {
        steps.step("start again", |ground| ground.session()?.start());
    }
    steps.step("unpublish", |ground| ground.driver.tell("unpublish"));
    steps.step("close again", |ground| ground.close());
    steps.step("publish", |ground| ground.publish());
    steps.done
}

struct Steps<'a> {
    ground: &'a Ground,
    done: Vec<Step>,
}

impl Steps<'_> {
    fn step(&mut self, name: &'static str, act: impl FnOnce(&Ground) -> Result<()>) {
        self.done.push((name, act(self.ground)));
    }

    /// A step of the driver.
    fn driver(&mut self, command: &'static str) {
        self.step(command, |ground| ground.driver.tell(command));
    }
}

/// A call that may find nothing, or no room.
fn or_again(result: Result<usize>) -> Result<()> {
    match result {
        Err(Errno::AGAIN) => Ok(()),
        other => other.map(drop),
    }
}

fn queues(steps: &mut Steps<'_>) {
    steps.step("watermark", |g| g.session()?.watermark(2048, HOUR_NS));
    steps.driver("watermark 1024 3600000000000");
    steps.driver("enqueue 24");
    steps.step("poll", |g| poll(g, PollFlags::IN));
    steps.step("eventfd", |g| set_eventfd(g, OUTPUT));
    steps.step("no watermark", |g| g.session()?.watermark(0, 0));
    steps.driver("enqueue 24");
    steps.step("read", |g| or_again(g.session()?.read(&mut [0; 64])));
    steps.step("write", |g| or_again(g.session()?.write(&[4; ENTRY])));
    steps.step("notify", |g| g.session()?.notify(INPUT));
    steps.driver("watermark 0 0");
    steps.step("notify of room", |g| g.session()?.notify(OUTPUT));
    steps.driver("fill 100");
    steps.step("reset the output", |g| reset(g, OUTPUT));
    steps.step("reset the input", |g| reset(g, INPUT));
    steps.step("map", map_queues);
}

fn stream(steps: &mut Steps<'_>) {
    if steps.ground.kind == Kind::Output {
        for mode in [IOSTREAM_MODE_INPUT_OUTPUT, IOSTREAM_MODE_OUTPUT] {
            steps.step("mode", |g| g.session()?.set_mode(mode));
        }
    } else {
        steps.step("mode", |g| g.session()?.set_mode(IOSTREAM_MODE_INPUT));
    }
    steps.step("eventfd", |g| set_eventfd(g, OUTPUT));
    steps.step("start", |g| g.session()?.start());
    steps.driver("add 1");
    steps.step("join", |g| g.session()?.try_stream().map(drop));
    if steps.ground.kind == Kind::Output {
        steps.driver("produce 1 24");
        steps.step("poll", |g| poll(g, PollFlags::IN));
        steps.step("read", |g| or_again(g.session()?.read(&mut [0; 64])));
    } else {
        steps.step("poll", |g| poll(g, PollFlags::OUT));
        steps.step("write", |g| or_again(g.session()?.write(&[4; ENTRY])));
        steps.driver("consume 1");
    }
    steps.step("suspend", |g| g.session()?.suspend());
    steps.step("go on", |g| g.session()?.start());
    steps.step("drain", |g| g.session()?.drain(1_000_000_000).map(drop));
    steps.step("map a stopped one", map_stream);
}

pub fn poll(ground: &Ground, events: PollFlags) -> Result<()> {
    ground.session()?.poll(events, 0);
    Ok(())
}

/// Sets an eventfd, and replaces it by another.
pub fn set_eventfd(ground: &Ground, direction: u32) -> Result<()> {
    for _ in 0..2 {
        let eventfd = rustix::event::eventfd(0, EventfdFlags::CLOEXEC)?;
        ground.session()?.eventfd(direction, eventfd.as_raw_fd())?;
    }
    Ok(())
}

/// Resets a queue, unless it is in use.
pub fn reset(ground: &Ground, direction: u32) -> Result<()> {
    match ground.session()?.reset(direction) {
        Err(Errno::BUSY) => Ok(()),
        other => other,
    }
}

/// Maps an area of each queue, and unmaps it.
pub fn map_queues(ground: &Ground) -> Result<()> {
    let session = ground.session()?;
    for direction in Ground::DIRECTIONS {
        let queue = session.try_queue(direction)?;
        let words = [Area::Consumer, Area::Producer][usize::from(direction == INPUT)];
        map(&session, words.offset(&queue), words.bytes(&queue))?;
    }
    Ok(())
}

/// Maps the buffers, and unmaps them.
pub fn map_stream(ground: &Ground) -> Result<()> {
    let session = ground.session()?;
    let stream = session.try_stream()?;
    let _ = session.try_map_buffers(0..stream.buffers, iostream_raw::Prot::empty())?;
    Ok(())
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
