// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a stream and its buffers share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use iostream_ring::uapi;

use super::descriptor::{Descriptor, Descriptors};
use super::free::FreeList;
use super::mode::StreamMode;
use crate::sys::{Device, Lease, Place, Pool, StreamPage};
use crate::{Direction, Error, Producer, Result, Wake};

/// The buffers of a stream, and the way back to the driver.
///
/// Buffers go back from any thread, so the one producer of the input queue is behind a lock. It is
/// held for the copy of one descriptor, never while the kernel is called, and nobody else wants it
/// but another buffer that goes back at the same time.
pub(crate) struct Core {
    pub(crate) pool: Arc<Pool>,
    pub(crate) free: FreeList,
    mode: StreamMode,
    /// The input queue; `None` once the stream is closed.
    input: Mutex<Option<Input>>,
}

struct Input {
    producer: Producer<Descriptors>,
    sequence: u64,
}

impl Core {
    pub(crate) fn new(pool: Pool, mode: StreamMode, producer: Producer<Descriptors>) -> Self {
        let core = Self {
            pool: Arc::new(pool),
            free: FreeList::default(),
            mode,
            input: Mutex::new(Some(Input {
                producer,
                sequence: 0,
            })),
        };
        core.take_new(0..core.pool.count());
        core
    }

    /// Buffers that were added are the process's where it fills them, else the driver's.
    pub(crate) fn take_new(&self, added: std::ops::Range<u32>) {
        if self.mode == StreamMode::Input {
            for id in added.filter(|id| self.pool.free(*id)) {
                self.free.put(id);
            }
        }
    }

    /// Sends a buffer to the driver. If that fails, the buffer is this process's and unused.
    pub(crate) fn send(&self, lease: Lease, mut descriptor: Descriptor, wake: Wake) -> Result<()> {
        let id = lease.id();
        let mut guard = self.lock();
        let Some(input) = guard.as_mut() else {
            return Err(Error::Closed);
        };
        descriptor.sequence = input.sequence;
        if let Err(error) = input.producer.push(&descriptor.to_bytes()) {
            drop(guard);
            drop(lease);
            self.keep(id);
            return Err(match error {
                // There is room for each buffer once, and nobody has one twice.
                Error::Full => Error::Mismatch("the kernel's queue is shorter than it said"),
                error => error,
            });
        }
        input.sequence += 1;
        // Before the descriptor is shown: the buffer may be back before this thread goes on.
        lease.give_to_driver();
        let notify = input.producer.show(wake)?.then(|| input.producer.device());
        drop(guard);
        match notify {
            Some(device) => device.notify(Direction::Input),
            None => Ok(()),
        }
    }

    /// Takes back what was lent: to the driver, or to the list of free ones.
    pub(crate) fn give_back(&self, lease: Lease) {
        let flags = match self.mode {
            StreamMode::Output => 0,
            StreamMode::Input => {
                let id = lease.id();
                drop(lease);
                return self.keep(id);
            }
            StreamMode::InputOutput => uapi::IOSTREAM_DESCRIPTOR_UNUSED,
        };
        let descriptor = Descriptor::empty(lease.id(), flags);
        // Fails if the driver is gone or the stream is closed: then nobody wants it back.
        let _ = self.send(lease, descriptor, Wake::Normal);
    }

    /// Returns a buffer that a stop discarded, unread.
    pub(crate) fn return_unread(&self, lease: Lease) -> Result<()> {
        if self.mode == StreamMode::Input {
            self.give_back(lease);
            return Ok(());
        }
        let descriptor = Descriptor::empty(lease.id(), uapi::IOSTREAM_DESCRIPTOR_UNUSED);
        self.send(lease, descriptor, Wake::Normal)
    }

    /// Shows what was sent with [`Wake::Suppress`]; whether the driver waits for it.
    pub(crate) fn must_wake(&self) -> Result<bool> {
        match self.lock().as_mut() {
            Some(input) => input.producer.show(Wake::Normal),
            None => Err(Error::Closed),
        }
    }

    /// How the other side of the input queue is counted.
    pub(crate) fn input_counters(&self) -> Option<crate::Counters> {
        self.lock().as_ref().map(|input| input.producer.counters())
    }

    fn keep(&self, id: u32) {
        if self.mode == StreamMode::Input {
            self.free.put(id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Input>> {
        // Nothing of the user's runs under the lock.
        self.input.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that is open: its halves and handles share it. The last to go closes it.
pub(crate) struct Open {
    pub(crate) core: Arc<Core>,
    pub(crate) device: Arc<Device>,
    pub(crate) page: StreamPage,
    /// The generation whose buffers are mapped.
    pub(crate) generation: Mutex<u64>,
}

impl Open {
    /// Lends a buffer that came from the driver.
    pub(crate) fn lend(&self, id: u32) -> Result<Lease> {
        if !self.core.pool.has(id) {
            // Someone else with this session may have asked for new buffers first.
            self.refresh()?;
        }
        let why = if self.core.pool.has(id) {
            "names a buffer that this process has already"
        } else {
            "names no buffer"
        };
        let lent = self.core.pool.lend(id, Place::Driver);
        lent.ok_or(Error::BadDescriptor { buffer: id, why })
    }

    /// Maps the buffers that the driver has added. Returns how many.
    pub(crate) fn refresh(&self) -> Result<usize> {
        let mut generation = self
            .generation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let stream = self.device.stream().map_err(Error::of_stream_call)?;
        let added = self.core.pool.extend(&self.device, &stream)?;
        let count = added.len();
        self.core.take_new(added);
        *generation = stream.generation;
        Ok(count)
    }

    /// Whether the driver has added buffers.
    pub(crate) fn has_new(&self) -> bool {
        let generation = self
            .generation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.page.generation() != *generation
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // The end of the session would do the same, but a buffer that is still held puts it off.
        if self.page.state() != u64::from(uapi::IOSTREAM_STATE_STOPPED) {
            let _ = self.device.stop(0, 0);
        }
        *self.core.lock() = None;
    }
}
