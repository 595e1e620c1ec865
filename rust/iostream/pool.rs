// SPDX-License-Identifier: GPL-2.0

//! The buffers of one session: their memory, who has which, the stream's info page.
//!
//! # Who has a buffer
//!
//! ```text
//! FREE     the driver, which does nothing with it
//! TAKEN    the driver, as a Buffer
//! CLIENT   the client, or a descriptor of it is in a queue
//! ASIDE    a stop, which is about to give it back to the client
//! ```
//!
//! This is the kernel's own record; nothing that a process writes changes it but a descriptor of a
//! buffer that is the client's.

pub(crate) mod descriptor;
pub(crate) mod memory;
pub(crate) mod record;
pub(crate) mod spare;
pub(crate) mod spec;
pub(crate) mod state;

use core::mem::offset_of;

use kernel::{
    prelude::*,
    sync::{new_mutex, Arc, Mutex, SetOnce},
    workqueue::{impl_has_work, new_work, Work, WorkItem},
};

use crate::{
    memory::dma::SyncFor,
    ring::uapi,
    sync::{
        atomic::{Acquire, Atomic, Full, Relaxed, Release},
        deferred::{Deferred, Last},
    },
};
use state::State;

use descriptor::{Descriptor, Reject};
use memory::{BufferMemory, InfoPage};
use record::BufferRecord;
use spare::Spare;
use spec::{Mode, StreamSpec};

const FREE: u32 = 0;
const TAKEN: u32 = 1;
const CLIENT: u32 = 2;
const ASIDE: u32 = 3;

/// Something was mapped, or the stream was started: the mode stays.
const MODE_FIXED: u32 = 1 << 31;

/// One counter of the stream's info page.
#[derive(Clone, Copy)]
pub(crate) enum StreamCounter {
    Sent = offset_of!(uapi::iostream_stream_counters, sent) as isize,
    Received = offset_of!(uapi::iostream_stream_counters, received) as isize,
    Discarded = offset_of!(uapi::iostream_stream_counters, discarded) as isize,
    RejectedId = offset_of!(uapi::iostream_stream_counters, rejected_id) as isize,
    RejectedOwner = offset_of!(uapi::iostream_stream_counters, rejected_owner) as isize,
    RejectedRange = offset_of!(uapi::iostream_stream_counters, rejected_range) as isize,
    RejectedFlags = offset_of!(uapi::iostream_stream_counters, rejected_flags) as isize,
}

/// One buffer in one session.
struct Slot {
    /// Its memory and its record, once it has joined.
    joined: SetOnce<(BufferMemory, BufferRecord)>,
    owner: Atomic<u32>,
}

/// The buffers of one session.
///
/// # Invariants
///
/// - The first `joined` slots are populated; the number only grows.
/// - A slot is `TAKEN` by one [`Buffer`](crate::ends::stream::Buffer), which alone uses its memory.
#[pin_data]
pub(crate) struct Pool {
    spec: StreamSpec,
    info: InfoPage,
    slots: KVVec<Slot>,
    joined: Atomic<u32>,
    /// The mode, and `MODE_FIXED`.
    mode: Atomic<u32>,
    state: Atomic<u32>,
    /// It ran in this session.
    started: Atomic<u32>,
    /// A client has the session: until then nobody has references to the buffers.
    open: Atomic<u32>,
    /// The session is about to end: no state but stopped any more.
    closing: Atomic<u32>,
    sequence: Atomic<u64>,
    /// One thread at a time has buffers join.
    #[pin]
    joining: Mutex<()>,
    /// Buffers of a client whose part the kernel plays.
    #[pin]
    pub(crate) spare: Spare,
    #[pin]
    work: Work<Pool>,
}

impl_has_work! {
    impl HasWork<Self> for Pool { self.work }
}

impl WorkItem for Pool {
    type Pointer = Arc<Pool>;

    fn run(pool: Arc<Pool>) {
        drop(pool);
    }
}

impl Last for Pool {}

/// A reference to a pool that may be dropped in any context.
pub(crate) type PoolRef = Deferred<Pool>;

