// SPDX-License-Identifier: MIT OR Apache-2.0

//! F-08: what a child process can do with what its parent opened.
//!
//! Each kind of end is used and dropped in a child, by fork(2) and by daemon(3).

mod inherited;

use iostream_raw::page_len;
use std::fs::File;
use std::io::{Read, Write};
use std::ops::Range;
use std::os::fd::AsFd;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::process::Command;
use std::time::Instant;

use iostream::{DuplexStream, Error, Setup};
use rustix::event::{poll, PollFd, PollFlags};
use rustix::pipe::pipe;

use crate::clause::Clause;
use crate::support::driver::{entry, Driver};
use crate::support::process::in_own_child;
use inherited::{time_out, Inherited, Kind, KINDS};

pub const CLAUSES: &[Clause] = &[
    Clause::new("F-08/ends-fail-after-fork", ends_fail_after_fork),
    Clause::new("F-08/ends-fail-after-daemon", ends_fail_after_daemon),
    Clause::new("F-08/nothing-unmapped-in-child", nothing_unmapped_in_child),
    Clause::new(
        "F-08/nothing-unmapped-in-daemon",
        nothing_unmapped_in_daemon,
    ),
    Clause::new("F-08/parent-undisturbed", parent_undisturbed),
    Clause::new("F-08/child-reads-by-descriptor", child_reads_by_descriptor),
    Clause::new("F-08/held-slice-after-fork", held_slice_after_fork),
    Clause::new("F-08/held-buffer-after-daemon", held_buffer_after_daemon),
    Clause::new("F-08/child-takes-the-ends", child_takes_the_ends),
    Clause::new("F-08/commands-change-nothing", commands_change_nothing),
];

/// How a program forks and goes on.
#[derive(Clone, Copy)]
enum How {
    Fork,
    Daemonize,
}

/// Opens something in a process, forks it, and runs `check` in the child. Fails if that panics.
///
/// `check` gets what was opened. The process that called this has not opened it.
fn in_child<T>(how: How, open: impl FnOnce() -> T, check: impl FnOnce(T)) {
    let (mut reads, writes) = pipe().map(|(r, w)| (File::from(r), File::from(w))).unwrap();
    // SAFETY: This process has one thread.
    let program = unsafe { libc::fork() };
    assert!(program >= 0);
    if program == 0 {
        let passed = catch_unwind(AssertUnwindSafe(|| {
            let opened = open();
            match how {
                // SAFETY: This process has one thread.
                How::Fork => match unsafe { libc::fork() } {
                    0 => {}
                    child => {
                        let mut status = 0;
                        // SAFETY: `status` is writable.
                        unsafe { libc::waitpid(child, &mut status, 0) };
                        // SAFETY: It ends the process.
                        unsafe { libc::_exit(0) }
                    }
                },
                // SAFETY: It has no pointers.
                How::Daemonize => assert_eq!(unsafe { libc::daemon(1, 1) }, 0),
            }
            check(opened);
        }));
        if passed.is_ok() {
            (&writes).write_all(b"passed").unwrap();
        }
        // SAFETY: It ends the process.
        unsafe { libc::_exit(0) }
    }
    drop(writes);
    let mut said = String::new();
    reads.read_to_string(&mut said).unwrap();
    let mut status = 0;
    // SAFETY: `status` is writable.
    assert_eq!(unsafe { libc::waitpid(program, &mut status, 0) }, program);
    assert_eq!(said, "passed");
}

fn each_kind(mut try_it: impl FnMut(&Kind)) {
    for kind in KINDS {
        println!("{}", kind.name);
        let _driver = kind.driver();
        try_it(kind);
    }
}

fn all_fail(opened: &mut dyn Inherited) {
    for (i, result) in opened.operations().into_iter().enumerate() {
        assert_eq!(result, Err(Error::Forked), "operation {i}");
    }
}

fn ends_fail(how: How) {
    each_kind(|kind| in_child(how, kind.open, |mut opened| all_fail(&mut *opened)));
}

fn ends_fail_after_fork() {
    ends_fail(How::Fork);
}

fn ends_fail_after_daemon() {
    ends_fail(How::Daemonize);
}

/// The ranges in this process's memory map whose lines satisfy `wanted`.
fn mapped(wanted: impl Fn(&str) -> bool) -> Vec<Range<usize>> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let range = |line: &str| {
        let (start, end) = line.split_once(' ')?.0.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        Some(number(start)?..number(end)?)
    };
    let lines = maps.lines().filter(|line| wanted(line));
    lines.map(|line| range(line).unwrap()).collect()
}

/// Whether each page of a range lies in one of `ranges`.
fn covered(range: &Range<usize>, ranges: &[Range<usize>]) -> bool {
    range
        .clone()
        .step_by(page_len())
        .all(|page| ranges.iter().any(|range| range.contains(&page)))
}

fn nothing_unmapped(how: How) {
    each_kind(|kind| {
        let open = || {
            let opened = (kind.open)();
            let devices = mapped(|line| line.contains("/dev/iostream"));
            assert!(!devices.is_empty());
            (opened, devices)
        };
        in_child(how, open, |(opened, devices)| {
            assert!(mapped(|line| line.contains("/dev/iostream")).is_empty());
            // New memory does not come to lie where the device was.
            let memory: Vec<Vec<u8>> = (0..16).map(|i| vec![i; 1 << 20]).collect();
            let here = memory.iter().map(|part| part.as_ptr() as usize);
            for start in here {
                assert!(!devices.iter().any(|device| device.contains(&start)));
            }
            let all_there = || {
                let all = mapped(|_| true);
                devices.iter().all(|device| covered(device, &all))
            };
            assert!(all_there(), "before the drop");
            drop(opened);
            assert!(all_there(), "after the drop");
            for (i, part) in memory.iter().enumerate() {
                assert!(part.iter().all(|byte| usize::from(*byte) == i));
            }
        });
    });
}

