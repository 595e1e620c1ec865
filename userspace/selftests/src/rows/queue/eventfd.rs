// SPDX-License-Identifier: MIT OR Apache-2.0

//! an eventfd for each direction.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::*;

use iostream_raw::{
    check_record, echo, sink, source, wait_for, Input, Output, Session, INPUT, OUTPUT,
};
use rustix::event::{eventfd, EventfdFlags, PollFlags};
use rustix::io::Errno;

use crate::clause::{count, Clause};
use crate::support::driver::Driver;
use crate::support::echo::stuck_echo;
use crate::support::feeding::feed_sink;
use crate::support::waiting::{wait_until, woken_by};

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-11/output-signals", output_signals),
    Clause::new("Q-11/input-signals", input_signals),
    Clause::new("Q-11/at-once-if-ready", at_once_if_ready),
    Clause::new("Q-11/replaced-and-removed", replaced_and_removed),
    Clause::new("Q-11/replaced-while-it-signals", replaced_while_it_signals),
    Clause::slow("Q-11/output-by-eventfd-alone", 180, output_by_eventfd_alone),
    Clause::slow("Q-11/input-by-eventfd-alone", 180, input_by_eventfd_alone),
    Clause::new("Q-11/not-an-eventfd", not_an_eventfd),
    Clause::new("Q-11/at-its-maximum", at_its_maximum),
    Clause::new("Q-11/closed-eventfd", closed_eventfd),
    Clause::new("Q-11/replaced-is-freed", replaced_is_freed),
    Clause::new("Q-11/freed-with-its-queue", freed_with_its_queue),
    Clause::new("Q-11/hang-up-signals-eventfd", hang_up_eventfd),
];

fn new_eventfd() -> OwnedFd {
    eventfd(0, EventfdFlags::CLOEXEC).unwrap()
}

/// How often it was signalled since the last call.
fn taken(fd: &OwnedFd) -> u64 {
    if wait_for(fd, PollFlags::IN, 0).is_empty() {
        return 0;
    }
    let mut count = [0; 8];
    assert_eq!(rustix::io::read(fd, &mut count), Ok(8));
    u64::from_ne_bytes(count)
}

fn output_signals() {
    let session = Session::new(source(4096, 16, 16, 0));
    let mut output = Output::new(&session);
    let event = new_eventfd();
    session.eventfd(OUTPUT, event.as_raw_fd()).unwrap();
    assert_eq!(taken(&event), 0, "nothing waits");
    for i in 0..10 {
        assert!(!output.arm());
        assert_eq!(session.run(3), (3, Ok(())));
        assert_eq!(taken(&event), 1, "armed once, signalled once: round {i}");
        while output.take().is_some() {}
    }
    // Nothing is armed, so there is no signal.
    session.run(3).1.unwrap();
    assert_eq!(taken(&event), 0);
}

fn input_signals() {
    let (session, input, mut output) = stuck_echo();
    let event = new_eventfd();
    session.eventfd(INPUT, event.as_raw_fd()).unwrap();
    assert_eq!(taken(&event), 0, "there is no room");
    assert!(!input.arm(96));
    for room in [32, 64] {
        output.take().unwrap();
        session.notify(OUTPUT).unwrap();
        assert_eq!(input.room(), room);
        // Setting the eventfd arms as well, so it may have one signal more.
        taken(&event);
    }
    output.take().unwrap();
    session.notify(OUTPUT).unwrap();
    assert_eq!((input.room(), taken(&event)), (96, 1));
    output.take().unwrap();
    session.notify(OUTPUT).unwrap();
    assert_eq!(taken(&event), 0, "once");
}

