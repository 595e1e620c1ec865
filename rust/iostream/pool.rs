// SPDX-License-Identifier: GPL-2.0

//! The buffers of one session of a stream: their memory, their owners, and the stream's info page.
//!
//! # The owner of a buffer
//!
//! ```text
//! FREE        free: the driver owns it, and does nothing with it
//! HELD        held by the driver, as a Buffer
//! CLIENT      with the client, or queued
//! RETURNING   taken out of the input queue by a stop, which is about to send it back
//! ```
//!
//! This record is the kernel's own. A process changes it only by a valid descriptor of a buffer
//! that is marked `CLIENT`.

pub(crate) mod clock;
pub(crate) mod counters;
pub(crate) mod descriptor;
pub(crate) mod frames;
mod free;
pub(crate) mod memory;
mod mode;
pub(crate) mod record;
pub(crate) mod spare;
pub(crate) mod spec;
pub(crate) mod state;

use kernel::{
    prelude::*,
    sync::{new_spinlock_irq, Arc, SetOnce, SpinLockIrq},
    workqueue::{impl_has_work, new_work, Work, WorkItem},
};

use crate::{
    bindings,
    memory::{account::Account, dma::SyncFor},
    ring::uapi,
    sync::{
        atomic::{Acquire, Atomic, Full, Relaxed, Release},
        deferred::{Deferred, Last},
        gate::{new_gate, Gate, Patience},
        race::race_point,
    },
};
pub(crate) use counters::StreamCounter;
use descriptor::{Descriptor, Reject};
use frames::Frames;
use free::Free;
use memory::{BufferMemory, InfoPage};
use record::BufferRecord;
use spare::Spare;
use spec::{Mode, StreamSpec};
use state::State;

// The values of a buffer's owner word. The table above explains them.
const FREE: u32 = 0;
const HELD: u32 = 1;
const CLIENT: u32 = 2;
const RETURNING: u32 = 3;

/// The place of one buffer in one session.
struct BufferSlot {
    /// The buffer's memory and record, once it has joined the session.
    joined: SetOnce<(BufferMemory, BufferRecord)>,
    /// `FREE`, `HELD`, `CLIENT` or `RETURNING`. A `FREE` buffer is in the list of free ones, or
    /// about to get there or about to be held. Until it joins, it counts as `CLIENT`.
    owner: Atomic<u32>,
}

