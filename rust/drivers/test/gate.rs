// SPDX-License-Identifier: GPL-2.0

//! A gate that holds a call until a test lets it go on.

use kernel::{
    prelude::*,
    sync::{new_condvar, new_mutex, CondVar, Mutex},
};

/// A gate, open at first.
#[pin_data]
pub(crate) struct Gate {
    #[pin]
    closed: Mutex<bool>,
    #[pin]
    opened: CondVar,
}

impl Gate {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            closed <- new_mutex!(false),
            opened <- new_condvar!(),
        })
    }

    /// Holds each call that comes from now on.
    pub(crate) fn close(&self) {
        *self.closed.lock() = true;
    }

    /// Lets all calls go on.
    pub(crate) fn open(&self) {
        *self.closed.lock() = false;
        self.opened.notify_all();
    }

    /// Waits until the gate is open.
    ///
    /// # Errors
    ///
    /// `EINTR`: a signal came first.
    pub(crate) fn pass(&self) -> Result {
        let mut closed = self.closed.lock();
        while *closed {
            if self.opened.wait_interruptible(&mut closed) {
                return Err(EINTR);
            }
        }
        Ok(())
    }
}
