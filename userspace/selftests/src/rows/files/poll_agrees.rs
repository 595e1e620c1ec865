// SPDX-License-Identifier: MIT OR Apache-2.0

//! F-01: poll says readable or writable exactly if read(2) or write(2) returns without waiting.
//!
//! The table has a cell for each node or mode, each state, each content, and each of the two calls.
//! A cell brings a fresh session there, polls, and makes the call without waiting: `EAGAIN` means
//! that the call would have waited. Where a watermark makes a call wait that finds something, the
//! call is made for real.

use std::os::fd::AsFd;

use iostream_raw::{echo, source, Session, INPUT, OUTPUT};
use iostream_ring::uapi::*;
use rustix::event::PollFlags;
use rustix::fs::{fcntl_getfl, fcntl_setfl, OFlags};
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::driver::Driver;
use crate::support::waiting::woken_by;

pub const CLAUSES: &[Clause] = &[
    Clause::slow("F-01/poll-agrees-on-queues", 240, queues),
    Clause::slow("F-01/poll-agrees-on-streams", 240, streams),
    Clause::new("F-01/poll-agrees-on-the-built-in", built_in),
    Clause::new("F-01/no-error-while-data-are-left", no_error_with_data),
];

const BOTH: PollFlags = PollFlags::IN.union(PollFlags::OUT);

/// A call that poll foretells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Read,
    Write,
}

impl Call {
    fn event(self) -> PollFlags {
        match self {
            Self::Read => PollFlags::IN,
            Self::Write => PollFlags::OUT,
        }
    }

    fn number(self) -> libc::c_long {
        match self {
            Self::Read => libc::SYS_read,
            Self::Write => libc::SYS_write,
        }
    }

    fn make(self, session: &Session) -> Result<usize, Errno> {
        match self {
            Self::Read => session.read(&mut [0; 64]),
            Self::Write => session.write(b"8 bytes."),
        }
    }
}

/// A session in the situation of a cell.
struct Ground {
    session: Session,
    /// `None` for the built-in node.
    driver: Option<Driver>,
    /// What the calls find is below the watermark.
    below_watermark: bool,
}

impl Ground {
    fn new(driver: Driver) -> Self {
        Self {
            session: driver.open_nonblocking(),
            driver: Some(driver),
            below_watermark: false,
        }
    }

    fn driver(&self) -> &Driver {
        self.driver.as_ref().expect("a driver's node")
    }
}

/// What a call returned, in words.
fn words(answer: Result<usize, Errno>) -> String {
    match answer {
        Ok(0) => "0".into(),
        Ok(len) => format!("{len} bytes"),
        Err(Errno::AGAIN) => "waits".into(),
        Err(Errno::NODEV) => "ENODEV".into(),
        Err(Errno::SHUTDOWN) => "ESHUTDOWN".into(),
        Err(Errno::BADFD) => "EBADFD".into(),
        Err(error) => panic!("{error}"),
    }
}

/// Events in words.
fn events(said: PollFlags) -> String {
    let names = [
        (PollFlags::IN, "IN"),
        (PollFlags::OUT, "OUT"),
        (PollFlags::PRI, "PRI"),
        (PollFlags::HUP, "HUP"),
        (PollFlags::ERR, "ERR"),
    ];
    let there = names.iter().filter(|(event, _)| said.contains(*event));
    there.map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
}

/// Runs the cells of one situation, compares, and prints a line of the table, for
/// `scripts/conventions`.
fn compare(name: &str, calls: &[Call], ground: impl Fn() -> Ground) {
    let mut line = String::new();
    let mut answers = [Call::Read, Call::Write].map(|call| (call, "-".to_owned()));
    for (call, answer) in &mut answers {
        if !calls.contains(call) {
            continue;
        }
        let ground = ground();
        let said = ground.session.poll(BOTH | PollFlags::PRI, 0);
        let ready = said.contains(call.event());
        let mut done = call.make(&ground.session);
        if ground.below_watermark && !ready && done.is_ok() {
            // A call that must not wait takes what is there; one that may, waits.
            let_block(&ground.session);
            let gone = || ground.driver().unpublish();
            woken_by(call.number(), || call.make(&ground.session), gone)
                .expect_err("it waits until the driver is gone");
            done = Err(Errno::AGAIN);
        }
        let waits = done == Err(Errno::AGAIN);
        *answer = words(done);
        line = events(said);
        assert_eq!(
            ready, !waits,
            "{name}: poll says {line}, {call:?}: {answer}"
        );
        let moved = *call == Call::Read && done.is_ok_and(|len| len != 0);
        let error = said.contains(PollFlags::ERR);
        assert!(!(moved && error), "{name}: an error, and {answer}");
    }
    println!(
        "table: {name} | {line} | {} | {}",
        answers[0].1, answers[1].1
    );
}