fn at_once_if_ready() {
    let session = Session::new(echo(4096));
    let event = new_eventfd();
    session.eventfd(INPUT, event.as_raw_fd()).unwrap();
    assert!(taken(&event) > 0, "there is room");
    session.eventfd(OUTPUT, event.as_raw_fd()).unwrap();
    assert_eq!(taken(&event), 0, "nothing waits");
    session.eventfd(OUTPUT, -1).unwrap();
    session.write_entry(b"x");
    taken(&event);
    session.eventfd(OUTPUT, event.as_raw_fd()).unwrap();
    assert!(taken(&event) > 0, "an entry waits");
}

fn replaced_and_removed() {
    let session = Session::new(source(4096, 16, 16, 0));
    let mut output = Output::new(&session);
    let (first, second) = (new_eventfd(), new_eventfd());
    let mut round = |expected| {
        output.arm();
        session.run(1).1.unwrap();
        output.take().unwrap();
        assert_eq!((taken(&first), taken(&second)), expected);
    };
    session.eventfd(OUTPUT, first.as_raw_fd()).unwrap();
    round((1, 0));
    session.eventfd(OUTPUT, second.as_raw_fd()).unwrap();
    round((0, 1));
    session.eventfd(OUTPUT, -1).unwrap();
    round((0, 0));
    session.eventfd(OUTPUT, -1).unwrap();
    session.eventfd(OUTPUT, first.as_raw_fd()).unwrap();
    round((1, 0));
}

fn replaced_while_it_signals() {
    let session = Session::new(source(1 << 16, 16, 64, 10_000));
    let mut output = Output::new(&session);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let setter = scope.spawn(|| {
            let mut last = new_eventfd();
            for i in 0..count(2000) {
                let next = new_eventfd();
                session.eventfd(OUTPUT, next.as_raw_fd()).unwrap();
                if i % 5 == 0 {
                    session.eventfd(OUTPUT, -1).unwrap();
                }
                last = next;
            }
            session.eventfd(OUTPUT, last.as_raw_fd()).unwrap();
            done.store(true, Relaxed);
            last
        });
        while !done.load(Relaxed) {
            output.arm();
            while output.take().is_some() {}
        }
        // Only the eventfd that was set last is signalled.
        let last = setter.join().unwrap();
        taken(&last);
        while output.arm() {
            while output.take().is_some() {}
        }
        assert_eq!(wait_for(&last, PollFlags::IN, -1), PollFlags::IN);
    });
}

/// A consumer that never polls the device. A lost signal would leave it asleep, and the clause
/// would time out.
fn output_by_eventfd_alone() {
    let session = Session::new(source(4096, 16, 400, 0));
    let mut output = Output::new(&session);
    let event = new_eventfd();
    session.eventfd(OUTPUT, event.as_raw_fd()).unwrap();
    let total = count(200_000);
    let mut sleeps = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(session.run_with(forever(total)), (total, Ok(()))));
        for i in 0..total {
            let entry = loop {
                if let Some(entry) = output.take_and_notify(&session) {
                    break entry;
                }
                if !output.arm() {
                    sleeps += 1;
                    rustix::io::read(&event, &mut [0; 8]).unwrap();
                }
            };
            assert_eq!(check_record(&entry.bytes), i);
        }
    });
    println!("{total} entries, {sleeps} sleeps");
    assert!(sleeps > 0);
}

fn input_by_eventfd_alone() {
    let session = Session::new(sink(4096));
    let event = new_eventfd();
    session.eventfd(INPUT, event.as_raw_fd()).unwrap();
    feed_sink(&session, Input::arm, || {
        rustix::io::read(&event, &mut [0; 8]).unwrap();
    });
}

fn forever(entries: u64) -> iostream_ring::uapi::iostream_run {
    iostream_ring::uapi::iostream_run {
        entries,
        ..Default::default()
    }
}

