// SPDX-License-Identifier: GPL-2.0

//! The record of a buffer, which a driver keeps from one session to the next.

use kernel::{prelude::*, sync::Arc};

use crate::sync::atomic::{Atomic, Relaxed};

/// A buffer of a stream as its driver knows it beyond sessions. Each session allocates memory of
/// its own for the buffer.
#[derive(Clone)]
pub struct BufferRecord(Arc<Inner>);

struct Inner {
    value: Atomic<u64>,
    references: Atomic<u32>,
}

impl BufferRecord {
    /// Creates the record of a new buffer.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        let inner = Inner {
            value: Atomic::new(0),
            references: Atomic::new(0),
        };
        Ok(Self(Arc::new(inner, GFP_KERNEL)?))
    }

    /// The driver's own value, initially zero.
    pub fn value(&self) -> u64 {
        self.0.value.load(Relaxed)
    }

    /// Sets the driver's own value.
    pub fn set_value(&self, value: u64) {
        self.0.value.store(value, Relaxed);
    }

    /// References that are out to the client: 1 while the buffer is with the client or queued,
    /// else 0.
    pub fn references(&self) -> u32 {
        self.0.references.load(Relaxed)
    }

    pub(crate) fn set_references(&self, references: u32) {
        self.0.references.store(references, Relaxed);
    }

    /// Whether both are records of the same buffer.
    pub fn is_same(&self, other: &BufferRecord) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
