// SPDX-License-Identifier: MIT OR Apache-2.0

//! The node of a cell, and the session that all threads of the cell share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use iostream_raw::{Session, INPUT, OUTPUT};
use rustix::event::PollFlags;
use rustix::io::{Errno, Result};

use crate::support::driver::Driver;
use crate::support::waiting::{deadline, wait_until, woken_by};

/// Bytes of each entry and of each piece of data in a buffer.
pub const ENTRY: usize = 24;
/// The kind of node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A queue in each direction.
    Queues,
    /// A stream that the driver fills, and whose mode can be changed.
    Output,
    /// A stream that the client fills.
    Input,
}

pub const KINDS: [Kind; 3] = [Kind::Queues, Kind::Output, Kind::Input];

impl Kind {
    pub fn is_stream(self) -> bool {
        self != Self::Queues
    }

    /// How the driver is told to publish the node, after its name.
    fn plan(self) -> &'static str {
        match self {
            Self::Queues => "4096 4096",
            Self::Output => "shared-output 3 64 queue=16",
            Self::Input => "input 3 64 queue=16",
        }
    }
}

/// Where a cell takes place.
pub struct Ground {
    pub kind: Kind,
    pub driver: Driver,
    session: Mutex<Option<Arc<Session>>>,
}

/// A cell that failed in another thread is still cleaned up.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ground {
    /// Publishes the node.
    pub fn new(kind: Kind) -> Self {
        let driver = if kind.is_stream() {
            Driver::unpublished_stream()
        } else {
            Driver::unpublished()
        };
        let ground = Self {
            kind,
            driver,
            session: Mutex::new(None),
        };
        ground.publish().expect("publish");
        ground
    }

    /// Publishes the node.
    ///
    /// # Errors
    ///
    /// Whatever the driver says if it is published already.
    pub fn publish(&self) -> Result<()> {
        let plan = self.kind.plan();
        self.driver.tell(&format!("publish selftest {plan}"))
    }

    /// Opens the node for all threads of the cell; calls do not block.
    ///
    /// # Errors
    ///
    /// Those of open(2).
    pub fn open(&self) -> Result<()> {
        let session = self.open_another()?;
        *lock(&self.session) = Some(Arc::new(session));
        Ok(())
    }

    /// Opens the node for the caller.
    ///
    /// # Errors
    ///
    /// Those of open(2); `ENOENT` and `ENXIO` if the node is not there.
    pub fn open_another(&self) -> Result<Session> {
        let path = iostream_raw::node_called("selftest").ok_or(Errno::NOENT)?;
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NONBLOCK;
        Session::open(path, flags)
    }

    /// The session.
    ///
    /// # Errors
    ///
    /// `EBADF`: there is none.
    pub fn session(&self) -> Result<Arc<Session>> {
        lock(&self.session).clone().ok_or(Errno::BADF)
    }

    /// Closes the session, even if another thread is in a call of it: the descriptor becomes one of
    /// /dev/null.
    pub fn close(&self) -> Result<()> {
        let session = lock(&self.session).take().ok_or(Errno::BADF)?;
        let null = std::fs::File::open("/dev/null").expect("/dev/null");
        // SAFETY: Both are open descriptors; the session stays one, of another file.
        let done = unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&null), session.raw_fd()) };
        assert!(done >= 0, "dup2");
        Ok(())
    }

    /// Checks that the node is as new: it can be opened, moves data both ways where it can, and
    /// wakes who waits.
    pub fn check_works(&self) {
        let _ = self.close();
        let _ = self.driver.tell("release-all-clients");
        let _ = self.driver.tell("enable");
        if iostream_raw::node_called("selftest").is_none() {
            self.publish().expect("publish");
        }
        let start = Instant::now();
        // A session ends when the last thread has left its calls.
        while let Err(error) = self.open() {
            assert_eq!(error, Errno::BUSY, "open");
            assert!(start.elapsed() < deadline(), "the node stays busy");
            std::thread::yield_now();
        }
        let session = self.session().expect("the session");
        if self.kind.is_stream() {
            session.start().expect("start");
        }
        let ready = |events, make: &dyn Fn()| {
            let poll = || session.poll(events, -1);
            assert!(woken_by(libc::SYS_ppoll, poll, make).contains(events));
        };
        if self.kind == Kind::Input {
            while session.write(&[3; ENTRY]).is_ok() {}
            ready(PollFlags::OUT, &|| self.driver.command("consume 1"));
        } else {
            ready(PollFlags::IN, &|| self.produce());
            assert_eq!(session.read(&mut [0; 64]), Ok(ENTRY), "read");
        }
        if self.kind == Kind::Queues {
            session.write_entry(&[3; ENTRY]);
            self.driver.command(&format!("dequeue {ENTRY}"));
        }
        drop(session);
        self.end();
    }

    /// The driver sends something.
    fn produce(&self) {
        let command = match self.kind {
            Kind::Queues => format!("enqueue {ENTRY}"),
            _ => format!("produce 1 {ENTRY}"),
        };
        self.driver.command(&command);
    }

    /// Closes, and checks that no session is left.
    fn end(&self) {
        self.close().expect("the session");
        wait_until("no session is left", || {
            self.driver.attribute("sessions") == 0
        });
    }

    /// The directions that have a queue: a stream has both.
    pub const DIRECTIONS: [u32; 2] = [INPUT, OUTPUT];
}
