// SPDX-License-Identifier: MIT OR Apache-2.0

//! Signals to threads, and calls that only a signal ends.

extern "C" fn ignore(_: libc::c_int) {}

/// Sets a handler without SA_RESTART, so that a signal makes calls fail with EINTR.
///
/// The handler must do only what a signal handler may.
pub fn catch_signal(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) {
    // SAFETY: The caller passes a handler that is one.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as usize;
        libc::sigaction(signal, &action, std::ptr::null_mut());
    }
}

/// A thread to which [`signal`] sends. The thread that makes the value waits until it is signalled.
pub struct ThisThread {
    id: libc::pthread_t,
}

impl ThisThread {
    /// The calling thread.
    pub fn new() -> Self {
        Self {
            // SAFETY: No preconditions.
            id: unsafe { libc::pthread_self() },
        }
    }
}

/// Sends a signal to a thread, which has not ended.
pub fn signal(thread: &ThisThread, signal: libc::c_int) {
    // SAFETY: The thread waits for what the caller does next, so its id is valid.
    unsafe { libc::pthread_kill(thread.id, signal) };
}

/// Runs a call that does not end by itself, ends it with a signal, and returns its result.
pub fn ended_by_signal<T: Send>(call: impl FnOnce() -> T + Send) -> T {
    catch_signal(libc::SIGUSR1, ignore);
    std::thread::scope(|scope| {
        let (tell, told) = std::sync::mpsc::channel();
        let caller = scope.spawn(move || {
            tell.send(ThisThread::new()).unwrap();
            call()
        });
        let thread = told.recv().unwrap();
        // Repeated, since a signal that comes before the call does nothing.
        while !caller.is_finished() {
            signal(&thread, libc::SIGUSR1);
            std::thread::yield_now();
        }
        caller.join().unwrap()
    })
}
