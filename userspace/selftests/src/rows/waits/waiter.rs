// SPDX-License-Identifier: MIT OR Apache-2.0

//! The thread that waits.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::*};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::ground::{bound, Ground};
use super::means::Means;
use super::outcome::Outcome;
use crate::support::waiting::this_thread;

/// A thread that registers with a node, and then waits as often as it is told.
pub struct Waiter {
    means: &'static Means,
    task: PathBuf,
    thread: libc::pthread_t,
    handle: Option<JoinHandle<()>>,
    go: Option<Sender<()>>,
    begun: Receiver<()>,
    ended: Receiver<Outcome>,
    /// Whether the last wait has ended.
    over: Arc<AtomicBool>,
}

extern "C" fn ignore(_: libc::c_int) {}

/// Sets the handlers: SIGUSR1 lets no call restart, SIGUSR2 lets calls restart.
fn catch_signals() {
    for (signal, flags) in [(libc::SIGUSR1, 0), (libc::SIGUSR2, libc::SA_RESTART)] {
        // SAFETY: The handler does nothing.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = ignore as extern "C" fn(libc::c_int) as usize;
            action.sa_flags = flags;
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
}

impl Waiter {
    /// Starts the thread, which does nothing yet.
    pub fn new(means: &'static Means, ground: &Arc<Ground>) -> Self {
        catch_signals();
        let ((go, told), (tell_begun, begun)) = (channel(), channel());
        let ((tell, ended), (name, named)) = (channel(), channel());
        let over = Arc::new(AtomicBool::new(false));
        let (ground, tell_over) = (ground.clone(), over.clone());
        let handle = std::thread::spawn(move || {
            // SAFETY: No preconditions.
            let thread = unsafe { libc::pthread_self() };
            name.send((this_thread(), thread)).expect("the cell hears");
            if told.recv().is_err() {
                return;
            }
            let mut wait = (means.begin)(&ground);
            tell_begun.send(()).expect("the cell hears");
            while told.recv().is_ok() {
                let outcome = wait();
                tell_over.store(true, Release);
                if tell.send(outcome).is_err() {
                    return;
                }
            }
        });
        let (task, thread) = named.recv().expect("the thread's name");
        Self {
            means,
            task,
            thread,
            handle: Some(handle),
            go: Some(go),
            begun,
            ended,
            over,
        }
    }

    /// How the thread waits.
    pub fn means(&self) -> &'static Means {
        self.means
    }

    /// Lets the thread register.
    pub fn begin(&self) {
        self.go();
        self.begun.recv().expect("the means can begin");
    }

    /// Lets the thread wait once.
    pub fn go(&self) {
        self.over.store(false, Release);
        let go = self.go.as_ref().expect("the thread is not abandoned");
        go.send(()).expect("the thread hears");
    }

    /// Waits until the thread sleeps in its system call.
    ///
    /// # Panics
    ///
    /// If it does not sleep.
    pub fn wait_asleep(&self) {
        if let Some(outcome) = self.ends_unseen() {
            panic!("it does not sleep: {outcome:?}");
        }
    }

    /// Waits until the thread sleeps in its system call, or has ended its wait unseen. Returns how.
    ///
    /// # Panics
    ///
    /// If it does neither.
    pub fn ends_unseen(&self) -> Option<Outcome> {
        if self.means.calls.is_empty() {
            // The kernel remembers the wait; no thread sleeps.
            return None;
        }
        let start = Instant::now();
        loop {
            let doing = std::fs::read_to_string(self.task.join("syscall")).unwrap_or_default();
            let number = doing.split(' ').next().and_then(|word| word.parse().ok());
            if number.is_some_and(|number: libc::c_long| self.means.calls.contains(&number)) {
                return None;
            }
            match self.ended.try_recv() {
                Ok(outcome) => return Some(outcome),
                Err(TryRecvError::Disconnected) => panic!("the waiting thread panicked"),
                Err(TryRecvError::Empty) => {}
            }
            assert!(start.elapsed() < 2 * bound(), "not asleep in time: {doing}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// How the wait ended, within a bound that is longer than the wait's own time-out.
    ///
    /// # Errors
    ///
    /// What went wrong, in words.
    pub fn outcome(&self) -> Result<Outcome, String> {
        match self.ended.recv_timeout(bound() + bound() / 2) {
            Ok(outcome) => Ok(outcome),
            Err(RecvTimeoutError::Timeout) => Err("not woken".into()),
            Err(RecvTimeoutError::Disconnected) => Err("the waiting thread panicked".into()),
        }
    }

    /// Whether the last wait has ended.
    pub fn has_ended(&self) -> bool {
        self.over.load(Acquire)
    }

    /// Sends the thread a signal.
    pub fn signal(&self, signal: libc::c_int) {
        // SAFETY: The thread has not been joined, so the id is valid.
        unsafe { libc::pthread_kill(self.thread, signal) };
    }

    /// Ends the thread even if it still waits.
    pub fn abandon(mut self, ground: &Ground) {
        self.go = None;
        let Some(handle) = self.handle.take() else {
            return;
        };
        let start = Instant::now();
        let mut removed = false;
        while !handle.is_finished() {
            let waited = start.elapsed();
            if waited > Duration::from_millis(200) {
                self.signal(libc::SIGUSR1);
            }
            if waited > Duration::from_millis(400) && !removed {
                ground.abandon();
                removed = true;
            }
            if waited > 3 * bound() {
                // The end of the process ends the thread.
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = handle.join();
    }
}
