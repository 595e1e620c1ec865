// SPDX-License-Identifier: MIT OR Apache-2.0

//! Calls that only a signal ends.

extern "C" fn ignore(_: libc::c_int) {}

/// Sets a handler without SA_RESTART, so that a signal makes calls fail with EINTR.
fn catch_signal() {
    // SAFETY: The handler does nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = ignore as extern "C" fn(libc::c_int) as usize;
        libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut());
    }
}

/// Runs a call that does not end by itself, ends it with a signal, and returns its result.
pub fn ended_by_signal<T: Send>(call: impl FnOnce() -> T + Send) -> T {
    catch_signal();
    std::thread::scope(|scope| {
        let (tell, told) = std::sync::mpsc::channel();
        let caller = scope.spawn(move || {
            // SAFETY: No preconditions.
            tell.send(unsafe { libc::pthread_self() }).unwrap();
            call()
        });
        let thread = told.recv().unwrap();
        // Repeated, since a signal that comes before the call does nothing.
        while !caller.is_finished() {
            // SAFETY: The thread has not been joined, so the id is valid.
            unsafe { libc::pthread_kill(thread, libc::SIGUSR1) };
            std::thread::yield_now();
        }
        caller.join().unwrap()
    })
}
