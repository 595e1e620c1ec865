// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-07: root drains a stream through sysfs, and meanwhile the session, or the stream, ends.

use std::fs::write;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use iostream_raw::Stream;
use iostream_ring::uapi::*;
use rustix::io::Errno;

use crate::clause::{limit, Clause};
use crate::support::driver::Driver;
use crate::support::memory::wait_for_no_pages;
use crate::support::race::RacePoint;
use crate::support::waiting::{wait_until, woken_by};

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-07/drain-ends-with-the-session", ends_with_the_session),
    Clause::new("S-07/drain-stops-no-other-session", stops_no_other_session),
];

/// What happens while the writer waits.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The client closes the stream.
    Close,
    /// The client is killed.
    Kill,
    /// The driver is removed.
    Removal,
    /// The driver is removed right after the client has closed the stream.
    CloseAndRemoval,
    /// The client stops its stream by itself.
    Stop,
}

const ENDS: [End; 5] = [
    End::Close,
    End::Kill,
    End::Removal,
    End::CloseAndRemoval,
    End::Stop,
];

fn drain(driver: &Driver) -> Result<(), Errno> {
    let done = write(driver.sysfs().join("state"), "drained");
    done.map_err(|error| Errno::from_io_error(&error).expect("an errno"))
}

/// A client with a running stream, from which the driver has not taken what was sent.
fn undrained(driver: &Driver) -> Stream {
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    stream.send_buffer(0, 1);
    stream
}

/// A process with such a stream, once it has sent.
fn child(driver: &Driver) -> libc::pid_t {
    let (read, write) = rustix::pipe::pipe().unwrap();
    // SAFETY: This process has a single thread.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let _stream = undrained(driver);
        rustix::io::write(write.as_fd(), b"x").unwrap();
        loop {
            // SAFETY: No preconditions.
            unsafe { libc::pause() };
        }
    }
    assert_eq!(rustix::io::read(&read, &mut [0]), Ok(1));
    child
}

fn kill(child: libc::pid_t) {
    // SAFETY: The child was not waited for; a null pointer is no place to write to.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
    }
}

/// The writer returns at once, keeps no memory, delays no removal, and stops nothing that comes
/// after.
fn ends_with_the_session() {
    for end in ENDS {
        println!("# {end:?}");
        wait_for_no_pages();
        let driver = Driver::stream("input 4 65536");
        let killed = matches!(end, End::Kill).then(|| child(&driver));
        let mut stream = killed.is_none().then(|| undrained(&driver));
        let mut began = None;
        let drained = woken_by(
            libc::SYS_write,
            || drain(&driver),
            || {
                began = Some(Instant::now());
                match end {
                    End::Close => stream = None,
                    End::Kill => killed.into_iter().for_each(kill),
                    End::Removal => driver.unpublish(),
                    End::CloseAndRemoval => {
                        stream = None;
                        driver.unpublish();
                    }
                    End::Stop => {
                        let session = &stream.as_ref().unwrap().session;
                        assert_eq!(session.stop(), Ok((0, 1)));
                    }
                }
            },
        );
        let took = began.map_or(Duration::ZERO, |began| began.elapsed());
        assert!(took < limit(20), "{end:?}: {took:?}");
        let expected = match end {
            End::Close | End::Kill => [Errno::NOTCONN; 2],
            End::Removal => [Errno::NODEV; 2],
            // Whichever the writer finds first.
            End::CloseAndRemoval => [Errno::NOTCONN, Errno::NODEV],
            End::Stop => [Errno::ALREADY; 2],
        };
        let error = drained.expect_err("nobody took what was sent");
        assert!(expected.contains(&error), "{end:?}: {error}");
        drop(stream);
        wait_for_no_pages();
        if matches!(end, End::Removal | End::CloseAndRemoval) {
            continue;
        }
        wait_until("the session ends", || driver.attribute("sessions") == 0);
        let next = undrained(&driver);
        assert_eq!(next.session.stream().state, IOSTREAM_STATE_RUNNING);
    }
}

/// The session ends after the writer has found it drained, and before it stops the stream: the
/// stream of the next session goes on.
fn stops_no_other_session() {
    let driver = Driver::stream("input 2 64");
    let stream = undrained(&driver);
    driver.command("receive");
    let stops = driver.log("stops_drain");
    let point = RacePoint::set("drained");
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| drain(&driver));
        point.wait_held();
        drop(stream);
        let next = driver.open();
        next.start().unwrap();
        drop(point);
        assert_eq!(writer.join().unwrap(), Err(Errno::NOTCONN));
        assert_eq!(next.stream().state, IOSTREAM_STATE_RUNNING);
    });
    assert_eq!(driver.log("stops_drain"), stops);
}