fn nothing_unmapped_in_child() {
    nothing_unmapped(How::Fork);
}

fn nothing_unmapped_in_daemon() {
    nothing_unmapped(How::Daemonize);
}

/// A child that uses and drops all, or drops it alone, changes nothing for its parent.
fn parent_undisturbed() {
    let goes_on = |opened: &mut Box<dyn Inherited>| {
        let start = Instant::now();
        opened.goes_on();
        assert!(start.elapsed() < time_out(), "it was not woken");
    };
    each_kind(|kind| {
        let mut opened = Some((kind.open)());
        goes_on(opened.as_mut().unwrap());
        for uses in [false, true] {
            in_own_child(|| {
                let mut inherited = opened.take().unwrap();
                if uses {
                    all_fail(&mut *inherited);
                }
                drop(inherited);
            });
            goes_on(opened.as_mut().unwrap());
        }
    });
}

/// The descriptor alone works in a child: read(2), write(2) and poll(2).
fn child_reads_by_descriptor() {
    let session = Setup::echo().open().unwrap();
    let mut parent = File::from(session.as_fd().try_clone_to_owned().unwrap());
    in_own_child(|| {
        let mut file = File::from(session.as_fd().try_clone_to_owned().unwrap());
        file.write_all(b"from the child").unwrap();
        let mut fds = [PollFd::new(&session, PollFlags::IN)];
        assert_eq!(poll(&mut fds, None), Ok(1));
        let mut bytes = [0; 64];
        let len = file.read(&mut bytes).unwrap();
        assert_eq!(&bytes[..len], b"from the child");
    });
    // Beside an end that the parent has taken, too.
    let mut producer = session.producer().unwrap();
    producer.enqueue(b"for the child").unwrap();
    in_own_child(|| {
        let mut bytes = [0; 64];
        let mut file = File::from(session.as_fd().try_clone_to_owned().unwrap());
        let len = file.read(&mut bytes).unwrap();
        assert_eq!(&bytes[..len], b"for the child");
    });
    producer.enqueue(b"for the parent").unwrap();
    let mut bytes = [0; 64];
    let len = parent.read(&mut bytes).unwrap();
    assert_eq!(&bytes[..len], b"for the parent");
}

/// What a child finds in slices from before the fork: their bytes. What it writes stays its own.
fn held_slice_after_fork() {
    let session = Setup::echo().open().unwrap();
    let mut producer = session.producer().unwrap();
    let mut consumer = session.consumer().unwrap();
    producer.enqueue("held as text".as_bytes()).unwrap();
    let held = consumer.dequeue_wait(None).unwrap();
    let text = std::str::from_utf8(&held).unwrap();
    let mut reserved = producer.reserve(16).unwrap();
    reserved.copy_from_slice(b"sixteen bytes...");
    in_own_child(|| {
        let memory = vec![0xff_u8; 16 << 20];
        assert_eq!(text, "held as text");
        assert_eq!(&*reserved, b"sixteen bytes...");
        reserved.fill(0xff);
        assert!(memory.iter().all(|byte| *byte == 0xff));
        // A child of the child has them, too.
        in_own_child(|| assert_eq!(text, "held as text"));
    });
    assert_eq!(text, "held as text");
    assert_eq!(&*reserved, b"sixteen bytes...");
    reserved.commit().unwrap();
    drop(held);
    assert_eq!(&*consumer.dequeue_wait(None).unwrap(), b"sixteen bytes...");
}

fn held_buffer_after_daemon() {
    let driver = Driver::stream("input-output 2 64");
    let open = || {
        let mut stream = DuplexStream::open("selftest").unwrap();
        stream.start().unwrap();
        driver.command("produce 2 8");
        let held = (stream.dequeue().unwrap(), stream.dequeue().unwrap());
        (stream, held)
    };
    in_child(How::Daemonize, open, |(stream, (mut first, second))| {
        drop(stream);
        assert_eq!(&*first, entry(0, 8));
        assert_eq!(&*second, entry(1, 8));
        first.fill(1);
        assert_eq!(&*first, [1; 8]);
        assert_eq!(first.send(8), Err(Error::Forked));
    });
}

/// A session that was opened before the fork, and whose ends are taken after it.
fn child_takes_the_ends() {
    let open = || Setup::echo().open().unwrap();
    for how in [How::Fork, How::Daemonize] {
        in_child(how, open, |session| {
            let mut producer = session.producer().unwrap();
            let mut consumer = session.consumer().unwrap();
            producer.enqueue(b"after").unwrap();
            assert_eq!(&*consumer.dequeue_wait(None).unwrap(), b"after");
        });
    }
}

/// Programs that are started, with and without a fork(2), leave ends and slices as they are.
fn commands_change_nothing() {
    use std::os::unix::process::CommandExt;

    let session = Setup::echo().open().unwrap();
    let mut producer = session.producer().unwrap();
    let mut consumer = session.consumer().unwrap();
    let none = |_: &mut Command| {};
    // With an id to set, the standard library forks.
    let ids = |command: &mut Command| {
        command.uid(0).gid(0);
    };
    let prepare: [&dyn Fn(&mut Command); 2] = [&none, &ids];
    for prepare in prepare {
        producer.enqueue(b"held").unwrap();
        let held = consumer.dequeue_wait(None).unwrap();
        let mut command = Command::new("/proc/self/exe");
        prepare(command.arg("--list"));
        assert!(command.output().unwrap().status.success());
        assert_eq!(&*held, b"held");
    }
    producer.enqueue(b"after").unwrap();
    assert_eq!(&*consumer.dequeue_wait(None).unwrap(), b"after");
}
