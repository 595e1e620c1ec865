// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a stream and its buffers share.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use iostream_ring::uapi;

use super::descriptor::{Descriptor, Descriptors};
use super::mode::StreamMode;
use super::unused::UnusedBuffers;
use super::StreamState;
use crate::lock::lock;
use crate::outgoing::Outgoing;
use crate::sys::{Device, Lease, Place, Pool, StreamPage};
use crate::{Direction, Error, Result, Wake};

/// The buffers of a stream, and the way back to the driver.
///
/// Buffers go back from any thread, so the one producer of the input queue is behind a lock. The
/// lock is held while one descriptor is copied, and never during a system call. Only another buffer
/// that goes back at the same time competes for it.
pub(crate) struct Core {
    pub(crate) pool: Arc<Pool>,
    pub(crate) unused: UnusedBuffers,
    mode: StreamMode,
    /// The input queue; `None` once the stream is closed.
    input: Mutex<Option<Input>>,
}

struct Input {
    producer: Outgoing<Descriptors>,
    /// How many descriptors were sent.
    sent: u64,
}

impl Core {
    pub(crate) fn new(pool: Pool, mode: StreamMode, producer: Outgoing<Descriptors>) -> Self {
        let core = Self {
            pool: Arc::new(pool),
            unused: UnusedBuffers::default(),
            mode,
            input: Mutex::new(Some(Input { producer, sent: 0 })),
        };
        core.take_new(0..core.pool.count());
        core
    }

    /// Takes buffers that were added: those of a `WriteStream` start with the client, unused; those
    /// of other streams start with the driver.
    pub(crate) fn take_new(&self, added: Range<u32>) {
        if self.mode == StreamMode::Write {
            for id in added.filter(|id| self.pool.take_unused(*id)) {
                self.unused.put(id);
            }
        }
    }

    /// Sends a buffer to the driver. If that fails, the buffer stays with this process, unused.
    pub(crate) fn send(&self, lease: Lease, mut descriptor: Descriptor, wake: Wake) -> Result<()> {
        // Before the lock, which another thread may have held during the fork.
        self.pool.check_owner()?;
        let id = lease.id();
        let mut guard = lock(&self.input);
        let Some(input) = guard.as_mut() else {
            return Err(Error::Closed);
        };
        descriptor.frame = input.sent;
        if let Err(error) = input.producer.push(&descriptor.to_bytes()) {
            drop(guard);
            drop(lease);
            self.keep(id);
            return Err(match error {
                // The queue has room for every buffer, and no buffer is in it twice.
                Error::Full => Error::Mismatch("the kernel's queue is shorter than it said"),
                error => error,
            });
        }
        input.sent += 1;
        // Before the driver can see the descriptor: it may send the buffer back immediately.
        lease.give_to_driver();
        let notify = input.producer.show(wake)?.then(|| input.producer.device());
        drop(guard);
        match notify {
            Some(device) => device.notify(Direction::Input),
            None => Ok(()),
        }
    }

    /// Ends the use of a buffer: it goes back to the driver, or to the unused ones.
    pub(crate) fn give_back(&self, lease: Lease) {
        if self.pool.check_owner().is_err() {
            // The buffer is with the parent, which gives it back.
            return;
        }
        let flags = match self.mode {
            StreamMode::Read => 0,
            StreamMode::Write => {
                let id = lease.id();
                drop(lease);
                return self.keep(id);
            }
            StreamMode::Duplex => uapi::IOSTREAM_DESCRIPTOR_UNUSED,
        };
        let descriptor = Descriptor::empty(lease.id(), flags);
        // Fails if the driver is gone or the stream is closed: then nobody needs the buffer.
        let _ = self.send(lease, descriptor, Wake::Normal);
    }

    /// Returns a buffer that a stop discarded, unread.
    pub(crate) fn return_unread(&self, lease: Lease) -> Result<()> {
        if self.mode == StreamMode::Write {
            self.give_back(lease);
            return Ok(());
        }
        let descriptor = Descriptor::empty(lease.id(), uapi::IOSTREAM_DESCRIPTOR_UNUSED);
        self.send(lease, descriptor, Wake::Normal)
    }

    /// Shows the driver what was sent with [`Wake::Suppress`]. Returns whether it waits for it.
    pub(crate) fn must_wake(&self) -> Result<bool> {
        self.pool.check_owner()?;
        match lock(&self.input).as_mut() {
            Some(input) => input.producer.show(Wake::Normal),
            None => Err(Error::Closed),
        }
    }

    /// The kernel's counters of the input queue; `None` once the stream is closed, and in a child.
    pub(crate) fn input_counters(&self) -> Option<crate::Counters> {
        self.pool.check_owner().ok()?;
        let input = lock(&self.input);
        input.as_ref().map(|input| input.producer.handle.counters())
    }

    fn keep(&self, id: u32) {
        if self.mode == StreamMode::Write {
            self.unused.put(id);
        }
    }
}

/// An open stream, shared by its halves and handles. The last of them closes it.
pub(crate) struct Open {
    pub(crate) core: Arc<Core>,
    pub(crate) device: Arc<Device>,
    pub(crate) page: StreamPage,
    /// The generation whose buffers are mapped.
    pub(crate) generation: Mutex<u64>,
}

impl Open {
    /// Fails in a child of the process that opened the stream, which has no mapping of it.
    #[inline]
    pub(crate) fn check_owner(&self) -> Result<()> {
        self.core.pool.check_owner()
    }

    /// Takes a buffer that the driver sent.
    pub(crate) fn lend(&self, id: u32) -> Result<Lease> {
        if !self.core.pool.has(id) {
            // Another handle of this session may have asked for new buffers.
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

    /// The stream's state. In a child it counts as stopped.
    pub(crate) fn state(&self) -> StreamState {
        if self.check_owner().is_err() {
            return StreamState::Stopped;
        }
        StreamState::from_raw(self.page.state())
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.state() == StreamState::Stopped
    }

    /// Maps the buffers that the driver has added. Returns how many.
    pub(crate) fn refresh(&self) -> Result<usize> {
        self.check_owner()?;
        let mut generation = lock(&self.generation);
        let stream = self.device.stream().map_err(Error::of_stream_call)?;
        let added = self.core.pool.extend(&self.device, &stream)?;
        let count = added.len();
        self.core.take_new(added);
        *generation = stream.generation;
        Ok(count)
    }

    /// Whether the driver has added buffers.
    pub(crate) fn has_new(&self) -> bool {
        self.check_owner().is_ok() && self.page.generation() != *lock(&self.generation)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.check_owner().is_err() {
            // The stream is the parent's, and goes on.
            return;
        }
        // The end of the session stops the stream, too, but a buffer in use delays that.
        if self.page.state() != u64::from(uapi::IOSTREAM_STATE_STOPPED) {
            let _ = self.device.stop(0, 0);
        }
        *lock(&self.core.input) = None;
    }
}
