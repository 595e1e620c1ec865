// SPDX-License-Identifier: MIT OR Apache-2.0

//! when the driver goes: under maps, sleepers and copies.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering::*};

use iostream_ring::uapi::{iostream_info, iostream_run};
use rustix::buffer::spare_capacity;
use rustix::event::{epoll, eventfd, EventfdFlags, PollFlags};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::clause::{count, Clause};
use crate::raw::{consumer, wait_for, Area, Input, Output, Session, INPUT, OUTPUT};
use crate::support::driver::Driver;
use crate::support::waiting::{wait_until, woken_by};

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-09/valid-after-driver-removal", valid_after_removal),
    Clause::new("Q-11/hang-up-signals-eventfd", hang_up_eventfd),
    Clause::new("Q-12/hang-up-poll", hang_up_poll),
    Clause::new("Q-12/hang-up-epoll", || {
        hang_up_epoll(epoll::EventFlags::empty())
    }),
    Clause::new("Q-12/hang-up-epoll-edge", || {
        hang_up_epoll(epoll::EventFlags::ET)
    }),
    Clause::new("Q-12/hang-up-not-asked-for", hang_up_not_asked_for),
    Clause::new("Q-17/free-while-opening", free_while_opening),
    Clause::new("Q-17/close-while-producing", close_while_producing),
    Clause::new("Q-18/gone", gone),
    Clause::new("Q-18/gone-for-the-driver", gone_for_the_driver),
];

const GONE: &str = "unpublish";

fn info_gone(info: &crate::raw::Map) -> u64 {
    info.word(std::mem::offset_of!(iostream_info, gone))
        .load(Acquire)
}

fn valid_after_removal() {
    let driver = Driver::new(8192, 8192);
    let session = driver.open();
    let (mut input, mut output) = (Input::new(&session), Output::new(&session));
    let info = session.map(OUTPUT, Area::Info);
    driver.does("enqueue 100");
    assert_eq!(info_gone(&info), 0);
    driver.does(GONE);
    assert_eq!(info_gone(&info), 1);
    // With the descriptor, and without.
    let mut session = Some(session);
    for _ in 0..2 {
        output.data.read(0, output.data.len());
        output.consumer.word(consumer::WAKE).store(77, Relaxed);
        assert_eq!(output.consumer.word(consumer::WAKE).load(Relaxed), 77);
        input.data.write(8192 + 5, b"still mapped");
        assert_eq!(input.data.read(5, 12), b"still mapped");
        assert!(input.put(&[1; 10]));
        input.publish();
        session = None;
    }
    drop(session);
    assert_eq!(output.take().unwrap().bytes.len(), 100);
    assert_eq!(output.take(), None);
    // The name is free, the memory nobody else's.
    let next = Driver::new(8192, 8192);
    let fresh = Output::new(&next.open());
    next.does("enqueue 100");
    assert_eq!((fresh.available(), output.available()), (112, 0));
    drop((info, input, output));
    assert_eq!(fresh.available(), 112);
}

fn hang_up_eventfd() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    let fds = [OUTPUT, INPUT].map(|direction| {
        let fd = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        let input = direction == INPUT;
        session.eventfd(direction, fd.as_fd().as_raw_fd()).unwrap();
        if input {
            // Room is there: signalled at once.
            rustix::io::read(&fd, &mut [0; 8]).unwrap();
        }
        assert_eq!(wait_for(&fd, PollFlags::IN, 0), PollFlags::empty());
        fd
    });
    let read = || rustix::io::read(&fds[0], &mut [0; 8]);
    assert_eq!(woken_by(libc::SYS_read, read, || driver.does(GONE)), Ok(8));
    assert_eq!(wait_for(&fds[1], PollFlags::IN, -1), PollFlags::IN);
}

fn hang_up_poll() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let poll = || session.poll(PollFlags::IN, -1);
    let said = woken_by(libc::SYS_ppoll, poll, || driver.does(GONE));
    assert_eq!(said, PollFlags::HUP | PollFlags::ERR);
    assert_eq!(poll(), said, "and each time after that");
}

fn hang_up_epoll(flags: epoll::EventFlags) {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let data = epoll::EventData::new_u64(1);
    epoll::add(&epoll, &session, data, flags | epoll::EventFlags::IN).unwrap();
    let wait = || {
        let mut found: Vec<epoll::Event> = Vec::with_capacity(4);
        epoll::wait(&epoll, spare_capacity(&mut found), None).unwrap();
        found[0].flags
    };
    let said = woken_by(libc::SYS_epoll_pwait, wait, || driver.does(GONE));
    assert_eq!(said, epoll::EventFlags::HUP | epoll::EventFlags::ERR);
}