fn not_an_eventfd() {
    let session = Session::new(echo(4096));
    let null = std::fs::File::open("/dev/null").unwrap();
    let event = new_eventfd();
    for (fd, error) in [
        (null.as_raw_fd(), Errno::INVAL),
        (1000, Errno::BADF),
        (-2, Errno::BADF),
        (i32::MIN, Errno::BADF),
        (i32::MAX, Errno::BADF),
    ] {
        assert_eq!(session.eventfd(OUTPUT, fd), Err(error), "{fd}");
    }
    for direction in [2, 3, u32::MAX] {
        assert_eq!(
            session.eventfd(direction, event.as_raw_fd()),
            Err(Errno::INVAL)
        );
    }
    let session = Session::new(sink(4096));
    assert_eq!(session.eventfd(OUTPUT, event.as_raw_fd()), Err(Errno::NXIO));
}

/// An eventfd whose counter is at its maximum: the kernel neither waits nor fails, and it stays
/// readable.
fn at_its_maximum() {
    let session = Session::new(source(4096, 16, 16, 0));
    let mut output = Output::new(&session);
    let event = new_eventfd();
    rustix::io::write(&event, &(u64::MAX - 1).to_ne_bytes()).unwrap();
    session.eventfd(OUTPUT, event.as_raw_fd()).unwrap();
    for i in 0..100 {
        assert!(!output.arm());
        assert_eq!(session.run(1), (1, Ok(())));
        assert_eq!(check_record(&output.take().unwrap().bytes), i);
    }
    assert!(wait_for(&event, PollFlags::IN, 0).contains(PollFlags::IN));
}

/// The queue holds a reference to its eventfd.
fn closed_eventfd() {
    let session = Session::new(source(4096, 16, 16, 0));
    let mut output = Output::new(&session);
    let event = new_eventfd();
    session.eventfd(OUTPUT, event.as_raw_fd()).unwrap();
    drop(event);
    for _ in 0..100 {
        assert!(!output.arm());
        assert_eq!(session.run(1), (1, Ok(())));
        output.take().unwrap();
    }
}

/// The id of the next eventfd: the smallest that no existing one has.
fn next_number() -> u64 {
    let event = new_eventfd();
    let path = format!("/proc/self/fdinfo/{}", event.as_raw_fd());
    let text = std::fs::read_to_string(path).unwrap();
    let number = text
        .lines()
        .find_map(|line| line.strip_prefix("eventfd-id:"));
    number.expect("a number").trim().parse().unwrap()
}

/// Runs `leave` for 100 eventfds to which nothing else has a reference, and waits until they are
/// freed.
fn all_go(mut leave: impl FnMut(OwnedFd)) {
    let before = next_number();
    for _ in 0..100 {
        leave(new_eventfd());
    }
    // Other processes may have created some meanwhile.
    wait_until("they go", || next_number() < before + 50);
}

fn replaced_is_freed() {
    let session = Session::new(source(4096, 16, 16, 0));
    all_go(|event| session.eventfd(OUTPUT, event.as_raw_fd()).unwrap());
    all_go(|event| {
        session.eventfd(OUTPUT, event.as_raw_fd()).unwrap();
        session.eventfd(OUTPUT, -1).unwrap();
    });
}

fn freed_with_its_queue() {
    all_go(|event| {
        let session = Session::new(source(4096, 16, 16, 0));
        session.eventfd(OUTPUT, event.as_raw_fd()).unwrap();
    });
}

fn hang_up_eventfd() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    let fds = [OUTPUT, INPUT].map(|direction| {
        let fd = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        let input = direction == INPUT;
        session.eventfd(direction, fd.as_fd().as_raw_fd()).unwrap();
        if input {
            // There is room, so it is signalled at once.
            rustix::io::read(&fd, &mut [0; 8]).unwrap();
        }
        assert_eq!(wait_for(&fd, PollFlags::IN, 0), PollFlags::empty());
        fd
    });
    let read = || rustix::io::read(&fds[0], &mut [0; 8]);
    assert_eq!(woken_by(libc::SYS_read, read, || driver.unpublish()), Ok(8));
    assert_eq!(wait_for(&fds[1], PollFlags::IN, -1), PollFlags::IN);
}
