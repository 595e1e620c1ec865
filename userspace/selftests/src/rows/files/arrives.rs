// SPDX-License-Identifier: MIT OR Apache-2.0

//! F-05: what was written arrives: at the last close, and at fsync(2).

use std::time::{Duration, Instant};

use iostream_raw::{page, sink, source, Input, Session, INPUT};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::driver::Driver;
use crate::support::signals::ended_by_signal;
use crate::support::waiting::{wait_until, woken_by, HOUR_MS};

pub const CLAUSES: &[Clause] = &[
    Clause::new("F-05/close-tells-below-the-watermark", close_tells),
    Clause::new("F-05/close-waits-for-a-slow-driver", close_waits),
    Clause::new("F-05/close-of-a-mapped-queue-waits", mapped_close_waits),
    Clause::new("F-05/close-of-a-stream-drains", stream_close_drains),
    Clause::new("F-05/close-gives-up-in-time", close_gives_up),
    Clause::new("F-05/close-after-a-signal-does-not-wait", killed),
    Clause::new("F-05/close-ends-with-the-driver", close_ends_with_driver),
    Clause::new("F-05/close-with-nothing-left-does-not-wait", nothing_left),
    Clause::new("F-05/fsync-of-a-queue", fsync_of_a_queue),
    Clause::new("F-05/fsync-of-a-stream", fsync_of_a_stream),
    Clause::new("F-05/fsync-ends", fsync_ends),
    Clause::new("F-05/fsync-without-input", fsync_without_input),
];

/// The spare node with an input queue; a close waits so long.
fn queue(drain_ms: u64) -> Driver {
    Driver::queues(&format!("0 4096 drain={drain_ms}"))
}

/// The spare stream, into which a client writes; a close waits so long.
fn stream(drain_ms: u64) -> Driver {
    Driver::stream(&format!("input 4 64 drain={drain_ms}"))
}

fn fsync(session: &Session) -> rustix::io::Result<()> {
    rustix::fs::fsync(session)
}

/// Whatever the watermark and its latency, the driver's callback runs before the session ends.
fn close_tells() {
    for watermark in ["watermark 1024 0", "watermark 1024 3600000000000"] {
        for by_mapping in [false, true] {
            let driver = Driver::new(0, 4096);
            driver.command(watermark);
            let session = driver.open();
            let before = driver.log("data_callbacks");
            if by_mapping {
                let mut input = Input::new(&session);
                assert!(input.push(&session, &[1; 100]));
            } else {
                session.write_entry(&[1; 100]);
            }
            assert_eq!(driver.log("data_callbacks"), before, "below the watermark");
            drop(session);
            assert_eq!(driver.log("data_callbacks"), before + 1, "{watermark}");
        }
    }
}

fn close_waits() {
    let driver = queue(HOUR_MS);
    driver.command("watermark 1024 0");
    let session = driver.open();
    (0..3).for_each(|_| session.write_entry(&[7; 100]));
    let take_all = || assert_eq!(driver.count("drain 10"), 3);
    woken_by(libc::SYS_close, || drop(session), take_all);
}

fn mapped_close_waits() {
    let driver = queue(HOUR_MS);
    let session = driver.open();
    let mut input = Input::new(&session);
    assert!(input.push(&session, &[7; 100]));
    drop(input);
    let take_all = || assert_eq!(driver.count("drain 10"), 1);
    woken_by(libc::SYS_close, || drop(session), take_all);
}

fn stream_close_drains() {
    let driver = stream(HOUR_MS);
    let drains = driver.log("stops_drain");
    let session = driver.open();
    for byte in 1..4 {
        session.write_entry(&[byte; 10]);
    }
    let take_all = || {
        for byte in 1..4 {
            driver.command("receive");
            assert_eq!(driver.log("sum"), 10 * byte);
        }
    };
    woken_by(libc::SYS_close, || drop(session), take_all);
    // The driver is to finish what it has taken.
    wait_until("closed", || driver.log("stops_drain") == drains + 1);
    // Without a write(2) the client's buffers are its own business.
    let session = driver.open();
    session.start().unwrap();
    drop(session);
    assert_eq!(driver.log("stops_drain"), drains + 1);
}

/// The time is the driver's, and no shorter.
fn close_gives_up() {
    for is_stream in [false, true] {
        let driver = if is_stream { stream(300) } else { queue(300) };
        let session = driver.open();
        session.write_entry(&[1; 10]);
        let start = Instant::now();
        drop(session);
        assert!(start.elapsed() >= Duration::from_millis(300));
        // The next client finds nothing of it.
        let _session = driver.open();
        if is_stream {
            driver.fails("receive", Errno::NODATA);
        } else {
            assert_eq!(driver.count("drain 1"), 0);
        }
    }
    // Without a time it does not wait, and what the driver has not taken is gone.
    let driver = queue(0);
    let session = driver.open();
    session.write_entry(&[1; 10]);
    drop(session);
    let _session = driver.open();
    assert_eq!(driver.count("drain 1"), 0);
}

