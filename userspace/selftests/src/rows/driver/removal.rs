// SPDX-License-Identifier: MIT OR Apache-2.0

//! the driver's node is removed while it is in use.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::*;

use iostream_raw::{node_called, Area, Input, Output, Session, INPUT, OUTPUT};
use iostream_ring::uapi::iostream_run;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::clause::{count, skip, Clause};
use crate::support::driver::Driver;
use crate::support::waiting::wait_until;

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-17/free-while-opening", free_while_opening),
    Clause::new("Q-17/close-while-producing", close_while_producing),
    Clause::new("Q-18/gone", gone),
    Clause::new("Q-18/gone-for-the-driver", gone_for_the_driver),
    Clause::new("Q-20/removed-while-open", removed_while_open),
];

/// The node is removed while others open it, ask for its queues, and close it.
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
            driver.unpublish();
            done.store(true, Relaxed);
            openers
                .map(|opener| opener.join().unwrap())
                .iter()
                .sum::<u64>()
        });
    }
    assert!(opened > 0);
}

/// A session ends while the driver, or the endpoint of `/dev/iostream`, uses its queues.
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
        let session = Session::new(iostream_raw::source(4096, 16, 100, 100_000));
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
    driver.unpublish();
    assert_eq!(session.read(&mut [0; 10]), Err(Errno::NODEV));
    assert_eq!(session.write(b"x"), Err(Errno::NODEV));
    for direction in [OUTPUT, INPUT] {
        assert_eq!(session.notify(direction), Err(Errno::NODEV));
        assert_eq!(session.reset(direction), Err(Errno::NODEV));
        assert_eq!(session.eventfd(direction, -1), Err(Errno::NODEV));
        assert_eq!(session.try_queue(direction).err(), Some(Errno::NODEV));
        let arg = Area::Info;
        let mapped = rustix::mm::MapFlags::SHARED;
        let offset = arg.offset(&Session::new(iostream_raw::echo(4096)).queue(direction));
        let map =
            iostream_raw::Map::try_new(&session, offset, 4096, iostream_raw::Prot::READ, mapped);
        assert_eq!(map.err(), Some(Errno::NODEV));
    }
    assert_eq!(session.version().unwrap().version, 1, "works after removal");
}

fn gone_for_the_driver() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    driver.unpublish();
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

/// The node leaves /dev and sysfs at once; the client's calls fail, and it cannot be opened again.
fn removed_while_open() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    let path = driver.path();
    driver.tell("enqueue 10").unwrap();
    driver.tell("unpublish").unwrap();
    assert_eq!(node_called("selftest"), None);
    assert!(Session::open(&path, OFlags::RDWR).is_err());
    assert_eq!(session.try_queue(OUTPUT).err(), Some(Errno::NODEV));
    assert_eq!(session.notify(INPUT), Err(Errno::NODEV));
    assert_eq!(session.write(&[0; 8]), Err(Errno::NODEV));
    assert_eq!(
        session.read(&mut [0; 100]),
        Ok(10),
        "what waited is still read"
    );
    assert_eq!(session.read(&mut [0; 100]), Err(Errno::NODEV));
    assert!(session.version().is_ok());
    if !path.exists() {
        return;
    }
    skip("another node has the number now");
}
