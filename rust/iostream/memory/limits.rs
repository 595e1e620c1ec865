// SPDX-License-Identifier: GPL-2.0

//! The limits on the memory of queues and buffers, and the count of what they use.

use kernel::{
    page::PAGE_SHIFT,
    prelude::*,
    sync::atomic::{Atomic, Relaxed},
};

use super::account::{Account, Resource, Share};
use crate::module_parameters;

/// Pages that are charged now, of all accounts.
static PAGES: Atomic<u64> = Atomic::new(0);

/// The largest capacity of one queue in bytes.
pub(crate) fn max_queue_bytes() -> u64 {
    module_parameters::max_queue_bytes.value()
}

/// The largest data or control area of one buffer in bytes.
pub(crate) fn max_buffer_bytes() -> u64 {
    module_parameters::max_buffer_bytes.value()
}

/// The most bytes that all queues and buffers of one user may use together.
pub(crate) fn max_total_bytes() -> u64 {
    module_parameters::max_total_bytes.value()
}

/// The pages that all queues and buffers use now.
pub(crate) fn pages_in_use() -> u64 {
    PAGES.load(Relaxed)
}

/// Pages that count against a user's total until this is dropped.
pub(crate) struct Charge {
    pages: u64,
    _share: Share,
}

impl Charge {
    /// Counts `pages` against the total of an account.
    ///
    /// # Errors
    ///
    /// `EDQUOT`: the total would be exceeded.
    pub(crate) fn new(account: &Account, pages: u64) -> Result<Self> {
        let share = account.take(Resource::Pages, pages, max_total_bytes() >> PAGE_SHIFT)?;
        PAGES.fetch_add(pages, Relaxed);
        Ok(Self {
            pages,
            _share: share,
        })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        PAGES.fetch_sub(self.pages, Relaxed);
    }
}
