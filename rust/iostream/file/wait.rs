// SPDX-License-Identifier: GPL-2.0

//! Waiting inside the calls of a process.

use kernel::prelude::*;

use crate::{bindings, node::session::OpenMode, queue::Queue, sync::wait::Deadline};

/// Waits until `is_ready` returns true or the driver is gone. `is_ready` depends on what the
/// kernel's end of `queue` publishes.
///
/// # Errors
///
/// `EAGAIN`: not ready, and the call must not wait; `ENODEV`: the driver is gone and nothing is
/// left to read; `EINTR`: a signal came.
pub(crate) fn wait_until(
    queue: &Queue,
    open_mode: OpenMode,
    is_ready: impl Fn() -> bool,
) -> Result {
    queue.notify.arm();
    // Callers look again after this. SIGKILL ends that even if each look finds nothing.
    // SAFETY: The function has no preconditions.
    if unsafe { bindings::iostream_fatal_signal_pending() } {
        return Err(ERESTARTSYS);
    }
    let ready = || queue.is_gone() || is_ready();
    if open_mode.nonblocking {
        return if queue.is_gone() {
            Err(ENODEV)
        } else if ready() {
            Ok(())
        } else {
            Err(EAGAIN)
        };
    }
    let woken = queue.notify.user.wait(true, Deadline::NEVER, || {
        // A wake-up takes the arming. So before the task goes back to sleep it arms again, and then
        // looks again.
        ready() || {
            queue.notify.arm();
            ready()
        }
    });
    // Nothing was moved, so the kernel may restart the call after the signal handler.
    woken.map_err(|_| ERESTARTSYS)?;
    // A process can still read what the driver left behind.
    if queue.is_gone() && !queue.is_ready().unwrap_or(false) {
        return Err(ENODEV);
    }
    Ok(())
}

/// The error of a call that nothing but the end of its sleep has ended. A freezer (of a control group,
/// or before the machine sleeps), a tracer and SIGSTOP end a sleep, too, and leave no handler to run:
/// then the call is made once more, as poll(2) is. A handler makes it fail with `EINTR`.
#[cold]
#[inline(never)]
pub(super) fn restarted_without_handler(error: Error) -> Error {
    if error == EINTR && kernel::current!().signal_pending() {
        return ERESTARTNOHAND;
    }
    error
}
