// SPDX-License-Identifier: MIT OR Apache-2.0

//! F-11: sources by the clock leave the processors to others.

use std::fs::{create_dir, read_dir, read_to_string, remove_dir, write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use iostream_raw::{source, Session};
use iostream_ring::uapi::IOSTREAM_SETUP_OVERWRITE;
use rustix::thread::{sched_getaffinity, sched_setaffinity, CpuSet};
use rustix::time::{clock_gettime, ClockId};

use crate::clause::Clause;
use crate::support::user::{allow_files, OpenToAll, OtherUser, ALICE};
use crate::support::waiting::wait_until;

pub const CLAUSES: &[Clause] = &[
    Clause::slow("F-11/processor-left", 180, processor_left),
    Clause::slow("F-11/few-interrupts", 180, few_interrupts),
    Clause::slow("F-11/no-faster-than-asked", 120, no_faster),
];

const SESSIONS: usize = 1500;

/// As many sources as a user can have in so many sessions, by entries and by bytes: some do not
/// wait for room.
fn all_sources() -> Vec<Session> {
    (0..SESSIONS)
        .map(|i| {
            let mut setup = source(8192, 16, 64, 1_000_000 / SESSIONS as u64);
            if i % 2 == 0 {
                setup.flags |= IOSTREAM_SETUP_OVERWRITE;
            }
            Session::try_nonblocking(setup).expect("a source")
        })
        .collect()
}

/// A user whose sources run.
fn busy_user() -> OtherUser {
    allow_files();
    let alice = OtherUser::run(ALICE, || {
        let sessions = all_sources();
        wait_until("each source produces", || {
            let made = |session: &Session| session.endpoint().unwrap().entries > 0;
            sessions.iter().all(made)
        });
        (0, sessions)
    });
    println!("{SESSIONS} sources run");
    alice
}

/// How much of the processors one busy thread on each of them gets, in seconds a second.
fn processors_of_busy_threads() -> f64 {
    let all = sched_getaffinity(None).unwrap();
    let processors = (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu));
    std::thread::scope(|scope| {
        let threads: Vec<_> = processors
            .map(|cpu| {
                scope.spawn(move || {
                    let mut here = CpuSet::new();
                    here.set(cpu);
                    sched_setaffinity(None, &here).unwrap();
                    let used = || {
                        let time = clock_gettime(ClockId::ThreadCPUTime);
                        Duration::new(time.tv_sec as u64, time.tv_nsec as u32).as_secs_f64()
                    };
                    let (start, before) = (Instant::now(), used());
                    while start.elapsed() < Duration::from_secs(4) {
                        std::hint::spin_loop();
                    }
                    (used() - before) / start.elapsed().as_secs_f64()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    })
}

/// Busy threads get at least nine tenths of what they get without the sources.
///
/// What is compared is the processors' time, as the kernel accounts it, and not work done: the
/// speed of an emulated processor changes from one second to the next. The time of interrupts does
/// not show in it; `few-interrupts` limits them.
fn processor_left() {
    let _open = OpenToAll::new("/dev/iostream");
    let alone = processors_of_busy_threads();
    let alice = busy_user();
    let shared: Vec<f64> = (0..2).map(|_| processors_of_busy_threads()).collect();
    drop(alice);
    let again = processors_of_busy_threads();
    println!("{alone:.2} and {again:.2} alone, {shared:.2?} beside the sources");
    for shared in shared {
        assert!(shared >= 0.9 * alone.min(again));
    }
}

/// The process id of the thread that serves all sources.
fn thread() -> u32 {
    let processes = read_dir("/proc").unwrap().filter_map(Result::ok);
    processes
        .filter(|process| {
            let comm = read_to_string(process.path().join("comm"));
            comm.is_ok_and(|comm| comm == "iostream_source\n")
        })
        .find_map(|process| process.file_name().to_str()?.parse().ok())
        .expect("the thread of the sources")
}

/// What the kernel's tracer notes of the timers that one thread starts.
struct TimersOf(PathBuf);

impl TimersOf {
    fn thread(id: u32) -> Self {
        let folder = PathBuf::from("/sys/kernel/tracing/instances/selftests-timers");
        create_dir(&folder).unwrap();
        write(folder.join("set_event_pid"), id.to_string()).unwrap();
        write(folder.join("events/timer/hrtimer_start/enable"), "1").unwrap();
        Self(folder)
    }

    /// The times in nanoseconds at which the thread wanted to be woken.
    fn ends_of_sleeps(&self) -> Vec<u64> {
        let trace = read_to_string(self.0.join("trace")).unwrap();
        let sleeps = trace
            .lines()
            .filter(|line| line.contains("function=hrtimer_wakeup"));
        let ends = sleeps.filter_map(|line| line.split_once(" softexpires=")?.1.split(' ').next());
        ends.map(|end| end.parse().unwrap()).collect()
    }
}

impl Drop for TimersOf {
    fn drop(&mut self) {
        write(self.0.join("events/timer/hrtimer_start/enable"), "0").unwrap();
        remove_dir(&self.0).unwrap();
    }
}

/// However many sources a user has, they cause at most a thousand interrupts of the clock a second
/// together. They are so many that the next one is always due within less than the thousandth part.
fn few_interrupts() {
    let mut setup = source(8192, 16, 64, 50);
    setup.flags |= IOSTREAM_SETUP_OVERWRITE;
    let sessions: Vec<Session> = (0..100).map(|_| Session::new(setup)).collect();
    let made = || -> u64 {
        let entries = sessions
            .iter()
            .map(|session| session.endpoint().unwrap().entries);
        entries.sum()
    };
    wait_until("each source produces", || made() >= 100);
    let timers = TimersOf::thread(thread());
    wait_until("a hundred sleeps", || timers.ends_of_sleeps().len() > 100);
    let ends = timers.ends_of_sleeps();
    let shortest = ends.windows(2).map(|two| two[1] - two[0]).min().unwrap();
    println!(
        "{} sleeps, the ends {shortest} ns apart at least",
        ends.len()
    );
    assert!(shortest >= 1_000_000);
}

/// A source never makes more entries than it was asked for, though it makes up for delays.
fn no_faster() {
    for (rate, sessions) in [(1, 1), (500, 20), (1000, 5), (20_000, 4), (1500, 1)] {
        let mut setup = source(8192, 16, 64, rate);
        setup.flags |= IOSTREAM_SETUP_OVERWRITE;
        let start = Instant::now();
        let all: Vec<Session> = (0..sessions).map(|_| Session::new(setup)).collect();
        let made = |session: &Session| session.endpoint().unwrap().entries;
        for session in &all {
            let wanted = rate.max(2);
            wait_until("a second's entries", || made(session) >= wanted);
            let (most, passed) = (made(session), start.elapsed().as_secs_f64());
            assert!(
                most as f64 <= rate as f64 * passed + 1.0,
                "{most} in {passed} s"
            );
        }
    }
}