impl Pool {
    /// A pool with room for `max_buffers`, and none in it yet.
    ///
    /// # Errors
    ///
    /// `EDQUOT`; `ENOMEM`.
    pub(crate) fn new(spec: StreamSpec, max_buffers: u32) -> Result<Arc<Self>> {
        let mut slots = KVVec::with_capacity(max_buffers as usize, GFP_KERNEL)?;
        for _ in 0..max_buffers {
            let slot = Slot {
                joined: SetOnce::new(),
                owner: Atomic::new(FREE),
            };
            slots.push(slot, GFP_KERNEL)?;
        }
        let info = InfoPage::new(spec.mode)?;
        let spare = Spare::new(max_buffers)?;
        Arc::pin_init(
            pin_init!(Self {
                spec,
                info,
                slots,
                joined: Atomic::new(0),
                mode: Atomic::new(spec.mode as u32),
                state: Atomic::new(State::Stopped as u32),
                started: Atomic::new(0),
                open: Atomic::new(0),
                closing: Atomic::new(0),
                sequence: Atomic::new(0),
                joining <- new_mutex!((), "iostream_join"),
                spare <- spare,
                work <- new_work!("iostream_pool"),
            }),
            GFP_KERNEL,
        )
    }

    /// Has buffers join until there are as many as `records`, charged to the calling task. Sleeps.
    ///
    /// # Errors
    ///
    /// `EDQUOT`; `ENOMEM`; `EINTR`. What has joined stays.
    pub(crate) fn join(&self, records: &[BufferRecord]) -> Result {
        let _one = self.joining.lock();
        let known = self.count() as usize;
        for (id, record) in records.iter().enumerate().skip(known) {
            let Some(slot) = self.slots.get(id) else {
                break;
            };
            let memory = BufferMemory::new(&self.spec)?;
            slot.joined.populate((memory, record.clone()));
            self.give_out(slot, self.mode());
            // ORDERING: pairs with the acquire load in `count`: the slot is whole
            // (litmus: publish-pointer).
            self.joined.store(id as u32 + 1, Release);
        }
        Ok(())
    }

    /// Gives a buffer to who has it first.
    fn give_out(&self, slot: &Slot, mode: Mode) {
        let to_client = mode == Mode::Input;
        if let Some((memory, record)) = slot.joined.as_ref() {
            let open = self.open.load(Relaxed) != 0;
            record.set_references((to_client && open).into());
            memory.sync(if to_client {
                SyncFor::Processor
            } else {
                SyncFor::Device
            });
        }
        let first = if to_client { CLIENT } else { FREE };
        // What the driver has in its hands meanwhile stays there.
        for other in [FREE, CLIENT] {
            let _ = slot.owner.cmpxchg(other, first, Full);
        }
    }

    /// How the driver described the stream.
    pub(crate) fn spec(&self) -> &StreamSpec {
        &self.spec
    }

    /// The stream's info page.
    pub(crate) fn info(&self) -> &InfoPage {
        &self.info
    }

    /// Buffers of this session.
    pub(crate) fn count(&self) -> u32 {
        // ORDERING: pairs with the release store in `join` (litmus: publish-pointer).
        self.joined.load(Acquire)
    }

    /// Buffers that there can be in this session.
    pub(crate) fn max_buffers(&self) -> u32 {
        self.slots.len() as u32
    }

    /// The memory of a buffer.
    pub(crate) fn memory(&self, id: u32) -> Option<&BufferMemory> {
        self.joined_slot(id).map(|(_, memory, _)| memory)
    }

    /// The record of a buffer.
    pub(crate) fn record(&self, id: u32) -> Option<&BufferRecord> {
        self.joined_slot(id).map(|(_, _, record)| record)
    }

    fn joined_slot(&self, id: u32) -> Option<(&Slot, &BufferMemory, &BufferRecord)> {
        let slot = self.slots.get(id as usize)?;
        let (memory, record) = slot.joined.as_ref()?;
        Some((slot, memory, record))
    }

    /// The stream's mode in this session.
    pub(crate) fn mode(&self) -> Mode {
        self.mode_of(self.mode.load(Relaxed))
    }

