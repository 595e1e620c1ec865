// SPDX-License-Identifier: GPL-2.0

//! Managing a stream's buffers and queues, with or without a client.

use kernel::{
    bindings as c,
    prelude::*,
    sync::{new_mutex, Mutex},
};

use crate::{
    channel::SessionQueues,
    pool::{
        record::BufferRecord,
        spec::{StreamSpec, MAX_BUFFERS},
        Pool,
    },
    port::PortRef,
    queue::config::Direction,
};

/// What a stream has beyond one session.
#[pin_data]
pub(crate) struct Records {
    spec: StreamSpec,
    #[pin]
    state: Mutex<RecordsState>,
}

struct RecordsState {
    buffers: KVVec<BufferRecord>,
    /// Raised when buffers are added.
    generation: u64,
    /// Queues that were made ahead of a session.
    made: Option<SessionQueues>,
}

impl Records {
    /// The buffers that `spec` asks for.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(spec: StreamSpec) -> Result<impl PinInit<Self>> {
        let mut buffers = KVVec::new();
        for _ in 0..spec.buffers {
            buffers.push(BufferRecord::new()?, GFP_KERNEL)?;
        }
        Ok(pin_init!(Self {
            spec,
            state <- new_mutex!(RecordsState {
                buffers,
                generation: 1,
                made: None,
            }, "iostream_records"),
        }))
    }

    /// How the driver described the stream.
    pub(crate) fn spec(&self) -> &StreamSpec {
        &self.spec
    }

    /// How many buffers there are.
    pub(crate) fn count(&self) -> u32 {
        self.state.lock().buffers.len() as u32
    }

    /// The queues and buffers of a new session: those that were made ahead, if they were.
    ///
    /// # Errors
    ///
    /// As [`SessionQueues::new_stream`].
    pub(crate) fn new_session(&self) -> Result<SessionQueues> {
        let mut state = self.state.lock();
        let queues = match state.made.take() {
            Some(made) => made,
            None => self.make(&state)?,
        };
        // Those that came after the queues were made.
        Self::join(&state, queues.pool())?;
        Ok(queues)
    }

    fn make(&self, state: &RecordsState) -> Result<SessionQueues> {
        let max = self.spec.max_buffers(state.buffers.len() as u32);
        let queues = SessionQueues::new_stream(&self.spec, max)?;
        Self::join(state, queues.pool())?;
        Ok(queues)
    }

    fn join(state: &RecordsState, pool: Option<&Pool>) -> Result {
        let Some(pool) = pool else { return Ok(()) };
        pool.join(&state.buffers)?;
        pool.info().set_generation(state.generation);
        Ok(())
    }

    /// Has buffers that were added join an open session, charged to the calling task.
    ///
    /// # Errors
    ///
    /// `EDQUOT`; `ENOMEM`; `EINTR`.
    pub(crate) fn join_session(&self, pool: &Pool) -> Result {
        Self::join(&self.state.lock(), Some(pool))
    }

    /// Whether buffers were added that have not joined the session.
    pub(crate) fn is_ahead_of(&self, pool: &Pool) -> bool {
        let wanted = self.state.lock().buffers.len() as u32;
        wanted.min(pool.max_buffers()) > pool.count()
    }
}

/// Manages the buffers and queues of a stream. Process context; not in callbacks.
#[derive(Clone)]
pub struct Control(PortRef);

impl Control {
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
    /// `EINVAL`: there is none of this number.
    pub fn buffer(&self, id: u32) -> Result<BufferRecord> {
        let state = self.records()?.state.lock();
        state.buffers.get(id as usize).cloned().ok_or(EINVAL)
    }

    /// Adds `count` buffers after the others. A client that has the node open learns of them
    /// (`EPOLLPRI`), and they join its session when it asks for them.
    ///
    /// # Errors
    ///
    /// `EBUSY`: a client has the node open, and its queues have no room for so many; `E2BIG`: more
    /// than 16384; `ENOMEM`.
    pub fn add_buffers(&self, count: u32) -> Result {
        let records = self.records()?;
        // Looked at once more below; here so that no more than that is asked of the allocator.
        if count > MAX_BUFFERS {
            return Err(E2BIG);
        }
        let mut new = KVVec::with_capacity(count as usize, GFP_KERNEL)?;
        for _ in 0..count {
            new.push(BufferRecord::new()?, GFP_KERNEL)?;
        }
        self.0.while_open_or_not(|open, queues| {
            let mut state = records.state.lock();
            let sum = state.buffers.len() as u64 + u64::from(count);
            let pool = queues.and_then(SessionQueues::pool);
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
            state.generation += 1;
            // Made for fewer.
            if let Some(made) = state.made.take() {
                made.retire();
            }
            if let Some(pool) = pool {
                pool.info().set_generation(state.generation);
            }
            if let Some(queue) = queues.and_then(|queues| queues.get(Direction::Output)) {
                queue.notify.user.wake_all(c::POLLPRI);
            }
            Ok(())
        })
    }

    /// Removes a buffer; those after it move up.
    ///
    /// # Errors
    ///
    /// `EBUSY`: a client has the node open; `EINVAL`: there is none of this number.
    pub fn remove_buffer(&self, id: u32) -> Result {
        self.remove(|buffers| {
            if id as usize >= buffers.len() {
                return Err(EINVAL);
            }
            buffers.remove(id as usize).map_err(|_| EINVAL).map(drop)
        })
    }

    /// As [`Self::remove_buffer`], by record.
    ///
    /// # Errors
    ///
    /// `EBUSY`: a client has the node open; `EINVAL`: the record is not of this stream.
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
    /// `EBUSY`: a client has the node open.
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
            let mut state = records.state.lock();
            f(&mut state.buffers)?;
            if let Some(made) = state.made.take() {
                made.retire();
            }
            Ok(())
        })
    }

    /// Makes queues and buffers ahead of the next session, charged to the calling task.
    ///
    /// # Errors
    ///
    /// `EBUSY`: a client has the node open, which has queues; `EDQUOT`; `ENOMEM`.
    pub fn create_queues(&self) -> Result {
        let records = self.records()?;
        self.0.while_open_or_not(|open, _| {
            if open {
                return Err(EBUSY);
            }
            let mut state = records.state.lock();
            if state.made.is_none() {
                state.made = Some(records.make(&state)?);
            }
            Ok(())
        })
    }

    /// Undoes [`Self::create_queues`].
    ///
    /// # Errors
    ///
    /// `EBUSY`: a client has the node open.
    pub fn destroy_queues(&self) -> Result {
        let records = self.records()?;
        self.0.while_open_or_not(|open, _| {
            if open {
                return Err(EBUSY);
            }
            if let Some(made) = records.state.lock().made.take() {
                made.retire();
            }
            Ok(())
        })
    }

    /// Whether there are queues: a client's, or made ahead.
    pub fn has_queues(&self) -> bool {
        let Some(records) = self.0.records() else {
            return false;
        };
        self.0
            .while_open_or_not(|open, _| open || records.state.lock().made.is_some())
    }
}
