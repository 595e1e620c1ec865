// SPDX-License-Identifier: MIT OR Apache-2.0

//! The words of a mapping.

use std::ops::Deref;
use std::sync::atomic::{fence, AtomicU64, Ordering};

/// A word of a mapping, which may be mapped read-only.
#[repr(transparent)]
#[derive(Debug)]
pub struct Word(AtomicU64);

impl Word {
    /// Loads the word.
    ///
    /// On read-only memory Rust defines relaxed loads alone (`std::sync::atomic`, "Atomic accesses
    /// to read-only memory"), so a fence does the ordering.
    pub fn load(&self, order: Ordering) -> u64 {
        let value = self.0.load(Ordering::Relaxed);
        if order != Ordering::Relaxed {
            fence(order);
        }
        value
    }
}

/// For stores and exchanges, which need writable memory anyway.
impl Deref for Word {
    type Target = AtomicU64;

    fn deref(&self) -> &AtomicU64 {
        &self.0
    }
}