/// The buffers of one session.
///
/// # Invariants
///
/// - The first `joined` slots are populated. The number only grows.
/// - A buffer that is `HELD` belongs to one [`Buffer`](crate::Buffer), which alone uses its
///   memory, or to the function that is about to create or consume this `Buffer`.
#[pin_data]
pub(crate) struct Pool {
    spec: StreamSpec,
    /// What the memory of buffers counts against.
    account: Account,
    info: InfoPage,
    slots: KVVec<BufferSlot>,
    /// How many buffers have joined.
    joined: Atomic<u32>,
    /// The buffers that are free.
    #[pin]
    free: Free,
    /// Held while the kernel's end of the output queue is used, which the driver's `Stream` shares
    /// with whoever drops a buffer in input mode; not if the stream stays in output mode. Any
    /// context. Innermost, but for the locks of `free`, of the watermark and of those who are woken.
    #[pin]
    pub(crate) sending: SpinLockIrq<()>,
    /// The mode, and the flags of `mode.rs`.
    mode: Atomic<u32>,
    state: Atomic<u32>,
    /// Set once the stream has run in this session.
    started: Atomic<u32>,
    /// Set once write(2) has sent a buffer.
    written: Atomic<u32>,
    /// Set if poll started it, until the process starts it itself.
    started_by_poll: Atomic<u32>,
    /// Set once a client has the session. Until then no record counts a reference.
    open: Atomic<u32>,
    /// Set when the session is about to end: the stream is not started again.
    closing: Atomic<u32>,
    /// What was sent and lost in this session.
    pub(crate) frames: Frames,
    /// Held while buffers are added, or their owners set anew for another mode.
    #[pin]
    joining: Gate<()>,
    /// The client's buffers that are in no queue, if the kernel plays the client's part.
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
    /// Creates a pool with room for `max_buffers`, and no buffers yet. Its memory, and that of its
    /// buffers, counts in `account`.
    ///
    /// # Errors
    ///
    /// `EDQUOT`; `ENOMEM`.
    pub(crate) fn new(spec: StreamSpec, max_buffers: u32, account: &Account) -> Result<Arc<Self>> {
        let mut slots = KVVec::with_capacity(max_buffers as usize, GFP_KERNEL_ACCOUNT)?;
        for _ in 0..max_buffers {
            let slot = BufferSlot {
                joined: SetOnce::new(),
                owner: Atomic::new(CLIENT),
            };
            slots.push(slot, GFP_KERNEL_ACCOUNT)?;
        }
        let info = InfoPage::new(spec.mode, spec.clock, account)?;
        let spare = Spare::new(max_buffers)?;
        let free = Free::new(max_buffers)?;
        Arc::pin_init(
            pin_init!(Self {
                spec,
                info,
                slots,
                joined: Atomic::new(0),
                free <- free,
                sending <- new_spinlock_irq!((), "iostream_sending"),
                mode: Atomic::new(spec.mode as u32),
                state: Atomic::new(State::Stopped as u32),
                started: Atomic::new(0),
                written: Atomic::new(0),
                started_by_poll: Atomic::new(0),
                open: Atomic::new(0),
                closing: Atomic::new(0),
                frames: Frames::new(),
                joining <- new_gate!((), c"iostream_join"),
                spare <- spare,
                account: account.clone(),
                work <- new_work!("iostream_pool"),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Adds buffers until there is one for each of `records`. Their memory is charged to the
    /// calling task. Sleeps.
    ///
    /// # Errors
    ///
    /// `EDQUOT`; `ENOMEM`; `EINTR`; `ERESTARTSYS`. Buffers that have joined by then stay.
    pub(crate) fn join(&self, records: &[BufferRecord]) -> Result {
        let _one = self.joining.enter(Patience::UntilSignal)?;
        let known = self.count() as usize;
        for (id, record) in records.iter().enumerate().skip(known) {
            let Some(slot) = self.slots.get(id) else {
                break;
            };
            let memory = BufferMemory::new(&self.spec, &self.account)?;
            race_point!("buffer-joins");
            slot.joined.populate((memory, record.clone()));
            let free = self.set_first_owner(slot, self.mode());
            // ORDERING: pairs with the acquire load in `count`: a reader that sees the number sees
            // the populated slot (litmus: publish-pointer).
            self.joined.store(id as u32 + 1, Release);
            if free {
                self.free.push(id as u32, || {});
            }
        }
        Ok(())
    }

    /// Hands a buffer to its initial owner for this mode. Returns whether it has become free; then
    /// the caller adds it to the list of free ones.
    fn set_first_owner(&self, slot: &BufferSlot, mode: Mode) -> bool {
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
        // A buffer that the driver has taken meanwhile stays with the driver.
        // ORDERING: pairs with the exchange of the next owner, in `take_free` or `try_accept`: the
        // synchronisation above comes before what that one does with the memory (litmus: claim).
        if to_client {
            let _was_free = slot.owner.cmpxchg(FREE, CLIENT, Full);
            return false;
        }
        slot.owner.cmpxchg(CLIENT, FREE, Full).is_ok()
    }

    /// How the driver described the stream.
    pub(crate) fn spec(&self) -> &StreamSpec {
        &self.spec
    }

    /// The stream's info page.
    pub(crate) fn info(&self) -> &InfoPage {
        &self.info
    }

    /// How many buffers have joined this session.
    pub(crate) fn count(&self) -> u32 {
        // ORDERING: pairs with the release store in `join` (litmus: publish-pointer).
        self.joined.load(Acquire)
    }

    /// How many buffers can join this session.
    pub(crate) fn max_buffers(&self) -> u32 {
        self.slots.len() as u32
    }

    /// The memory of a buffer, if it has joined.
    pub(crate) fn memory(&self, id: u32) -> Option<&BufferMemory> {
        self.joined_slot(id).map(|(_, memory, _)| memory)
    }

    /// The record of a buffer, if it has joined.
    pub(crate) fn record(&self, id: u32) -> Option<&BufferRecord> {
        self.joined_slot(id).map(|(_, _, record)| record)
    }

    fn joined_slot(&self, id: u32) -> Option<(&BufferSlot, &BufferMemory, &BufferRecord)> {
        let slot = self.slots.get(id as usize)?;
        let (memory, record) = slot.joined.as_ref()?;
        Some((slot, memory, record))
    }

    /// Whether the stream is stopped, runs, or is suspended.
    pub(crate) fn state(&self) -> State {
        State::from_word(self.state.load(Relaxed))
    }

    /// The state that was published last. Between a stop and its publication, the buffers that it
    /// takes back are still to come.
    pub(crate) fn shown_state(&self) -> State {
        self.info.state()
    }

    /// Whether the stream has run in this session and is stopped: nothing comes after what is
    /// queued.
    pub(crate) fn is_ended(&self) -> bool {
        self.shown_state() == State::Stopped && self.was_started()
    }

    /// Whether the stream has run in this session and is stopped, shown or not: nothing more is to
    /// be sent to the driver.
    pub(crate) fn has_stopped(&self) -> bool {
        self.state() == State::Stopped && self.was_started()
    }

    /// Whether the stream has run in this session.
    pub(crate) fn was_started(&self) -> bool {
        self.started.load(Relaxed) != 0
    }

    /// Notes that the stream has run in this session.
    pub(crate) fn set_started(&self) {
        self.started.store(1, Relaxed);
    }

    /// Notes that write(2) has sent a buffer.
    pub(crate) fn set_written(&self) {
        self.written.store(1, Relaxed);
    }

    /// Whether write(2) has sent a buffer in this session.
    pub(crate) fn was_written(&self) -> bool {
        self.written.load(Relaxed) != 0
    }

    /// Notes that poll has started the stream, for a program that may start it itself afterwards.
    pub(crate) fn set_started_by_poll(&self) {
        self.started_by_poll.store(1, Relaxed);
    }

    /// Whether [`Self::set_started_by_poll`] was called since this was called last.
    pub(crate) fn take_started_by_poll(&self) -> bool {
        self.started_by_poll.xchg(0, Relaxed) != 0
    }

    /// Notes that the session is about to end.
    pub(crate) fn set_closing(&self) {
        self.closing.store(1, Relaxed);
    }

    /// Whether the session is about to end. Only reliable while `Port::changing` is held.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Relaxed) != 0
    }

    /// Sets the state, here and in the info page.
    pub(crate) fn set_state(&self, state: State) {
        self.enter(state);
        self.publish_state();
    }

    /// Sets the state for the kernel alone, which acts by it from now on.
    pub(crate) fn enter(&self, state: State) {
        self.state.store(state as u32, Relaxed);
    }

    /// Lets the client see the state. A client that finds the stream stopped, and then nothing in
    /// the output queue, expects nothing more: so a stop publishes last.
    pub(crate) fn publish_state(&self) {
        self.info.set_state(self.state());
    }

    /// A client has opened the session: counts its references to the buffers that are with it from
    /// the start.
    pub(crate) fn begin(&self) {
        self.open.store(1, Relaxed);
        for (id, slot) in self.slots.iter().enumerate().take(self.count() as usize) {
            let with_client = slot.owner.load(Relaxed) == CLIENT;
            if let Some(record) = self.record(id as u32) {
                record.set_references(with_client.into());
            }
        }
    }

    /// Clears the counts of references in all records, because the session has ended.
    pub(crate) fn end(&self) {
        for id in 0..self.count() {
            if let Some(record) = self.record(id) {
                record.set_references(0);
            }
        }
    }

    /// Takes a free buffer for the driver to hold: the one that has been free for the longest time.
    pub(crate) fn take_free(&self) -> Option<u32> {
        loop {
            let id = self.free.pop()?;
            let (slot, ..) = self.joined_slot(id)?;
            // ORDERING: pairs with the release store in `put_back`: what the previous holder wrote
            // comes before what this one does (litmus: claim).
            if slot.owner.cmpxchg(FREE, HELD, Full).is_ok() {
                return Some(id);
            }
        }
    }

    /// How many buffers are free.
    pub(crate) fn free_count(&self) -> u32 {
        self.free.count()
    }

    /// Frees a buffer that was held.
    pub(crate) fn put_back(&self, id: u32) {
        if let Some((slot, ..)) = self.joined_slot(id) {
            // ORDERING: pairs with the exchange in `take_free` (litmus: claim).
            let free = || slot.owner.store(FREE, Release);
            self.free.push(id, free);
        }
    }

    /// Marks a held buffer as returning: neither the driver nor the client can use it.
    pub(crate) fn mark_returning(&self, id: u32) {
        if let Some((slot, ..)) = self.joined_slot(id) {
            // No ordering: only the stop that is under way looks for this value.
            slot.owner.store(RETURNING, Relaxed);
        }
    }

    /// Takes a buffer that was marked as returning. Returns whether it was; then the caller holds
    /// it.
    pub(crate) fn take_returning(&self, id: u32) -> bool {
        self.joined_slot(id)
            .is_some_and(|(slot, ..)| slot.owner.cmpxchg(RETURNING, HELD, Relaxed).is_ok())
    }

    /// Gives a held buffer to the client.
    pub(crate) fn give_to_client(&self, id: u32) {
        if let Some((slot, memory, record)) = self.joined_slot(id) {
            record.set_references(1);
            memory.sync(SyncFor::Processor);
            // No ordering: the stream's only consumer receives it back, after the queue has
            // carried it to the client and back.
            slot.owner.store(CLIENT, Relaxed);
        }
    }

    /// Takes back a buffer whose descriptor did not reach the queue. The caller holds it again.
    pub(crate) fn take_from_client(&self, id: u32) {
        if let Some((slot, memory, record)) = self.joined_slot(id) {
            record.set_references(0);
            memory.sync(SyncFor::Device);
            slot.owner.store(HELD, Relaxed);
        }
    }

    /// Checks a client's descriptor against the kernel's own record, and takes its buffer
    /// for the driver to hold.
    ///
    /// # Errors
    ///
    /// The reason why the descriptor is refused. It has been counted.
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

    /// The bytes of data that came with a client's descriptor. A client fills no buffer of an output
    /// stream, and none that it returns unused.
    pub(crate) fn bytes_from_client(&self, descriptor: &Descriptor) -> u64 {
        if descriptor.is_unused() || self.mode() == Mode::Output {
            return 0;
        }
        descriptor.data_len.into()
    }

    fn try_accept(&self, descriptor: &Descriptor) -> Result<(), Reject> {
        descriptor.check_flags(uapi::IOSTREAM_DESCRIPTOR_UNUSED)?;
        descriptor.check_zeros()?;
        if descriptor.buffer >= self.count() {
            return Err(Reject::Id);
        }
        // A processor that runs ahead of the comparison above must not reach beyond the slots with a
        // process's number.
        // SAFETY: The function has no preconditions.
        let id = unsafe { bindings::iostream_index_nospec(descriptor.buffer, self.count()) };
        let (slot, memory, record) = self.joined_slot(id).ok_or(Reject::Id)?;
        descriptor.check_ranges(self.spec.data_bytes, self.spec.control_bytes)?;
        // ORDERING: pairs with the store that gave the buffer to the client: what the previous holder
        // did with its memory comes before what the driver does (litmus: claim).
        if slot.owner.cmpxchg(CLIENT, HELD, Full).is_err() {
            return Err(Reject::Owner);
        }
        record.set_references(0);
        memory.sync(SyncFor::Device);
        Ok(())
    }

    /// One letter for each buffer: `f` if it is free, `h` if it is held by the driver, `c` if it is
    /// with the client or queued.
    pub(crate) fn owners(&self) -> impl Iterator<Item = u8> + '_ {
        let slots = self.slots.iter().take(self.count() as usize);
        slots.map(|slot| match slot.owner.load(Relaxed) {
            FREE => b'f',
            HELD => b'h',
            _ => b'c',
        })
    }
}
