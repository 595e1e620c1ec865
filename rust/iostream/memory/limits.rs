// SPDX-License-Identifier: GPL-2.0

//! How much memory all queues and buffers together may take.

use kernel::{
    page::PAGE_SHIFT,
    prelude::*,
    sync::atomic::{Atomic, Relaxed},
};

use crate::module_parameters;

static PAGES: Atomic<u64> = Atomic::new(0);

/// The largest capacity of one queue in bytes.
pub(crate) fn max_queue_bytes() -> u64 {
    module_parameters::max_queue_bytes.value()
}

/// The largest area of a stream's buffer in bytes.
pub(crate) fn max_buffer_bytes() -> u64 {
    module_parameters::max_buffer_bytes.value()
}

/// The most bytes that all queues and buffers together may take.
pub(crate) fn max_total_bytes() -> u64 {
    module_parameters::max_total_bytes.value()
}

/// Pages that all queues and buffers together take now.
pub(crate) fn pages_in_use() -> u64 {
    PAGES.load(Relaxed)
}

/// Pages counted against the total, until dropped.
pub(crate) struct Charge(u64);

impl Charge {
    /// Counts `pages`.
    ///
    /// # Errors
    ///
    /// `EDQUOT` if the total would be exceeded.
    pub(crate) fn new(pages: u64) -> Result<Self> {
        let before = PAGES.fetch_add(pages, Relaxed);
        // From here on drop gives them back.
        let charge = Charge(pages);
        match before.checked_add(pages) {
            Some(sum) if sum <= max_total_bytes() >> PAGE_SHIFT => Ok(charge),
            _ => Err(EDQUOT),
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        PAGES.fetch_sub(self.0, Relaxed);
    }
}