fn let_block(session: &Session) {
    let flags = fcntl_getfl(session.as_fd()).expect("fcntl");
    fcntl_setfl(session.as_fd(), flags - OFlags::NONBLOCK).expect("fcntl");
}

/// What is in a queue of entries.
const CONTENTS: [&str; 9] = [
    "empty",
    "one",
    "full",
    "one taken",
    "half read",
    "one without bytes",
    "one without bytes and one",
    "below the watermark",
    "below the watermark, half read",
];

fn queues() {
    let nodes: [(&str, (u64, u64), &[Call]); 4] = [
        ("output", (4096, 0), &[Call::Read]),
        ("overwriting output", (4096, 0), &[Call::Read]),
        ("input", (0, 4096), &[Call::Write]),
        ("both", (4096, 4096), &[Call::Read, Call::Write]),
    ];
    for (node, (output, input), calls) in nodes {
        for content in CONTENTS {
            if content == "full" && node.starts_with("overwriting") {
                // It never is.
                continue;
            }
            for end in ["there", "reset", "gone"] {
                let name = format!("{node}, {content}, {end}");
                compare(&name, calls, || {
                    let driver = if node == "overwriting output" {
                        Driver::overwriting(output)
                    } else {
                        Driver::new(output, input)
                    };
                    let mut ground = Ground::new(driver);
                    fill_queues(&mut ground, content, output != 0, input != 0);
                    match end {
                        "gone" => {
                            ground.driver().unpublish();
                            ground.below_watermark = false;
                        }
                        "reset" => {
                            for (there, direction) in [(output, OUTPUT), (input, INPUT)] {
                                if there != 0 {
                                    ground.session.reset(direction).unwrap();
                                }
                            }
                            ground.below_watermark = false;
                        }
                        _ => {}
                    }
                    ground
                });
            }
        }
    }
}

fn fill_queues(ground: &mut Ground, content: &str, output: bool, input: bool) {
    let (session, driver) = (&ground.session, ground.driver.as_ref().expect("a driver"));
    match content {
        "one" | "one taken" => {
            if output {
                driver.command("enqueue 24");
            }
            if input {
                session.write_entry(&[3; 24]);
            }
            if content == "one taken" {
                if output {
                    session.read_entry();
                }
                if input {
                    driver.command("dequeue 24");
                }
            }
        }
        "half read" if output => {
            driver.command("enqueue 24");
            assert_eq!(session.read(&mut [0; 4]), Ok(4));
        }
        "one without bytes" | "one without bytes and one" if output => {
            driver.command("enqueue 0");
            if content.ends_with("and one") {
                driver.command("enqueue 24");
            }
        }
        "full" => {
            if output {
                driver.command("fill 24");
            }
            if input {
                while session.write(&[3; 24]).is_ok() {}
            }
        }
        "below the watermark" if output => {
            session.watermark(1024, 0).unwrap();
            driver.command("enqueue 24");
            ground.below_watermark = true;
        }
        "below the watermark, half read" if output => {
            session.watermark(1024, 0).unwrap();
            driver.command("enqueue 24");
            assert_eq!(session.read(&mut [0; 4]), Ok(4));
        }
        _ => {}
    }
}

fn streams() {
    let modes: [(&str, &[Call], &[&str]); 3] = [
        (
            "output",
            &[Call::Read],
            &[
                "nothing",
                "data",
                "empty",
                "two empty",
                "empty and data",
                "half read",
            ],
        ),
        (
            "input",
            &[Call::Write],
            &["nothing", "all sent", "one back"],
        ),
        (
            "input-output",
            &[Call::Read, Call::Write],
            &[
                "nothing",
                "data",
                "empty",
                "two empty",
                "empty and data",
                "data and empty",
                "half read",
                "read",
            ],
        ),
    ];
    let states = [
        "new",
        "running",
        "suspended",
        "stopped",
        "started again",
        "drained",
        "gone",
    ];
    for (mode, calls, contents) in modes {
        for content in contents {
            for state in states {
                if state == "new" && *content != "nothing" {
                    continue;
                }
                let name = format!("{mode}, {state}, {content}");
                compare(&name, calls, || stream(mode, state, content));
            }
        }
    }
}