    fn mode_of(&self, word: u32) -> Mode {
        Mode::from_arg(word & !MODE_FIXED).unwrap_or(self.spec.mode)
    }

    /// The mode, which stays from here on: something is being mapped or started.
    pub(crate) fn fix_mode(&self) -> Mode {
        let mut word = self.mode.load(Relaxed);
        loop {
            match self.mode.cmpxchg(word, word | MODE_FIXED, Full) {
                Ok(_) => return self.mode_of(word),
                Err(now) => word = now,
            }
        }
    }

    /// Whether the mode can no longer be changed.
    pub(crate) fn is_mode_fixed(&self) -> bool {
        self.mode.load(Relaxed) & MODE_FIXED != 0
    }

    /// Changes the mode and gives all buffers out anew.
    ///
    /// # Errors
    ///
    /// `EBUSY`: the mode is fixed, or the driver works on a buffer.
    pub(crate) fn set_mode(&self, mode: Mode) -> Result {
        let _one = self.joining.lock();
        let slots = || self.slots.iter().take(self.count() as usize);
        if slots().any(|slot| slot.owner.load(Relaxed) == TAKEN) {
            return Err(EBUSY);
        }
        let before = self.mode() as u32;
        if self.mode.cmpxchg(before, mode as u32, Full).is_err() {
            return Err(EBUSY);
        }
        for slot in slots() {
            self.give_out(slot, mode);
        }
        self.info.set_mode(mode);
        Ok(())
    }

    /// Whether the stream is stopped, runs, or is suspended.
    pub(crate) fn state(&self) -> State {
        State::from_word(self.state.load(Relaxed))
    }

    /// Whether the stream ran in this session and is stopped: what is queued is all that comes.
    pub(crate) fn is_ended(&self) -> bool {
        self.state() == State::Stopped && self.was_started()
    }

    /// Whether the stream ran in this session.
    pub(crate) fn was_started(&self) -> bool {
        self.started.load(Relaxed) != 0
    }

    pub(crate) fn set_started(&self) {
        self.started.store(1, Relaxed);
    }

    /// The session is about to end.
    pub(crate) fn set_closing(&self) {
        self.closing.store(1, Relaxed);
    }

