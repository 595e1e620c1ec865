// SPDX-License-Identifier: GPL-2.0

//! The queue of the client's notices that wait for a worker, as tokens.

use kernel::{
    prelude::*,
    sync::{new_spinlock_irq, SpinLockIrq},
};

/// How many notices can wait. A driver that leaves so many unanswered is too slow for the client.
const MOST: usize = 64;

/// Tokens in a ring, first in, first out.
struct Tokens {
    tokens: [u32; MOST],
    first: usize,
    count: usize,
}

/// The notices that wait for a worker. The lock is innermost.
#[pin_data]
pub(crate) struct Notices {
    #[pin]
    waiting: SpinLockIrq<Tokens>,
}

impl Notices {
    /// Creates an empty queue.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            waiting <- new_spinlock_irq!(Tokens {
                tokens: [0; MOST],
                first: 0,
                count: 0,
            }),
        })
    }

    /// Appends a token.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if the queue is full.
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

    /// Takes the first token.
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

    /// Removes all tokens.
    pub(crate) fn clear(&self) {
        self.waiting.lock().count = 0;
    }
}
