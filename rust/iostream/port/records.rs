// SPDX-License-Identifier: GPL-2.0

//! What a stream keeps beyond one session: the records of its buffers, and queues that were
//! prepared for the next session.

use kernel::{
    prelude::*,
    sync::atomic::{Atomic, Relaxed},
};

use crate::{
    channel::Channel,
    memory::account::Account,
    pool::{record::BufferRecord, spec::StreamSpec, Pool},
    sync::gate::{new_gate, Gate, Patience},
};

/// What a stream keeps beyond one session.
#[pin_data]
pub(crate) struct Records {
    spec: StreamSpec,
    #[pin]
    pub(crate) state: Gate<RecordsState>,
    /// How many buffers there are, for readers outside of the gate.
    count: Atomic<u32>,
}

/// The records of the buffers, and the prepared queues.
pub(crate) struct RecordsState {
    pub(crate) buffers: KVVec<BufferRecord>,
    /// Raised when buffers are added.
    pub(crate) generation: u64,
    /// Queues and buffers that were prepared for the next session.
    pub(crate) prepared: Option<Channel>,
}

impl Records {
    /// Creates the records of as many buffers as `spec` asks for.
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
            count: Atomic::new(spec.buffers),
            spec,
            state <- new_gate!(RecordsState {
                buffers,
                generation: 1,
                prepared: None,
            }, c"iostream_records"),
        }))
    }

    /// How the driver described the stream.
    pub(crate) fn spec(&self) -> &StreamSpec {
        &self.spec
    }

    /// How many buffers there are.
    pub(crate) fn count(&self) -> u32 {
        self.count.load(Relaxed)
    }

    /// Has [`Self::count`] tell how many buffers `state` has.
    pub(crate) fn recount(&self, state: &RecordsState) {
        self.count.store(state.buffers.len() as u32, Relaxed);
    }

    /// The queues and buffers of a new session: the prepared ones, or else new ones, which count in
    /// `account`.
    ///
    /// # Errors
    ///
    /// `EDQUOT`; `ENOMEM`; `EINTR`; `E2BIG` if a queue is larger than the module's
    /// `max_queue_bytes`.
    pub(crate) fn new_session(&self, account: &Account) -> Result<Channel> {
        let mut state = self.state.enter(Patience::UntilSignal)?;
        let Some(prepared) = state.prepared.take() else {
            return self.make(&state, account);
        };
        // Adds buffers that came after the queues were prepared.
        if let Err(error) = Self::join(&state, prepared.pool()) {
            state.prepared = Some(prepared);
            return Err(error);
        }
        Ok(prepared)
    }

    /// Creates queues for a session, with all buffers that there are, counted in `account`.
    ///
    /// # Errors
    ///
    /// Those of [`Self::new_session`].
    pub(crate) fn make(&self, state: &RecordsState, account: &Account) -> Result<Channel> {
        let max = self.spec.max_buffers(state.buffers.len() as u32);
        let queues = Channel::new_stream(&self.spec, max, account)?;
        Self::join(state, queues.pool())?;
        Ok(queues)
    }

    fn join(state: &RecordsState, pool: Option<&Pool>) -> Result {
        let Some(pool) = pool else { return Ok(()) };
        pool.join(&state.buffers)?;
        pool.info().set_generation(state.generation);
        Ok(())
    }

    /// Adds the new buffers to an open session. Their memory is charged to the calling task.
    ///
    /// # Errors
    ///
    /// `EDQUOT`; `ENOMEM`; `EINTR`.
    pub(crate) fn join_session(&self, pool: &Pool) -> Result {
        Self::join(&*self.state.enter(Patience::UntilSignal)?, Some(pool))
    }

    /// Whether there are buffers that can join the session, but have not joined yet.
    pub(crate) fn is_ahead_of(&self, pool: &Pool) -> bool {
        self.count().min(pool.max_buffers()) > pool.count()
    }
}
