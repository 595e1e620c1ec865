// SPDX-License-Identifier: MIT OR Apache-2.0

//! How a command ends early: by a signal, or because another of its threads has failed.
//!
//! A signal writes to a socket, and each wait of the command is one poll(2) that includes its other
//! side. So a signal ends every wait, and without one nothing wakes up.

use std::fs;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level::pipe};

use crate::failure::{Failure, Result};

/// How long after a signal the output may still take what the command has.
const GRACE: Duration = Duration::from_millis(500);

/// How long after a signal the command ends even if a call of the system does not return.
const LAST_RESORT: Duration = Duration::from_millis(900);

/// How long a busy machine may keep the command from running, beyond that time.
const LAST_OF_ALL: Duration = Duration::from_secs(10);

/// How often in a row, and how far apart, the first thread must be found asleep to count as stuck.
const LOOKS: u32 = 3;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Something that happens once, and that poll(2) can wait for.
pub struct Bell {
    ringer: UnixStream,
    ear: UnixStream,
}

impl Bell {
    /// A bell that has not rung.
    pub fn new() -> Result<Self> {
        let (ringer, ear) =
            UnixStream::pair().map_err(|error| Failure::of_file("a pair of sockets", error))?;
        Ok(Self { ringer, ear })
    }

    /// Ends all waits for it, now and later.
    pub fn ring(&self) {
        // Fails only if it has rung already.
        let _ = self.ringer.shutdown(Shutdown::Write);
    }
}

impl AsFd for Bell {
    /// The descriptor that becomes readable.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ear.as_fd()
    }
}

/// Whether to stop, because of a signal or because another thread has failed.
#[derive(Clone)]
pub struct Stop(Arc<Inner>);

struct Inner {
    /// The number of the first signal; 0 if there was none.
    signal: Arc<AtomicUsize>,
    failed: AtomicBool,
    /// When a wait first noticed that it is time to stop.
    noticed: OnceLock<Instant>,
    bell: Bell,
    /// How many system calls the waits made.
    calls: AtomicU64,
}

impl Stop {
    /// One that no signal sets.
    pub fn new() -> Result<Self> {
        Ok(Self(Arc::new(Inner {
            signal: Arc::default(),
            failed: AtomicBool::new(false),
            noticed: OnceLock::new(),
            bell: Bell::new()?,
            calls: AtomicU64::new(0),
        })))
    }

    /// One that SIGHUP, SIGINT and SIGTERM set. The second signal kills the process. A signal that
    /// the process was started with to ignore, as by nohup(1), stays ignored. `json` is how a
    /// failure is said.
    pub fn on_signals(json: bool) -> Result<Self> {
        let stop = Self::new()?;
        let signalled = Bell::new()?;
        let failed = |error| Failure::of_file("signal handler", error);
        let again = Arc::new(AtomicBool::new(false));
        let ignored = ignored_signals();
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            if ignored & (1 << (signal - 1)) != 0 {
                continue;
            }
            // The order matters: the second signal finds the flag set by the first.
            flag::register_conditional_default(signal, again.clone())
                .and_then(|_| flag::register(signal, again.clone()))
                .and_then(|_| {
                    let number = signal.unsigned_abs() as usize;
                    flag::register_usize(signal, stop.0.signal.clone(), number)
                })
                .map_err(failed)?;
            for bell in [&stop.0.bell, &signalled] {
                let ringer = bell.ringer.try_clone().map_err(failed)?;
                pipe::register(signal, ringer).map_err(failed)?;
            }
        }
        let watching = stop.clone();
        thread::Builder::new()
            .name("last resort".to_owned())
            .spawn(move || watching.end_in_any_case(&signalled, json))
            .map_err(failed)?;
        Ok(stop)
    }

    /// Ends the process some time after a signal. Otherwise a call that no signal ends, such as one
    /// that opens a FIFO or writes to a file system that does not answer, would keep it.
    fn end_in_any_case(&self, signalled: &Bell, json: bool) {
        let mut fds = [PollFd::new(signalled, PollFlags::IN)];
        while poll(&mut fds, None).is_err() {}
        thread::sleep(LAST_RESORT);
        self.wait_stuck();
        let failure = self.interrupted();
        let stderr = std::io::stderr();
        let mut stderr = [PollFd::new(&stderr, PollFlags::OUT)];
        if poll(&mut stderr, Some(&Timespec::default())) == Ok(1) {
            crate::report::complain(&Failure::Stuck(self.signal()), json);
        }
        std::process::exit(failure.exit_code().into());
    }

    /// Waits until the first thread is stuck in a call. On a machine that has other work it may be
    /// ready to run and not run, or have noticed the signal late.
    fn wait_stuck(&self) {
        let start = Instant::now();
        let mut asleep = 0;
        while asleep < LOOKS && start.elapsed() < LAST_OF_ALL {
            let noticed = self.0.noticed.get();
            let is_late = noticed.is_some_and(|noticed| noticed.elapsed() < LAST_RESORT);
            asleep = if is_late || is_running() {
                0
            } else {
                asleep + 1
            };
            thread::sleep(BETWEEN_LOOKS);
        }
    }

    /// The number of the signal; 0 if there was none.
    fn signal(&self) -> u8 {
        u8::try_from(self.0.signal.load(Ordering::Relaxed)).unwrap_or(0)
    }

    fn interrupted(&self) -> Failure {
        Failure::Interrupted(self.signal())
    }

    /// Fails once it is time to stop.
    pub fn check(&self) -> Result<()> {
        if self.is_set() {
            return Err(self.interrupted());
        }
        Ok(())
    }

    /// Whether it is time to stop.
    pub fn is_set(&self) -> bool {
        self.signal() != 0 || self.0.failed.load(Ordering::Relaxed)
    }

    /// Stops the other threads of this run.
    pub fn fail(&self) {
        self.0.failed.store(true, Ordering::Relaxed);
        self.0.bell.ring();
    }

    /// How long the output may still take data: `None` as long as it is not time to stop.
    pub fn grace(&self) -> Option<Duration> {
        if !self.is_set() {
            return None;
        }
        let noticed = self.0.noticed.get_or_init(Instant::now);
        Some(GRACE.saturating_sub(noticed.elapsed()))
    }

    /// How many system calls the waits have made.
    pub fn calls(&self) -> u64 {
        self.0.calls.load(Ordering::Relaxed)
    }

    /// Sleeps until one of the descriptors is ready, or until the time is over. Returns what each
    /// is ready for.
    ///
    /// Fails once it is time to stop.
    pub fn wait<const N: usize>(
        &self,
        what: [(BorrowedFd<'_>, PollFlags); N],
        timeout: Option<Duration>,
    ) -> Result<[PollFlags; N]> {
        let bell = PollFd::new(&self.0.bell, PollFlags::IN);
        let mut fds = vec![bell];
        fds.extend(
            what.into_iter()
                .map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags)),
        );
        self.poll(&mut fds, timeout)?;
        self.check()?;
        Ok(std::array::from_fn(|i| fds[i + 1].revents()))
    }

    /// Sleeps until one of the descriptors is ready, or until the time is over, even if it is time
    /// to stop.
    pub fn poll(&self, fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> Result<()> {
        let end = timeout.and_then(|time| Instant::now().checked_add(time));
        loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            self.0.calls.fetch_add(1, Ordering::Relaxed);
            match poll(fds, left.as_ref()) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Failure::of_file("poll", errno.into())),
            }
        }
    }

    /// Sleeps. Fails once it is time to stop.
    pub fn sleep(&self, time: Duration) -> Result<()> {
        self.wait([], Some(time)).map(|_| ())
    }
}

