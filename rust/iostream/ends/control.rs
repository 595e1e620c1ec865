// SPDX-License-Identifier: GPL-2.0

//! How a driver manages the buffers and queues of its stream, with or without a client.

use kernel::prelude::*;

use crate::{
    channel::Channel,
    memory::account::Account,
    pool::{record::BufferRecord, spec::MAX_BUFFERS},
    port::{records::Records, PortRef},
    queue::config::Direction,
};

/// Manages the buffers and queues of a stream. Process context, but not in callbacks.
#[derive(Clone)]
pub struct Control(PortRef);

impl Control {
    /// Manages the stream of a port.
    pub(crate) fn new(port: PortRef) -> Self {
        Self(port)
    }

    fn records(&self) -> Result<&Records> {
        self.0.records().ok_or(EINVAL)
    }

    /// How many buffers the stream has.
    pub fn buffer_count(&self) -> u32 {
        self.0.records().map_or(0, Records::count)
    }

    /// The record of a buffer.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no buffer with this id.
    pub fn buffer(&self, id: u32) -> Result<BufferRecord> {
        let state = self.records()?.state.enter_surely();
        state.buffers.get(id as usize).cloned().ok_or(EINVAL)
    }

    /// Adds `count` buffers after the others. A client that has the node open is told of them
    /// (`EPOLLPRI`), and they join its session when it asks for them.
    ///
    /// # Errors
    ///
    /// `EBUSY` if a client has the node open and its queues have no room for so many; `E2BIG` if
    /// there would be more than 16384; `ENOMEM`.
    pub fn add_buffers(&self, count: u32) -> Result {
        let records = self.records()?;
        // Limits what is allocated. The sum is checked below, under the lock.
        if count > MAX_BUFFERS {
            return Err(E2BIG);
        }
        let mut new = KVVec::with_capacity(count as usize, GFP_KERNEL)?;
        for _ in 0..count {
            new.push(BufferRecord::new()?, GFP_KERNEL)?;
        }
        self.0.while_open_or_not(|open, queues| {
            let mut state = records.state.enter_surely();
            let sum = state.buffers.len() as u64 + u64::from(count);
            let pool = queues.and_then(Channel::pool);
            if sum > u64::from(MAX_BUFFERS) {
                return Err(E2BIG);
            }
            let room = match pool {
                Some(pool) => u64::from(pool.max_buffers()),
                None if open => 0,
                None => sum,
            };
            if sum > room {
                return Err(EBUSY);
            }
            state.buffers.reserve(count as usize, GFP_KERNEL)?;
            for record in new {
                state.buffers.push(record, GFP_KERNEL)?;
            }
            records.recount(&state);
            state.generation += 1;
            // Prepared queues have room for fewer buffers.
            if let Some(prepared) = state.prepared.take() {
                prepared.retire();
            }
            if let Some(pool) = pool {
                pool.info().set_generation(state.generation);
            }
            if let Some(queue) = queues.and_then(|queues| queues.get(Direction::Output)) {
                // Whoever waits on an eventfd alone learns of them, too.
                queue.notify.wake_user();
            }
            Ok(())
        })
    }

    /// Removes a buffer. The ids of those after it become smaller by one.
    ///
    /// # Errors
    ///
    /// `EBUSY` if a client has the node open; `EINVAL` if there is no buffer with this id.
    pub fn remove_buffer(&self, id: u32) -> Result {
        self.remove(|buffers| {
            if id as usize >= buffers.len() {
                return Err(EINVAL);
            }
            buffers.remove(id as usize).map_err(|_| EINVAL).map(drop)
        })
    }

    /// Removes the buffer of a record. The ids of those after it become smaller by one.
    ///
    /// # Errors
    ///
    /// `EBUSY` if a client has the node open; `EINVAL` if the stream has no such buffer.
    pub fn remove_record(&self, record: &BufferRecord) -> Result {
        self.remove(|buffers| {
            let position = buffers.iter().position(|other| other.is_same(record));
            let id = position.ok_or(EINVAL)?;
            buffers.remove(id).map_err(|_| EINVAL).map(drop)
        })
    }

    /// Removes all buffers.
    ///
    /// # Errors
    ///
    /// `EBUSY` if a client has the node open.
    pub fn remove_all_buffers(&self) -> Result {
        self.remove(|buffers| {
            buffers.clear();
            Ok(())
        })
    }

    fn remove(&self, f: impl FnOnce(&mut KVVec<BufferRecord>) -> Result) -> Result {
        let records = self.records()?;
        self.0.while_open_or_not(|open, _| {
            if open {
                return Err(EBUSY);
            }
            let mut state = records.state.enter_surely();
            f(&mut state.buffers)?;
            records.recount(&state);
            if let Some(prepared) = state.prepared.take() {
                prepared.retire();
            }
            Ok(())
        })
    }

    /// Prepares the queues and buffers of the next session, charged to the calling task. They count
    /// against no user's limits.
    ///
    /// # Errors
    ///
    /// `EBUSY` if a client has the node open; `ENOMEM`; `EINTR`.
    pub fn create_queues(&self) -> Result {
        let records = self.records()?;
        self.0.while_open_or_not(|open, _| {
            if open {
                return Err(EBUSY);
            }
            let mut state = records.state.enter_surely();
            if state.prepared.is_none() {
                state.prepared = Some(records.make(&state, &Account::of_drivers())?);
            }
            Ok(())
        })
    }

    /// Frees what [`Self::create_queues`] prepared.
    ///
    /// # Errors
    ///
    /// `EBUSY` if a client has the node open.
    pub fn destroy_queues(&self) -> Result {
        let records = self.records()?;
        self.0.while_open_or_not(|open, _| {
            if open {
                return Err(EBUSY);
            }
            if let Some(prepared) = records.state.enter_surely().prepared.take() {
                prepared.retire();
            }
            Ok(())
        })
    }

    /// Whether the stream has queues, of a client or prepared ones.
    pub fn has_queues(&self) -> bool {
        let Some(records) = self.0.records() else {
            return false;
        };
        self.0
            .while_open_or_not(|open, _| open || records.state.enter_surely().prepared.is_some())
    }
}
