// SPDX-License-Identifier: MIT OR Apache-2.0

//! F-11, B-05: what a session costs the kernel is charged to its opener, and bounded.

use std::fs::{read_dir, read_to_string};
use std::sync::atomic::{AtomicBool, Ordering};

use iostream_raw::{echo, sink, source, Session};
use iostream_ring::uapi::iostream_setup;
use rustix::fs::OFlags;

use crate::clause::{count, skip, Clause};
use crate::support::driver::Driver;
use crate::support::memory::{wait_for_no_pages, Group};
use crate::support::user::{allow_files, MAX_FILES};

pub const CLAUSES: &[Clause] = &[
    Clause::slow("B-05/sessions-bounded-by-cgroup", 120, bounded_by_cgroup),
    Clause::slow("B-05/all-of-a-session-charged", 120, all_charged),
    Clause::slow("F-11/few-workers", 300, few_workers),
];

const MIB: u64 = 1 << 20;

/// Each kind of session of `/dev/iostream`; `None`: not set up.
fn kinds() -> [(&'static str, Option<iostream_setup>); 5] {
    [
        ("bare", None),
        ("echo", Some(echo(4096))),
        ("sink", Some(sink(4096))),
        ("source", Some(source(4096, 16, 16, 0))),
        ("source by the clock", Some(source(4096, 16, 16, 1))),
    ]
}

fn open(setup: Option<iostream_setup>) -> rustix::io::Result<Session> {
    let session = Session::open("/dev/iostream", OFlags::RDWR)?;
    setup.map_or(Ok(()), |setup| session.setup(setup))?;
    Ok(session)
}

/// In a cgroup with little memory, opening comes to an end before the process has as many files as it
/// may have: by an error, or by the group's own killer. Then the memory is there for others.
fn bounded_by_cgroup() {
    for (kind, setup) in kinds() {
        // SAFETY: This process has a single thread.
        let child = unsafe { libc::fork() };
        if child == 0 {
            allow_files();
            let group = Group::enter();
            group.limit(group.current() + 3 * MIB);
            let mut sessions = Vec::with_capacity(MAX_FILES as usize);
            let error = loop {
                match open(setup) {
                    Ok(session) => sessions.push(session),
                    Err(error) => break error,
                }
            };
            // SAFETY: No preconditions.
            unsafe { libc::_exit(error.raw_os_error()) };
        }
        let mut status = 0;
        // SAFETY: `status` is a valid place for the kernel to write to.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        let killed = libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL;
        let failed = libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == libc::ENOMEM;
        assert!(killed || failed, "{kind}: {status:#x}");
        wait_for_no_pages();
        let _ = std::fs::remove_dir(format!("/sys/fs/cgroup/selftests-{child}"));
        drop(open(setup).unwrap());
    }
}

/// The bytes of all small pieces of kernel memory that are charged to nobody: those in caches
/// called `kmalloc-SIZE`, and those for each processor. Charged ones are in `kmalloc-cg-SIZE`.
fn uncharged() -> i64 {
    let Ok(caches) = read_to_string("/proc/slabinfo") else {
        skip("this kernel does not list its caches");
    };
    let pieces = caches.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("kmalloc-")?.split_once(' ')?;
        if name.starts_with("cg-") || name.starts_with("rcl-") {
            return None;
        }
        let (number, unit) = match name.rsplit('-').next()?.strip_suffix('k') {
            Some(number) => (number, 1024),
            None => (name.rsplit('-').next()?, 1),
        };
        let objects: i64 = rest.split_whitespace().next()?.parse().ok()?;
        Some(objects * number.parse::<i64>().ok()? * unit)
    });
    let memory = read_to_string("/proc/meminfo").unwrap();
    let percpu = memory.lines().find_map(|line| {
        let kib = line.strip_prefix("Percpu:")?.strip_suffix("kB")?;
        kib.trim().parse::<i64>().ok()
    });
    pieces.sum::<i64>() + (percpu.unwrap() << 10)
}

/// What sessions cost beyond what their opener is charged is small: the kernel's own record of its
/// mapping of each queue's pages, which it does not charge to anyone.
fn all_charged() {
    // What else happens to be allocated meanwhile shows in some rounds, but hardly in all. On a busy
    // machine it takes more of them until one shows the sessions alone. All sessions stay open.
    let sessions = count(1250) as i64;
    let most_rounds = (MAX_FILES as usize / (kinds().len() * sessions as usize)).min(8);
    // The record, and what else happens to be allocated meanwhile. What a queue itself needs is
    // more than a kilobyte.
    const RECORD_BYTES: i64 = 110;
    allow_files();
    let mut all = Vec::with_capacity(MAX_FILES as usize);
    for (kind, setup) in kinds() {
        let mut round = || {
            let before = uncharged();
            all.extend((0..sessions).map(|_| open(setup).unwrap()));
            (uncharged() - before) / sessions
        };
        let queues = setup.map_or(0, |setup| i64::from((setup.flags & 3).count_ones()));
        let mut rounds = Vec::new();
        let is_small = |rounds: &[i64]| {
            let least = *rounds.iter().min().expect("a round");
            // The memory of each processor grows in large steps, which only the mean shows.
            let each = rounds.iter().sum::<i64>() / rounds.len() as i64;
            least < 24 + RECORD_BYTES * queues && each < 24 + 2 * RECORD_BYTES * queues
        };
        while rounds.len() < 3 || (rounds.len() < most_rounds && !is_small(&rounds)) {
            rounds.push(round());
        }
        println!("{kind}: {rounds:?} bytes each");
        assert!(is_small(&rounds), "{kind}");
    }
}

/// How many kernel threads there are that run work items.
fn workers() -> usize {
    let processes = read_dir("/proc").unwrap().filter_map(Result::ok);
    let names = processes.filter_map(|process| read_to_string(process.path().join("comm")).ok());
    names.filter(|name| name.starts_with("kworker")).count()
}

/// Sessions that end in a loop, in four processes, do not need a worker each. Meanwhile callbacks of
/// drivers run.
fn few_workers() {
    let driver = Driver::stream("input 2 4096");
    let stream = driver.open();
    let before = workers();
    let done = AtomicBool::new(false);
    let mut most = 0;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    drop(open(Some(echo(4096))));
                }
            });
        }
        for _ in 0..count(200) {
            let before = driver.log("inputs");
            assert_eq!(stream.notice(1), Ok(()));
            driver.wait_for("inputs", |inputs| inputs > before);
            for _ in 0..10 {
                most = most.max(workers());
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    println!("{before} workers before, at most {most} meanwhile");
    assert!(most <= before + 24);
}
