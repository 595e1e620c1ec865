// SPDX-License-Identifier: GPL-2.0

//! What a stream has beyond one session: the records of its buffers, and queues made ahead.

use kernel::{
    prelude::*,
    sync::{new_mutex, Mutex},
};

use crate::{
    channel::Channel,
    pool::{record::BufferRecord, spec::StreamSpec, Pool},
};

/// What a stream has beyond one session.
#[pin_data]
pub(crate) struct Records {
    spec: StreamSpec,
    #[pin]
    pub(crate) state: Mutex<RecordsState>,
}

/// The records, and what is to join the next session.
pub(crate) struct RecordsState {
    pub(crate) buffers: KVVec<BufferRecord>,
    /// Raised when buffers are added.
    pub(crate) generation: u64,
    /// Queues that were made ahead of a session.
    pub(crate) prepared: Option<Channel>,
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
                prepared: None,
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
    /// As [`Channel::new_stream`].
    pub(crate) fn new_session(&self) -> Result<Channel> {
        let mut state = self.state.lock();
        let Some(prepared) = state.prepared.take() else {
            return self.make(&state);
        };
        // Those that came after the queues were made.
        if let Err(error) = Self::join(&state, prepared.pool()) {
            state.prepared = Some(prepared);
            return Err(error);
        }
        Ok(prepared)
    }

    pub(crate) fn make(&self, state: &RecordsState) -> Result<Channel> {
        let max = self.spec.max_buffers(state.buffers.len() as u32);
        let queues = Channel::new_stream(&self.spec, max)?;
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
