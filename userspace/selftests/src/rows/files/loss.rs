// SPDX-License-Identifier: MIT OR Apache-2.0

//! F-06: what was lost is told, exactly.

use iostream_raw::{page, Output, Session, OUTPUT};
use iostream_ring::uapi::*;
use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::driver::Driver;

pub const CLAUSES: &[Clause] = &[
    Clause::new("F-06/each-loss-in-band", in_band),
    Clause::new("F-06/read-says-so-on-request", read_says_so),
    Clause::new(
        "F-06/read-of-an-overwriting-queue-says-so",
        overwriting_says_so,
    ),
    Clause::new("F-06/read-of-a-stream-says-so", stream_says_so),
    Clause::new("F-06/loss-before-an-empty-entry", before_an_empty_entry),
];

/// Whoever adds up what the headers say knows how many entries were lost, however many they were.
fn in_band() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let mut output = Output::new(&session);
    let mut reported = 0;
    let mut told = 0;
    for lost in [1, 65_534, 65_535, 65_536, 1_000_000, 3] {
        driver.command(&format!("lost {lost}"));
        reported += lost;
        for _ in 0..20 {
            driver.command("enqueue 8");
            told += u64::from(output.take().unwrap().lost);
        }
        assert_eq!(told, reported);
    }
    assert_eq!(session.counters(OUTPUT).lost, reported);
}

fn tell_losses(session: &Session) {
    let flags = IOSTREAM_READ_LOSS as usize;
    session.pass_number(IOSTREAM_IOC_READ_MODE, flags).unwrap();
}

/// The next read fails once, although poll says that there is something to read.
#[track_caller]
fn fails_once(session: &Session, len: usize) {
    assert_eq!(session.poll(PollFlags::IN, 0), PollFlags::IN);
    assert_eq!(rustix::io::ioctl_fionread(session), Ok(len as u64));
    assert_eq!(session.read(&mut [0; 64]), Err(Errno::PIPE));
    assert_eq!(session.poll(PollFlags::IN, 0), PollFlags::IN);
    assert_eq!(session.read(&mut [0; 64]), Ok(len));
}

fn read_says_so() {
    let driver = Driver::new(4096, 0);
    let session = driver.open_nonblocking();
    let lose = || {
        driver.command("enqueue 10");
        driver.command("lost 100000");
        driver.command("enqueue 20");
        driver.command("enqueue 30");
        driver.command("enqueue 40");
    };
    // Not unless it is asked for.
    lose();
    for len in [10, 20, 30, 40] {
        assert_eq!(session.read(&mut [0; 64]), Ok(len));
    }
    tell_losses(&session);
    lose();
    assert_eq!(session.read(&mut [0; 64]), Ok(10));
    fails_once(&session, 20);
    // One entry could not report all of them.
    fails_once(&session, 30);
    assert_eq!(session.read(&mut [0; 64]), Ok(40));
    assert_eq!(session.read(&mut [0; 64]), Err(Errno::AGAIN));
    // Again after a reset, though positions begin anew.
    for _ in 0..2 {
        session.reset(OUTPUT).unwrap();
        driver.command("lost 1");
        driver.command("enqueue 20");
        fails_once(&session, 20);
    }
}

fn overwriting_says_so() {
    let driver = Driver::overwriting(4096);
    let session = driver.open_nonblocking();
    let mut read = [0; 64];
    // Entries of 64 bytes, with their headers.
    let full = page() / 72;
    let fill = || (0..full + 4).for_each(|_| driver.command("enqueue 64"));
    fill();
    for _ in 0..full {
        assert_eq!(
            session.read(&mut read),
            Ok(64),
            "not unless it is asked for"
        );
    }
    assert_eq!(session.read(&mut read), Err(Errno::AGAIN));
    tell_losses(&session);
    fill();
    assert_eq!(session.read(&mut read), Err(Errno::PIPE));
    // The entry that follows the loss was taken out, and is not overwritten.
    fill();
    assert_eq!(session.read(&mut read), Ok(64));
    fails_once(&session, 64);
    for _ in 0..full - 1 {
        assert_eq!(session.read(&mut read), Ok(64));
    }
    assert_eq!(session.read(&mut read), Err(Errno::AGAIN));
    driver.command("lost 3");
    driver.command("enqueue 20");
    fails_once(&session, 20);
}

fn stream_says_so() {
    let driver = Driver::stream("output 4 64");
    let session = driver.open_nonblocking();
    session.start().unwrap();
    let lose = || {
        driver.command("produce 1 10");
        driver.command("lost 5");
        driver.command("produce 1 20");
        driver.command("produce 1 30");
    };
    lose();
    for len in [10, 20, 30] {
        assert_eq!(
            session.read(&mut [0; 64]),
            Ok(len),
            "not unless it is asked for"
        );
    }
    tell_losses(&session);
    lose();
    assert_eq!(session.read(&mut [0; 64]), Ok(10));
    fails_once(&session, 20);
    assert_eq!(session.read(&mut [0; 64]), Ok(30));
    assert_eq!(session.read(&mut [0; 64]), Err(Errno::AGAIN));
}

/// An empty entry is passed over, but not what was lost before it.
fn before_an_empty_entry() {
    for overwriting in [false, true] {
        let driver = Driver::output(overwriting);
        let session = driver.open_nonblocking();
        tell_losses(&session);
        driver.command("lost 1");
        driver.command("enqueue 0");
        assert_eq!(session.poll(PollFlags::IN, 0), PollFlags::IN);
        assert_eq!(session.read(&mut [0; 64]), Err(Errno::PIPE));
        assert_eq!(session.poll(PollFlags::IN, 0), PollFlags::empty());
        assert_eq!(session.read(&mut [0; 64]), Err(Errno::AGAIN));
    }
}