    /// Whether the session is about to end. To be relied on under `Port::changing` alone.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Relaxed) != 0
    }

    pub(crate) fn set_state(&self, state: State) {
        self.state.store(state as u32, Relaxed);
        self.info.set_state(state);
    }

    /// One of the counters.
    pub(crate) fn counter(&self, counter: StreamCounter) -> &Atomic<u64> {
        let base = offset_of!(uapi::iostream_stream_info, counters);
        self.info.word(base + counter as usize)
    }

    /// Adds one to a counter that one end of the kernel's alone writes: who calls has that end.
    pub(crate) fn count_one(&self, counter: StreamCounter) {
        let word = self.counter(counter);
        word.store(word.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// The number of the next buffer that is sent. The caller has the end that sends.
    pub(crate) fn next_sequence(&self) -> u64 {
        let next = self.sequence.load(Relaxed);
        self.sequence.store(next.wrapping_add(1), Relaxed);
        next
    }

    /// A client has the session: it has references to the buffers that are its own from the start.
    pub(crate) fn begin(&self) {
        self.open.store(1, Relaxed);
        for (id, slot) in self.slots.iter().enumerate().take(self.count() as usize) {
            let with_client = slot.owner.load(Relaxed) == CLIENT;
            if let Some(record) = self.record(id as u32) {
                record.set_references(with_client.into());
            }
        }
    }

    /// The session has ended: nothing is out any more.
    pub(crate) fn end(&self) {
        for id in 0..self.count() {
            if let Some(record) = self.record(id) {
                record.set_references(0);
            }
        }
    }

    /// Takes a buffer that is free, beginning to look at `cursor`.
    pub(crate) fn take_free(&self, cursor: &mut u32) -> Option<u32> {
        let count = self.count();
        for step in 0..count {
            let id = cursor.wrapping_add(step) % count;
            let slot = &self.slots[id as usize];
            // ORDERING: pairs with the release store in `put_back`: what the last owner wrote comes
            // first (litmus: claim).
            if slot.owner.load(Relaxed) == FREE && slot.owner.cmpxchg(FREE, TAKEN, Full).is_ok() {
                *cursor = id.wrapping_add(1);
                return Some(id);
            }
        }
        None
    }

    /// Buffers that are free.
    pub(crate) fn free_count(&self) -> u32 {
        let slots = self.slots.iter().take(self.count() as usize);
        slots
            .filter(|slot| slot.owner.load(Relaxed) == FREE)
            .count() as u32
    }

    /// A taken buffer is free again.
    pub(crate) fn put_back(&self, id: u32) {
        if let Some((slot, ..)) = self.joined_slot(id) {
            // ORDERING: pairs with the exchange in `take_free` (litmus: claim).
            slot.owner.store(FREE, Release);
        }
    }

    /// Puts a taken buffer aside: neither the driver nor the client can have it.
    pub(crate) fn put_aside(&self, id: u32) {
        if let Some((slot, ..)) = self.joined_slot(id) {
            // Only the stop that is under way looks at it.
            slot.owner.store(ASIDE, Relaxed);
        }
    }

    /// Whether the buffer was put aside; it is the caller's then.
    pub(crate) fn take_aside(&self, id: u32) -> bool {
        self.joined_slot(id)
            .is_some_and(|(slot, ..)| slot.owner.cmpxchg(ASIDE, TAKEN, Relaxed).is_ok())
    }

    /// A taken buffer is the client's from here on.
    pub(crate) fn give_to_client(&self, id: u32) {
        if let Some((slot, memory, record)) = self.joined_slot(id) {
            record.set_references(1);
            memory.sync(SyncFor::Processor);
            // Whoever receives it back is the stream's only consumer, and comes after this one.
            slot.owner.store(CLIENT, Relaxed);
        }
    }

    /// A buffer that did not reach the client is the caller's again.
    pub(crate) fn take_from_client(&self, id: u32) {
        if let Some((slot, memory, record)) = self.joined_slot(id) {
            record.set_references(0);
            memory.sync(SyncFor::Device);
            slot.owner.store(TAKEN, Relaxed);
        }
    }

    /// Checks a descriptor of the client's against the kernel's own record, and takes its buffer.
    ///
    /// # Errors
    ///
    /// Why it is none; counted.
    pub(crate) fn accept(&self, descriptor: &Descriptor) -> Result<(), Reject> {
        let accepted = self.try_accept(descriptor);
        let counter = match accepted {
            Ok(()) => StreamCounter::Received,
            Err(Reject::Id) => StreamCounter::RejectedId,
            Err(Reject::Owner) => StreamCounter::RejectedOwner,
            Err(Reject::Range) => StreamCounter::RejectedRange,
            Err(Reject::Flags) => StreamCounter::RejectedFlags,
        };
        self.count_one(counter);
        accepted
    }

    fn try_accept(&self, descriptor: &Descriptor) -> Result<(), Reject> {
        descriptor.check_flags(uapi::IOSTREAM_DESCRIPTOR_UNUSED)?;
        if descriptor.buffer >= self.count() {
            return Err(Reject::Id);
        }
        let (slot, memory, record) = self.joined_slot(descriptor.buffer).ok_or(Reject::Id)?;
        descriptor.check_ranges(self.spec.data_bytes, self.spec.control_bytes)?;
        if slot.owner.cmpxchg(CLIENT, TAKEN, Full).is_err() {
            return Err(Reject::Owner);
        }
        record.set_references(0);
        memory.sync(SyncFor::Device);
        Ok(())
    }

    /// One letter for where each buffer is: `d`, the driver has it free; `t`, the driver works on
    /// it; `c`, the client has it.
    pub(crate) fn owners(&self) -> impl Iterator<Item = u8> + '_ {
        let slots = self.slots.iter().take(self.count() as usize);
        slots.map(|slot| match slot.owner.load(Relaxed) {
            FREE => b'd',
            TAKEN => b't',
            _ => b'c',
        })
    }
}
