// SPDX-License-Identifier: MIT OR Apache-2.0

//! The node of a cell, the session that all threads of the cell share, and the record of their
//! calls.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use iostream_raw::{echo, Input, Output, Session, INPUT, OUTPUT};
use rustix::fs::OFlags;
use rustix::io::{Errno, Result};

use super::calls::{Act, Call, Sort};
use crate::support::driver::Driver;
use crate::support::module;

/// Bytes of each entry and of each piece of data in a buffer.
pub const ENTRY: usize = 24;
/// Bytes of each queue of entries.
pub const QUEUE_BYTES: u64 = 4096;
/// The driver that is loaded and unloaded.
const TICKER: &str = "iostream_ticker";

/// The kind of node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A queue in each direction, used by read(2) and write(2).
    Queues,
    /// The same, used by a process that has mapped its ends.
    Mapped,
    /// A stream that the driver fills, and whose mode can be changed.
    Output,
    /// A stream that the client fills.
    Input,
    /// A stream that both fill.
    InputOutput,
    /// A session of `/dev/iostream`.
    Echo,
    /// The node of a driver whose module comes and goes.
    Module,
}

pub const KINDS: [Kind; 7] = [
    Kind::Queues,
    Kind::Output,
    Kind::Input,
    Kind::InputOutput,
    Kind::Mapped,
    Kind::Echo,
    Kind::Module,
];

impl Kind {
    pub fn is_stream(self) -> bool {
        matches!(self, Self::Output | Self::Input | Self::InputOutput)
    }

    /// Whether the test driver has published queues of entries.
    pub fn has_entries(self) -> bool {
        matches!(self, Self::Queues | Self::Mapped)
    }

    /// Whether the test driver has published the node.
    pub fn has_driver(self) -> bool {
        self.is_stream() || self.has_entries()
    }

    /// Whether there is an input queue, or buffers for the client to fill.
    pub fn has_input(self) -> bool {
        self != Self::Module
    }

    /// How the driver is told to publish the node, after its name.
    fn plan(self) -> &'static str {
        match self {
            Self::Output => "shared-output 3 64 queue=16",
            Self::Input => "input 3 64 queue=16",
            Self::InputOutput => "input-output 3 64 queue=16",
            // A close gives the driver a moment to take what waits.
            _ => "4096 4096 drain=1",
        }
    }
}

/// What the tour does where it rests.
const GOES: u32 = 0;
const RESTS: u32 = 1;
const PASSES_QUIET: u32 = 2;
const PASSES: u32 = 3;

/// Where a cell takes place.
pub struct Ground {
    pub kind: Kind,
    driver: Option<Driver>,
    session: Mutex<Option<Arc<Session>>>,
    /// The ends that the process has mapped.
    ends: Mutex<Option<(Output, Input)>>,
    calls: Mutex<Vec<Call>>,
    /// Counts the beginnings and ends of calls.
    clock: AtomicU64,
    /// How many calls have begun and not ended.
    under_way: AtomicU64,
    rest: AtomicU32,
}

/// A cell that failed in another thread is still cleaned up.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The state at the start of a cell.
static BEGIN: Sort = Sort {
    act: Act::Begin,
    may: &[],
};

impl Drop for Ground {
    fn drop(&mut self) {
        if self.kind == Kind::Module && module::is_loaded(TICKER) {
            let _ = self.close();
            module::remove(TICKER);
        }
    }
}

impl Ground {
    /// Publishes the node.
    pub fn new(kind: Kind) -> Self {
        let driver = match kind {
            kind if kind.is_stream() => Some(Driver::unpublished_stream()),
            kind if kind.has_entries() => Some(Driver::unpublished()),
            _ => None,
        };
        let ground = Self {
            kind,
            driver,
            session: Mutex::new(None),
            ends: Mutex::new(None),
            calls: Mutex::new(Vec::new()),
            clock: AtomicU64::new(0),
            under_way: AtomicU64::new(0),
            rest: AtomicU32::new(GOES),
        };
        ground.call("begin", &BEGIN, |ground| match kind {
            Kind::Echo => Ok(0),
            _ => ground.publish(),
        });
        assert_eq!(ground.calls()[0].result, Ok(0), "publish");
        ground
    }

    /// Makes a call, and records it.
    pub fn call(
        &self,
        name: &'static str,
        sort: &'static Sort,
        run: impl FnOnce(&Self) -> Result<u64>,
    ) {
        self.under_way.fetch_add(1, SeqCst);
        let begin = self.clock.fetch_add(1, SeqCst);
        let result = run(self);
        let end = self.clock.fetch_add(1, SeqCst);
        lock(&self.calls).push(Call {
            name,
            sort,
            begin,
            end,
            result,
        });
        self.under_way.fetch_sub(1, SeqCst);
    }

