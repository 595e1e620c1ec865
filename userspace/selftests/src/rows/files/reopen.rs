// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-08, S-09, F-03: a node is opened while a client has it, or is just leaving it.

use std::fs::File;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use iostream_raw::Session;
use rustix::event::PollFlags;
use rustix::fs::OFlags;
use rustix::io::{Errno, Result};
use rustix::pipe::pipe;

use crate::clause::Clause;
use crate::support::driver::Driver;
use crate::support::race::RacePoint;
use crate::support::signals::ended_by_signal;
use crate::support::uring::{Request, Uring};
use crate::support::waiting::{asleep_when, OPEN};

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-08/open-waits-for-a-place", waits_for_a_place),
    Clause::new("S-08/open-ends-with-the-driver", ends_with_the_driver),
    Clause::new("S-08/signal-ends-an-open", signal_ends_an_open),
    Clause::new("F-03/open-does-not-wait", nonblocking),
    Clause::new("F-03/open-behind-another", nonblocking_behind_another),
    Clause::new("S-09/reopened-after-requests", reopened_after_requests),
];

/// How long an open(2) waits for a place.
const WAIT: Duration = Duration::from_millis(500);

/// Runs `round` until it says that it has ended as it should before an open(2) gives up waiting. A
/// machine that is slow may be too late for that at times, but not always.
#[track_caller]
fn at_some_time_before_it_gives_up(mut round: impl FnMut() -> bool) {
    let in_time = |_| {
        let start = Instant::now();
        round() && start.elapsed() < WAIT
    };
    assert!((0..50).any(in_time), "in no round");
}

/// Calls open(2), and `meanwhile` while that waits. The result is `None` if it does not wait, or no
/// longer.
fn open_and(driver: &Driver, meanwhile: impl FnOnce()) -> Option<Result<Session>> {
    // Looked for before: that opens files, too.
    let path = driver.path();
    let open = || Session::open(path, OFlags::RDWR);
    asleep_when(OPEN, open, meanwhile)
}

/// Calls open(2), which is not to wait.
fn open_nonblocking(driver: &Driver) -> Result<Session> {
    Session::open(driver.path(), OFlags::RDWR | OFlags::NONBLOCK)
}

/// It gets the place that becomes free, be it the node's only one or one of several.
fn waits_for_a_place() {
    for what in ["output 2 64", "output 2 64 clients=3"] {
        let driver = Driver::stream(what);
        at_some_time_before_it_gives_up(|| {
            let mut sessions: Vec<_> =
                std::iter::from_fn(|| open_nonblocking(&driver).ok()).collect();
            let freed = sessions.swap_remove(sessions.len() / 2);
            matches!(open_and(&driver, || drop(freed)), Some(Ok(_)))
        });
    }
}

fn ends_with_the_driver() {
    at_some_time_before_it_gives_up(|| {
        let driver = Driver::new(4096, 0);
        let _session = driver.open();
        let opened = open_and(&driver, || driver.unpublish());
        opened.and_then(Result::err) == Some(Errno::NODEV)
    });
}

fn signal_ends_an_open() {
    let driver = Driver::new(4096, 0);
    let _session = driver.open();
    at_some_time_before_it_gives_up(|| {
        ended_by_signal(|| driver.try_open()).err() == Some(Errno::INTR)
    });
}

fn nonblocking() {
    let driver = Driver::new(4096, 0);
    let _session = driver.open();
    at_some_time_before_it_gives_up(|| {
        let start = Instant::now();
        let refused = open_nonblocking(&driver).err() == Some(Errno::BUSY);
        // Ticks of the machine's clock that come late come all at once: by them a wait may be over
        // early, but not by so much.
        refused && start.elapsed() < WAIT / 4
    });
}

/// The driver takes its time to decide about an opener. Another one that must not wait learns that it
/// may try again.
fn nonblocking_behind_another() {
    let driver = Driver::new(4096, 0);
    let path = driver.path();
    let point = RacePoint::set("open-agreed");
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| Session::open(path, OFlags::RDWR));
        point.wait_held();
        assert_eq!(open_nonblocking(&driver).err(), Some(Errno::AGAIN));
        drop(point);
        assert!(asked.join().unwrap().is_ok());
    });
}

/// How a client ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Exit,
    Kill,
}

/// Once wait(2) has told that a client has ended, the node can be opened, whatever io_uring was doing
/// for that client: it may keep the file for a moment longer.
fn reopened_after_requests() {
    type Make = fn() -> Request;
    let requests: [(&str, Make); 6] = [
        ("poll", || Request::poll(PollFlags::IN, false)),
        ("multishot poll", || Request::poll(PollFlags::IN, true)),
        ("read", || Request::read(vec![0; 4096].leak())),
        ("read by a worker", || {
            Request::read(vec![0; 4096].leak()).by_a_worker()
        }),
        ("write", || Request::write(&[1; 3000])),
        ("write by a worker", || {
            Request::write(&[1; 3000]).by_a_worker()
        }),
    ];
    let nodes: [fn() -> Driver; 2] = [|| Driver::new(4096, 4096), || Driver::stream("output 2 64")];
    for node in nodes {
        let driver = node();
        for (name, request) in requests {
            for end in [End::Exit, End::Kill] {
                for _ in 0..3 {
                    ends_with_a_request(&driver, request, end);
                    let error = driver.try_open().err();
                    assert_eq!(error, None, "{name}, {end:?}");
                }
            }
        }
    }
}

/// A child opens the node, has io_uring do something that does not end by itself, and ends.
fn ends_with_a_request(driver: &Driver, request: fn() -> Request, end: End) {
    let (mut hear, mut says) = pipe().map(|(r, w)| (File::from(r), File::from(w))).unwrap();
    // SAFETY: This process has one thread.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        let session = driver.open();
        // No room is left in a queue for the request's write. A stream in output mode takes none.
        let _ = session.write(&[1; 3000]);
        let ring = Uring::new();
        ring.submit(session.raw_fd(), request());
        says.write_all(b"+").unwrap();
        // SAFETY: No preconditions.
        unsafe {
            match end {
                End::Exit => libc::_exit(0),
                End::Kill => libc::pause(),
            }
        };
    }
    drop(says);
    hear.read_exact(&mut [0]).expect("the child has submitted");
    let mut status = 0;
    // SAFETY: The child is this process's own and was not waited for.
    unsafe {
        if matches!(end, End::Kill) {
            assert_eq!(libc::kill(child, libc::SIGKILL), 0);
        }
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
    }
}