/// Whether the first thread of this process runs, or is ready to.
fn is_running() -> bool {
    let pid = std::process::id();
    let stat = fs::read_to_string(format!("/proc/self/task/{pid}/stat")).unwrap_or_default();
    // The name, in parentheses, may contain anything.
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    state.is_some_and(|state| state.starts_with('R'))
}

/// A bit for each signal that this process ignores: bit 0 is signal 1.
fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.unwrap_or(0)
}

/// Fails if nothing has moved for too long.
pub struct Patience {
    limit: Option<Duration>,
    moved: Instant,
}

impl Patience {
    /// Starts with a limit, or without one if it is `None`.
    pub fn new(limit: Option<Duration>) -> Self {
        Self {
            limit,
            moved: Instant::now(),
        }
    }

    /// Starts again, because something has moved.
    pub fn renew(&mut self) {
        if self.limit.is_some() {
            self.moved = Instant::now();
        }
    }

    /// The time that is left; `None` if there is no limit. Fails if the limit is reached.
    pub fn left(&self) -> Result<Option<Duration>> {
        let Some(limit) = self.limit else {
            return Ok(None);
        };
        match limit.checked_sub(self.moved.elapsed()) {
            Some(left) if !left.is_zero() => Ok(Some(left)),
            _ => Err(Failure::TimedOut(limit.as_secs_f64())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_another_thread_fails() {
        let stop = Stop::new().unwrap();
        assert!(stop.check().is_ok() && stop.grace().is_none());
        let other = stop.clone();
        let thread = thread::spawn(move || other.fail());
        assert!(matches!(stop.wait([], None), Err(Failure::Interrupted(0))));
        assert!(stop.grace().is_some());
        thread.join().unwrap();
    }

    #[test]
    fn a_bell_is_heard_after_it_rang() {
        let stop = Stop::new().unwrap();
        let bell = Bell::new().unwrap();
        let wait = |timeout| {
            let [seen] = stop.wait([(bell.as_fd(), PollFlags::IN)], timeout).unwrap();
            seen.contains(PollFlags::IN)
        };
        assert!(!wait(Some(Duration::ZERO)));
        bell.ring();
        bell.ring();
        assert!(wait(None) && wait(None));
    }

    #[test]
    fn patience_ends() {
        assert!(matches!(Patience::new(None).left(), Ok(None)));
        let over = Patience::new(Some(Duration::ZERO));
        assert!(matches!(over.left(), Err(Failure::TimedOut(_))));
    }
}
