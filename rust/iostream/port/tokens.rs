// SPDX-License-Identifier: GPL-2.0

//! Notices of the client's with a token, which wait for a worker.

use kernel::{
    prelude::*,
    sync::{new_spinlock_irq, SpinLockIrq},
};

/// How many wait at most: a client that sends more has not been listened to for long.
const MOST: usize = 64;

/// Tokens, first in first out.
struct Tokens {
    tokens: [u32; MOST],
    first: usize,
    count: usize,
}

/// The notices that wait. The lock is innermost.
#[pin_data]
pub(crate) struct Notices {
    #[pin]
    waiting: SpinLockIrq<Tokens>,
}

impl Notices {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            waiting <- new_spinlock_irq!(Tokens {
                tokens: [0; MOST],
                first: 0,
                count: 0,
            }),
        })
    }

    /// Puts one at the end.
    ///
    /// # Errors
    ///
    /// `EAGAIN`: there are as many as there can be.
    pub(crate) fn push(&self, token: u32) -> Result {
        let mut waiting = self.waiting.lock();
        if waiting.count == MOST {
            return Err(EAGAIN);
        }
        let end = (waiting.first + waiting.count) % MOST;
        waiting.tokens[end] = token;
        waiting.count += 1;
        Ok(())
    }

    /// Takes the first.
    pub(crate) fn pop(&self) -> Option<u32> {
        let mut waiting = self.waiting.lock();
        if waiting.count == 0 {
            return None;
        }
        let token = waiting.tokens[waiting.first];
        waiting.first = (waiting.first + 1) % MOST;
        waiting.count -= 1;
        Some(token)
    }

    /// Forgets all.
    pub(crate) fn clear(&self) {
        self.waiting.lock().count = 0;
    }
}