/// Ctrl-C is to end a program at once. A program that exits by itself has its data delivered.
fn killed() {
    for make in [queue, stream] {
        let driver = make(HOUR_MS);
        for signal in [libc::SIGKILL, libc::SIGTERM, libc::SIGINT] {
            let path = driver.path();
            // SAFETY: This process has one thread.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let session = Session::open(path, OFlags::RDWR).unwrap();
                session.write_entry(&[1; 10]);
                // SAFETY: No preconditions.
                unsafe {
                    libc::raise(signal);
                    libc::_exit(0);
                }
            }
            let mut status = 0;
            // SAFETY: `status` is writable.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert!(libc::WIFSIGNALED(status));
            wait_until("the node is free", || driver.try_open().is_ok());
        }
    }
}

fn close_ends_with_driver() {
    for make in [queue, stream] {
        let driver = make(HOUR_MS);
        let session = driver.open();
        session.write_entry(&[1; 10]);
        woken_by(libc::SYS_close, || drop(session), || driver.unpublish());
    }
}

fn nothing_left() {
    // Each would wait for an hour.
    let driver = queue(HOUR_MS);
    drop(driver.open());
    let session = driver.open();
    session.write_entry(&[1; 10]);
    driver.command("drain 1");
    drop(session);
    // A process that has written nonsense into its page is not waited for.
    let session = driver.open();
    let input = Input::new(&session);
    for pos in [8 * page(), u64::MAX, 1 << 63] {
        use iostream_raw::producer;
        use std::sync::atomic::Ordering::Relaxed;
        input.producer.word(producer::POS).store(pos, Relaxed);
        assert_eq!(fsync(&session), Err(Errno::BADMSG));
    }
    drop(input);
    drop(session);
    let driver = stream(HOUR_MS);
    drop(driver.open());
    let session = driver.open();
    session.write_entry(&[1; 10]);
    session.stop().unwrap();
    drop(session);
}

fn fsync_of_a_queue() {
    let driver = queue(0);
    driver.command("watermark 1024 0");
    let session = driver.open();
    assert_eq!(fsync(&session), Ok(()));
    session.write_entry(&[7; 100]);
    session.write_entry(&[7; 100]);
    let synced = woken_by(
        libc::SYS_fsync,
        || fsync(&session),
        || {
            assert_eq!(driver.count("drain 1"), 1);
            assert_eq!(driver.count("drain 1"), 1);
        },
    );
    assert_eq!(synced, Ok(()));
    // The built-in sink takes all in the writer's call.
    let session = Session::new(sink(4096));
    session.write_entry(&iostream_raw::make_record(0, 100));
    assert_eq!(fsync(&session), Ok(()));
    assert_eq!(rustix::fs::fdatasync(&session), Ok(()));
}

fn fsync_of_a_stream() {
    let driver = stream(0);
    let session = driver.open();
    assert_eq!(fsync(&session), Ok(()));
    session.write_entry(&[7; 10]);
    session.write_entry(&[8; 10]);
    let take_all = || (0..2).for_each(|_| driver.command("receive"));
    assert_eq!(
        woken_by(libc::SYS_fsync, || fsync(&session), take_all),
        Ok(())
    );
    // The stream goes on.
    driver.command("release-all");
    session.write_entry(&[9; 10]);
    // A stop takes what was sent back.
    let stop = || {
        session.stop().unwrap();
    };
    assert_eq!(woken_by(libc::SYS_fsync, || fsync(&session), stop), Ok(()));
}

fn fsync_ends() {
    for make in [queue, stream] {
        let driver = make(0);
        let session = driver.open();
        session.write_entry(&[7; 10]);
        assert_eq!(ended_by_signal(|| fsync(&session)), Err(Errno::INTR));
        let gone = woken_by(libc::SYS_fsync, || fsync(&session), || driver.unpublish());
        assert_eq!(gone, Err(Errno::NODEV));
    }
    let driver = queue(0);
    let session = driver.open();
    session.write_entry(&[7; 10]);
    let reset = || session.reset(INPUT).unwrap();
    assert_eq!(woken_by(libc::SYS_fsync, || fsync(&session), reset), Ok(()));
}

fn fsync_without_input() {
    assert_eq!(fsync(&Session::new(source(4096, 16, 16, 0))), Ok(()));
    let driver = Driver::stream("output 2 64");
    assert_eq!(fsync(&driver.open()), Ok(()));
    let bare = Session::bare();
    assert_eq!(fsync(&bare), Err(Errno::BADFD));
}