    /// The calls that have ended.
    pub fn calls(&self) -> MutexGuard<'_, Vec<Call>> {
        lock(&self.calls)
    }

    /// Changes with each call that begins or ends.
    pub fn moment(&self) -> u64 {
        self.clock.load(SeqCst)
    }

    /// The moment, if no call is under way.
    pub fn quiet_moment(&self) -> Option<u64> {
        (self.under_way.load(SeqCst) == 0).then(|| self.moment())
    }

    /// The tour rests until [`Self::let_pass`]. Returns whether no other call is under way.
    pub fn rest(&self) -> bool {
        self.rest.store(RESTS, SeqCst);
        loop {
            match self.rest.load(SeqCst) {
                RESTS => std::thread::yield_now(),
                passes => {
                    self.rest.store(GOES, SeqCst);
                    return passes == PASSES_QUIET;
                }
            }
        }
    }

    pub fn rests(&self) -> bool {
        self.rest.load(SeqCst) == RESTS
    }

    pub fn let_pass(&self, quiet: bool) {
        let passes = if quiet { PASSES_QUIET } else { PASSES };
        self.rest.store(passes, SeqCst);
    }

    /// Tells the driver to do something. Returns 1.
    ///
    /// # Errors
    ///
    /// What the driver got; `ENXIO` without a driver.
    pub fn tell(&self, command: &str) -> Result<u64> {
        self.driver().tell(command).map(|()| 1)
    }

    /// The test driver.
    pub fn driver(&self) -> &Driver {
        self.driver.as_ref().expect("this kind has a driver")
    }

    /// The node's name.
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Module => "ticker",
            Kind::Echo => "iostream",
            _ => "selftest",
        }
    }

    /// Publishes the node.
    ///
    /// # Errors
    ///
    /// Whatever the driver says if it is published already.
    pub fn publish(&self) -> Result<u64> {
        if self.kind == Kind::Module {
            let done = module::insert(TICKER, &[]);
            return if done.status.success() {
                Ok(0)
            } else {
                Err(Errno::EXIST)
            };
        }
        let plan = self.kind.plan();
        self.tell(&format!("publish selftest {plan}")).map(|_| 0)
    }

    /// Removes the node.
    ///
    /// # Errors
    ///
    /// What the driver got.
    pub fn unpublish(&self) -> Result<u64> {
        if self.kind == Kind::Module {
            let done = module::remove(TICKER);
            return if done.status.success() {
                Ok(0)
            } else {
                Err(Errno::NOENT)
            };
        }
        self.tell("unpublish").map(|_| 0)
    }

    /// Opens the node for all threads of the cell; calls do not block.
    ///
    /// # Errors
    ///
    /// Those of open(2).
    pub fn open(&self) -> Result<u64> {
        let session = self.open_another()?;
        *lock(&self.session) = Some(Arc::new(session));
        Ok(0)
    }

    /// Opens the node for the caller.
    ///
    /// # Errors
    ///
    /// Those of open(2); `ENOENT` and `ENXIO` if the node is not there.
    pub fn open_another(&self) -> Result<Session> {
        let path = match self.kind {
            Kind::Echo => "/dev/iostream".into(),
            _ => iostream_raw::node_called(self.name()).ok_or(Errno::NOENT)?,
        };
        Session::open(path, OFlags::RDWR | OFlags::NONBLOCK)
    }

    /// The session.
    ///
    /// # Errors
    ///
    /// `EBADF`: there is none.
    pub fn session(&self) -> Result<Arc<Session>> {
        lock(&self.session).clone().ok_or(Errno::BADF)
    }

    /// Sets up an echo.
    ///
    /// # Errors
    ///
    /// Those of `IOSTREAM_IOC_SETUP`.
    pub fn set_up(&self) -> Result<u64> {
        self.session()?.setup(echo(QUEUE_BYTES)).map(|()| 0)
    }

    /// Closes the session, even if another thread is in a call of it: the descriptor becomes one of
    /// /dev/null.
    ///
    /// # Errors
    ///
    /// `EBADF`: there is none.
    pub fn close(&self) -> Result<u64> {
        let session = lock(&self.session).take().ok_or(Errno::BADF)?;
        drop(lock(&self.ends).take());
        let null = std::fs::File::open("/dev/null").expect("/dev/null");
        // SAFETY: Both are open descriptors; the session stays one, of another file.
        let done = unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&null), session.raw_fd()) };
        assert!(done >= 0, "dup2");
        Ok(0)
    }

    /// Maps the client's ends.
    ///
    /// # Errors
    ///
    /// Those of mmap(2).
    pub fn map_ends(&self) -> Result<u64> {
        let session = self.session()?;
        let ends = (Output::try_new(&session)?, Input::try_new(&session)?);
        *lock(&self.ends) = Some(ends);
        Ok(0)
    }

    /// Takes an entry out by the mapping, and notifies the driver if it waits for room. Returns how
    /// many were there.
    ///
    /// # Errors
    ///
    /// Those of `IOSTREAM_IOC_NOTIFY`.
    pub fn take_mapped(&self) -> Result<u64> {
        let session = self.session()?;
        let (taken, wake) = {
            let mut ends = lock(&self.ends);
            let (output, _) = ends.as_mut().ok_or(Errno::BADF)?;
            (output.take().is_some(), output.must_notify())
        };
        if wake {
            session.notify(OUTPUT)?;
        }
        Ok(taken.into())
    }

    /// Puts an entry in by the mapping, and notifies the driver if it waits for it. Returns how many
    /// fitted.
    ///
    /// # Errors
    ///
    /// Those of `IOSTREAM_IOC_NOTIFY`.
    pub fn put_mapped(&self) -> Result<u64> {
        let session = self.session()?;
        let (put, wake) = {
            let mut ends = lock(&self.ends);
            let (_, input) = ends.as_mut().ok_or(Errno::BADF)?;
            let put = input.put(&[5; ENTRY]);
            input.publish();
            (put, input.must_notify())
        };
        if wake {
            session.notify(INPUT)?;
        }
        Ok(put.into())
    }

    /// The ends after a reset: they begin anew.
    pub fn renew_ends(&self) {
        drop(lock(&self.ends).take());
    }

    /// The directions that have a queue: a stream has both.
    pub const DIRECTIONS: [u32; 2] = [INPUT, OUTPUT];
}
