// SPDX-License-Identifier: GPL-2.0

//! What a driver keeps of a buffer from one session to the next.

use kernel::{prelude::*, sync::Arc};

use crate::sync::atomic::{Atomic, Relaxed};

/// One buffer of a stream, as its driver knows it: sessions come and go, each with memory of its
/// own for it.
#[derive(Clone)]
pub struct BufferRecord(Arc<Inner>);

struct Inner {
    value: Atomic<u64>,
    references: Atomic<u32>,
}

impl BufferRecord {
    pub(crate) fn new() -> Result<Self> {
        let inner = Inner {
            value: Atomic::new(0),
            references: Atomic::new(0),
        };
        Ok(Self(Arc::new(inner, GFP_KERNEL)?))
    }

    /// The driver's own value; zero at first.
    pub fn value(&self) -> u64 {
        self.0.value.load(Relaxed)
    }

    /// Sets the driver's own value.
    pub fn set_value(&self, value: u64) {
        self.0.value.store(value, Relaxed);
    }

    /// References out to the client: 1 while the client has the buffer, or it lies in a queue.
    pub fn references(&self) -> u32 {
        self.0.references.load(Relaxed)
    }

    pub(crate) fn set_references(&self, references: u32) {
        self.0.references.store(references, Relaxed);
    }

    /// Whether both are of the same buffer.
    pub fn is_same(&self, other: &BufferRecord) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
