// SPDX-License-Identifier: MIT OR Apache-2.0

//! SystemCalls that only a signal ends.

extern "C" fn ignore(_: libc::c_int) {}

/// A handler without SA_RESTART, so that the call is seen to end.
fn catch_signal() {
    // SAFETY: The handler does nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = ignore as extern "C" fn(libc::c_int) as usize;
        libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut());
    }
}

/// What a call returns that does not end by itself.
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
        // Until it is in the call when the signal comes: before that, it does nothing.
        while !caller.is_finished() {
            // SAFETY: The thread is not joined yet.
            unsafe { libc::pthread_kill(thread, libc::SIGUSR1) };
            std::thread::yield_now();
        }
        caller.join().unwrap()
    })
}
