// SPDX-License-Identifier: GPL-2.0

//! Waiting inside read(2) and write(2).

use kernel::prelude::*;

use crate::{node::session::Access, queue::Queue};

/// Waits until `is_ready`, which a publication of the kernel's end makes true, or the driver is gone.
///
/// # Errors
///
/// `EAGAIN`: the call must not wait; `ENODEV`; `EINTR`.
pub(crate) fn wait_until(queue: &Queue, access: Access, is_ready: impl Fn() -> bool) -> Result {
    queue.notify.arm();
    let ready = || queue.is_gone() || is_ready();
    if access.nonblocking {
        return match () {
            () if queue.is_gone() => Err(ENODEV),
            () if ready() => Ok(()),
            () => Err(EAGAIN),
        };
    }
    let woken = queue.notify.user.wait(true, None, || {
        // A wake-up takes the arming; who goes back to sleep arms again, and looks after it.
        ready() || {
            queue.notify.arm();
            ready()
        }
    });
    // Nothing was moved: the call may be restarted after the handler.
    woken.map_err(|_| ERESTARTSYS)?;
    // What waits is still read after the driver is gone.
    if queue.is_gone() && !queue.is_ready().unwrap_or(false) {
        return Err(ENODEV);
    }
    Ok(())
}