/// A poll that asks for nothing learns of it as well.
fn hang_up_not_asked_for() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    let poll = || session.poll(PollFlags::empty(), -1);
    let said = woken_by(libc::SYS_ppoll, poll, || driver.does(GONE));
    assert_eq!(said, PollFlags::HUP | PollFlags::ERR);
}

/// Removal while others open, ask, and close.
fn free_while_opening() {
    let mut opened = 0;
    for _ in 0..count(300) {
        let driver = Driver::new(4096, 4096);
        let path = driver.path();
        let done = AtomicBool::new(false);
        opened += std::thread::scope(|scope| {
            let openers = [(); 2].map(|()| {
                scope.spawn(|| {
                    let mut opened = 0;
                    while !done.load(Relaxed) {
                        match Session::open(&path, OFlags::RDWR) {
                            Ok(session) => {
                                let asked = session.try_queue(OUTPUT).map(|_| ());
                                assert!(matches!(asked, Ok(()) | Err(Errno::NODEV)), "{asked:?}");
                                opened += 1;
                            }
                            Err(Errno::BUSY | Errno::NODEV | Errno::NXIO | Errno::NOENT) => {}
                            Err(errno) => panic!("open: {errno}"),
                        }
                    }
                    opened
                })
            });
            let before = driver.log("opens");
            wait_until("somebody opened it", || driver.log("opens") != before);
            driver.does(GONE);
            done.store(true, Relaxed);
            openers
                .map(|opener| opener.join().unwrap())
                .iter()
                .sum::<u64>()
        });
    }
    assert!(opened > 0);
}

/// The session ends while driver and endpoint are at its queues; also of /dev/iostream.
fn close_while_producing() {
    let driver = Driver::new(4096, 4096);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for command in ["enqueue 100", "dequeue 100", "reserve 50 commit", "release"] {
            let (driver, done) = (&driver, &done);
            scope.spawn(move || {
                while !done.load(Relaxed) {
                    match driver.tell(command) {
                        Ok(()) | Err(Errno::NOTCONN | Errno::NOSPC | Errno::NODATA) => {}
                        Err(Errno::STALE) => {}
                        Err(errno) => panic!("{command}: {errno}"),
                    }
                }
            });
        }
        for _ in 0..count(1000) {
            let session = driver.open_nonblocking();
            let (mut input, mut output) = (Input::new(&session), Output::new(&session));
            while output.take().is_none() {
                std::thread::yield_now();
            }
            input.push(&session, &[1; 100]);
        }
        done.store(true, Relaxed);
    });
    let sessions = std::path::Path::new("/sys/class/iostream/iostream/sessions");
    for _ in 0..count(200) {
        let session = Session::new(crate::raw::source(4096, 16, 100, 100_000));
        while session.counters(OUTPUT).entries == 0 {
            std::thread::yield_now();
        }
        let busy = session.run_with(iostream_run::default()).1;
        assert_eq!(busy, Err(Errno::BUSY), "its timer runs");
    }
    assert_eq!(std::fs::read_to_string(sessions).unwrap(), "0\n");
}

fn gone() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    driver.does(GONE);
    assert_eq!(session.read(&mut [0; 10]), Err(Errno::NODEV));
    assert_eq!(session.write(b"x"), Err(Errno::NODEV));
    for direction in [OUTPUT, INPUT] {
        assert_eq!(session.notify(direction), Err(Errno::NODEV));
        assert_eq!(session.reset(direction), Err(Errno::NODEV));
        assert_eq!(session.eventfd(direction, -1), Err(Errno::NODEV));
        assert_eq!(session.try_queue(direction).err(), Some(Errno::NODEV));
        let arg = Area::Info;
        let mapped = rustix::mm::MapFlags::SHARED;
        let offset = arg.offset(&Session::new(crate::raw::echo(4096)).queue(direction));
        let map = crate::raw::Map::try_new(&session, offset, 4096, crate::raw::Prot::READ, mapped);
        assert_eq!(map.err(), Some(Errno::NODEV));
    }
    assert_eq!(session.version().unwrap().version, 1, "works after removal");
}

fn gone_for_the_driver() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    driver.does(GONE);
    for command in [
        "enqueue 8",
        "enqueue 8 hardirq",
        "enqueue-wait 8",
        "fill 8",
        "batch 2 8",
        "reserve 8 commit",
        "lost 1",
        "flush",
        "can 8 1",
        "dequeue 8",
        "dequeue-wait 8 10",
        "drain 1",
        "peek",
        "release",
        "available",
    ] {
        driver.fails(command, Errno::NODEV);
    }
    drop(session);
    driver.fails("enqueue 8", Errno::NODEV);
}
