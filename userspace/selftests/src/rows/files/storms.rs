// SPDX-License-Identifier: MIT OR Apache-2.0

//! F-04: whoever makes a call can be killed in it while other holders of the descriptor, or the driver,
//! do one thing over and over.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use iostream_raw::{echo, occupied, page, source, Session, INPUT, OUTPUT};
use iostream_ring::uapi::*;
use rustix::event::PollFlags;
use rustix::io::{ioctl_fionread, preadv2, pwritev2, ReadWriteFlags};
use rustix::pipe::pipe;

use crate::clause::Clause;
use crate::support::driver::Driver;
use crate::support::race::RacePoint;

pub const CLAUSES: &[Clause] = &[
    Clause::slow("F-04/killed-in-a-storm", 120, killed),
    Clause::slow("F-04/killed-among-empty-entries", 120, among_empty_entries),
    Clause::new("F-04/killed-among-empty-buffers", among_empty_buffers),
];

/// How often the storm is made before the child is killed.
const ROUNDS: u32 = 50;

/// The offset that means the file's own position.
const HERE: u64 = u64::MAX;

/// Something that is done to a session over and over. What the kernel answers does not matter.
struct Act {
    what: &'static str,
    make: fn(&Session),
}

/// Calls that wait for as long as there is nothing, or nobody takes anything.
const CALLS: &[Act] = &[
    Act {
        what: "read",
        make: |session| {
            let _ = session.read(&mut [0; 64]);
        },
    },
    Act {
        what: "write",
        make: |session| {
            let _ = session.write(&[2; 64]);
        },
    },
    Act {
        what: "poll",
        make: |session| {
            session.poll(PollFlags::PRI, -1);
        },
    },
    Act {
        what: "FIONREAD",
        make: |session| {
            let _ = ioctl_fionread(session);
        },
    },
    Act {
        what: "fsync",
        make: |session| {
            let _ = rustix::fs::fsync(session);
        },
    },
    Act {
        what: "drain",
        make: |session| {
            let _ = session.drain(0);
        },
    },
    Act {
        what: "run",
        make: |session| {
            let _ = session.run_for(0, 0);
        },
    },
];

/// Calls that do not wait, or not for long.
const STORMS: &[Act] = &[
    Act {
        what: "reads",
        make: |session| {
            let mut bytes = [0; 64];
            let slices = &mut [IoSliceMut::new(&mut bytes)];
            let _ = preadv2(session, slices, HERE, ReadWriteFlags::NOWAIT);
        },
    },
    Act {
        what: "writes",
        make: |session| {
            let slices = &[IoSlice::new(&[1; 64])];
            let _ = pwritev2(session, slices, HERE, ReadWriteFlags::NOWAIT);
        },
    },
    Act {
        what: "notices",
        make: |session| {
            let _ = session.notify(OUTPUT);
            let _ = session.notify(INPUT | IOSTREAM_NOTIFY_FLUSH);
        },
    },
    Act {
        what: "resets",
        make: |session| {
            let _ = session.reset(OUTPUT);
            let _ = session.reset(INPUT);
        },
    },
    Act {
        what: "watermarks",
        make: |session| {
            let _ = session.watermark(128, 1_000_000);
            let _ = session.watermark(0, 0);
        },
    },
    Act {
        what: "reading modes",
        make: |session| {
            for flags in [IOSTREAM_READ_WHOLE, 0] {
                let _ = session.pass_number(IOSTREAM_IOC_READ_MODE, flags as usize);
            }
        },
    },
    Act {
        what: "runs",
        make: |session| {
            let _ = session.run_for(100, 1_000_000);
        },
    },
    Act {
        what: "starts and stops",
        make: |session| {
            let _ = session.start();
            let _ = session.stop();
        },
    },
    Act {
        what: "suspensions",
        make: |session| {
            let _ = session.suspend();
            let _ = session.start();
        },
    },
    Act {
        what: "modes",
        make: |session| {
            let _ = session.set_mode(IOSTREAM_MODE_OUTPUT);
            let _ = session.set_mode(IOSTREAM_MODE_INPUT_OUTPUT);
        },
    },
];

/// Each call, in a storm of each of the others, on each kind of node.
fn killed() {
    let queues = Driver::new(4096, 4096);
    each_cell("a driver's queues", &queues.open());
    drop(queues);
    let stream = Driver::stream("input-output 2 64");
    each_cell("a stream", &stream.open());
    each_cell("an echo", &Session::new(echo(page())));
    each_cell("a source", &Session::new(source(page(), 24, 24, 0)));
}

fn each_cell(node: &str, session: &Session) {
    for storm in STORMS {
        for call in CALLS {
            println!("# {} of {node}, in a storm of {}", call.what, storm.what);
            kill_during(session, call, storm);
        }
    }
}

/// A child that makes a call over and over.
struct Caller(libc::pid_t);

impl Caller {
    fn new(session: &Session, call: &Act) -> Self {
        let (hear, tell) = pipe().map(|(r, w)| (File::from(r), File::from(w))).unwrap();
        // SAFETY: This process has one thread.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            (&tell).write_all(b"+").unwrap();
            loop {
                (call.make)(session);
            }
        }
        (&hear).read_exact(&mut [0]).expect("the child begins");
        Self(child)
    }

    fn kill(&self) {
        // SAFETY: The child is this process's own and was not waited for.
        assert_eq!(unsafe { libc::kill(self.0, libc::SIGKILL) }, 0);
    }

    /// Whether the child is gone, after its end if `options` is 0.
    fn is_gone(&self, options: libc::c_int) -> bool {
        let mut status = 0;
        // SAFETY: The child is this process's own and was not waited for.
        let gone = unsafe { libc::waitpid(self.0, &mut status, options) } == self.0;
        assert!(!gone || libc::WIFSIGNALED(status));
        gone
    }
}

/// Kills a child that makes a call over and over, while two threads make a storm.
fn kill_during(session: &Session, call: &Act, storm: &Act) {
    let child = Caller::new(session, call);
    let (done, is_over) = (AtomicU32::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    (storm.make)(session);
                    done.fetch_add(1, Relaxed);
                }
            });
        }
        while done.load(Relaxed) < ROUNDS {
            std::thread::yield_now();
        }
        child.kill();
        // The time-out of the clause ends it if the child cannot be killed.
        assert!(child.is_gone(0));
        is_over.store(true, Relaxed);
    });
}

/// Each time that the reader has passed an empty entry over, there is another one.
fn among_empty_entries() {
    for call in ["read", "FIONREAD"] {
        let driver = Driver::new(4096, 0);
        let lap = page() / occupied(0);
        among_empty(call, &driver.open(), lap, &|| {
            driver.command("enqueue 0");
        });
    }
}

/// The same with buffers.
fn among_empty_buffers() {
    for call in ["read", "FIONREAD"] {
        let driver = Driver::stream("output 4 64");
        let session = driver.open();
        session.start().expect("start");
        among_empty(call, &session, 4, &|| driver.send_buffer(0));
    }
}

/// Kills a child in a call that passes over what the driver sends, and sends on for two laps.
fn among_empty(call: &str, session: &Session, lap: u64, send: &dyn Fn()) {
    let point = RacePoint::set("passed-over");
    send();
    let call = CALLS.iter().find(|one| one.what == call);
    let child = Caller::new(session, call.expect("it is listed"));
    point.wait_held();
    child.kill();
    for _ in 0..2 * lap {
        send();
        point.hold_next();
        while !point.is_held() {
            if child.is_gone(libc::WNOHANG) {
                return;
            }
            std::thread::yield_now();
        }
    }
    panic!("killed, it goes on as long as the driver sends");
}