fn stream(mode: &str, state: &str, content: &str) -> Ground {
    let ground = Ground::new(Driver::stream(&format!("{mode} 3 64")));
    let (session, driver) = (&ground.session, ground.driver());
    if state == "new" {
        return ground;
    }
    session.start().unwrap();
    let send = |len| driver.send_buffer(len);
    match content {
        "data" | "half read" | "read" => send(8),
        "empty" => send(0),
        "two empty" => (0..2).for_each(|_| send(0)),
        "empty and data" => (send(0), send(8)).0,
        "data and empty" => (send(8), send(0)).0,
        "all sent" | "one back" => {
            while session.write(b"sent").is_ok() {}
            if content == "one back" {
                driver.command("receive");
                driver.command("release-all");
            }
        }
        _ => {}
    }
    match content {
        "half read" => assert_eq!(session.read(&mut [0; 4]), Ok(4)),
        "read" => assert_eq!(session.read(&mut [0; 8]), Ok(8)),
        _ => {}
    }
    match state {
        "suspended" => session.suspend().unwrap(),
        "stopped" => _ = session.stop().unwrap(),
        "started again" => {
            session.stop().unwrap();
            session.start().unwrap();
        }
        "drained" => {
            while driver.tell("receive").is_ok() {}
            driver.command("release-all");
            session.drain(0).unwrap();
        }
        "gone" => driver.unpublish(),
        _ => {}
    }
    ground
}

fn built_in() {
    let all = [Call::Read, Call::Write];
    let ground = |session| Ground {
        session,
        driver: None,
        below_watermark: false,
    };
    let flags = OFlags::RDWR | OFlags::NONBLOCK;
    compare("built-in, before set-up", &all, || {
        ground(Session::open("/dev/iostream", flags).unwrap())
    });
    compare("built-in echo, empty", &all, || {
        ground(Session::nonblocking(echo(4096)))
    });
    compare("built-in source, empty", &all[..1], || {
        ground(Session::nonblocking(source(4096, 16, 16, 0)))
    });
    compare(
        "built-in source that overwrites, overrun",
        &all[..1],
        || {
            let mut setup = source(4096, 16, 16, 0);
            setup.flags |= IOSTREAM_SETUP_OVERWRITE;
            let ground = ground(Session::nonblocking(setup));
            ground.session.run(1000).1.unwrap();
            ground
        },
    );
    // A direction that is not there is never ready, although the call fails at once.
    let source = Session::nonblocking(source(4096, 16, 16, 0));
    assert_eq!(source.poll(BOTH, 0), PollFlags::empty());
    assert_eq!(source.write(b"x"), Err(Errno::NXIO));
}

/// The last data of a driver that is gone are read to the end by a program that gives up at the
/// first error.
fn no_error_with_data() {
    let queue = Driver::new(4096, 4096);
    let session = queue.open_nonblocking();
    (0..3).for_each(|_| queue.command("enqueue 24"));
    assert_eq!(read_until_error(&session, &queue), 3);
    drop((session, queue));
    let stream = Driver::stream("output 3 64");
    let session = stream.open_nonblocking();
    session.start().unwrap();
    stream.command("produce 3 24");
    assert_eq!(read_until_error(&session, &stream), 3);
}

fn read_until_error(session: &Session, driver: &Driver) -> usize {
    driver.unpublish();
    let mut reads = 0;
    loop {
        let said = session.poll(PollFlags::IN, 0);
        assert!(said.contains(PollFlags::HUP), "{said:?}");
        if said.contains(PollFlags::ERR) {
            assert_eq!(session.read(&mut [0; 64]), Err(Errno::NODEV));
            return reads;
        }
        assert_eq!(session.read(&mut [0; 64]), Ok(24), "{said:?}");
        reads += 1;
    }
}
