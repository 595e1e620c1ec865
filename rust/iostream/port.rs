// SPDX-License-Identifier: GPL-2.0

//! A port: what a driver's ends, its node and the open session share.
//!
//! A port outlives sessions. While a session is open, its queues are published here and read under
//! RCU, so that a driver may produce in any context and a session may end at any time. A
//! registration can wait until no callback runs (`callbacks.rs`).

pub(crate) mod callbacks;
mod draining;
pub(crate) mod notices;
mod opening;
pub(crate) mod records;
mod resetting;
mod returning;
pub(crate) mod run;
pub(crate) mod served;
pub(crate) mod tokens;
mod watermark;

use core::ptr;

use kernel::{
    prelude::*,
    sync::{new_mutex, Arc, ArcBorrow, Mutex},
    workqueue::{impl_has_work, new_work, Work, WorkItem},
};

use crate::{
    channel::{lane::Lane, Channel},
    error::Error,
    memory::dma::DmaDevice,
    pool::spec::StreamSpec,
    queue::{
        config::{Direction, QueueConfig},
        Queue,
    },
    sync::{
        atomic::{Acquire, Atomic, Relaxed, Release},
        classes::{LockClasses, LockOf},
        deferred::{Deferred, Last},
        gate::{new_gate, Gate},
        kicks::Kicks,
        race::race_point,
        rcu::ReadSection,
        wait::WaitQueue,
    },
};
use records::Records;

use callbacks::{Callbacks, Callers};
use notices::Incoming;
use tokens::Notices;
use watermark::InputWatermark;

// The numbers of a port's work items. Number 0 drops the last reference.
/// Passes the notices of a stream's client to the driver.
const NOTICE_WORK: u64 = 1;
/// Tells the driver of input that has waited for the latency of the watermark.
const WATERMARK_WORK: u64 = 2;
/// Calls the driver of a stream once more, because it asked for it.
const AGAIN_WORK: u64 = 3;

/// Which queues a port has.
#[derive(Clone, Default)]
pub(crate) struct PortConfig {
    pub(crate) output: Option<QueueConfig>,
    pub(crate) input: Option<QueueConfig>,
    /// The stream that the queues belong to, if they are a stream's.
    pub(crate) stream: Option<StreamSpec>,
    /// Where calls of the driver come from.
    pub(crate) callers: Callers,
    /// How long a close waits until the driver has taken what the client has published; 0: not at
    /// all.
    pub(crate) drain_at_close_ns: u64,
}

/// Whether a port is gone, and what the open session has.
struct Occupancy {
    /// The registration is gone.
    gone: bool,
    /// The open session's queues, for process context outside of the session: sysfs, the driver's
    /// calls and removal.
    queues: Channel,
}

/// The place where a driver and one client at a time meet.
#[pin_data]
pub(crate) struct Port {
    /// How much input must wait before the driver is told. Declared first, so that its timer is
    /// stopped before the fields are dropped that the timer's callback uses.
    #[pin]
    input: InputWatermark,
    config: PortConfig,
    /// What a stream keeps beyond sessions.
    records: Option<Pin<KBox<Records>>>,
    /// Held while a stream's state or mode changes.
    #[pin]
    changing: Gate<()>,
    /// The thread that holds it, or 0.
    changer: Atomic<usize>,
    /// Of a stream: no buffer callback runs, since it does not run, or is being started, suspended
    /// or stopped.
    fenced: Atomic<u32>,
    /// Held while the driver is taken away.
    #[pin]
    revoking: Mutex<()>,
    /// One opener at a time is asked about.
    #[pin]
    opening: Gate<()>,
    /// Where openers wait that find all ports of the node open; of the first port alone.
    #[pin]
    pub(crate) openers: WaitQueue,
    /// Notices of a stream's client that no callback has taken yet.
    #[pin]
    pub(crate) notices: Notices,
    #[pin]
    notice_work: Work<Port, NOTICE_WORK>,
    #[pin]
    again_work: Work<Port, AGAIN_WORK>,
    /// The lanes of the open session, or null. Read under RCU.
    published: [Atomic<*mut Lane>; 2],
    #[pin]
    state: Mutex<Occupancy>,
    /// Set while a session has the port open, or is about to. Changed under `state`.
    open: Atomic<u32>,
    /// Set once the registration is gone, for readers without the lock.
    gone: Atomic<u32>,
    /// Set while a queue is taken back for a moment, to be reset or discarded.
    resetting: Atomic<u32>,
    /// How the driver is called.
    pub(crate) callbacks: Callbacks,
    /// Entries or frames that were refused, or reported lost, while no client had the port open.
    unopened: Atomic<u64>,
    #[pin]
    watermark_work: Work<Port, WATERMARK_WORK>,
    /// Where the driver's threads sleep that wait for the client.
    #[pin]
    pub(crate) kicks: Kicks,
    #[pin]
    work: Work<Port>,
    /// Of the locks above. Dropped last.
    _classes: Option<Arc<LockClasses>>,
}

// SAFETY: Only the raw pointers in `published` keep the type from being `Send`. They are written
// under `state` and read under RCU, in any thread.
unsafe impl Send for Port {}
// SAFETY: Only the raw pointers in `published` keep the type from being `Sync`. They are written
// under `state` and read under RCU, in any thread.
unsafe impl Sync for Port {}

impl_has_work! {
    impl HasWork<Self> for Port { self.work }
    impl HasWork<Self, NOTICE_WORK> for Port { self.notice_work }
    impl HasWork<Self, WATERMARK_WORK> for Port { self.watermark_work }
    impl HasWork<Self, AGAIN_WORK> for Port { self.again_work }
}

impl WorkItem for Port {
    type Pointer = Arc<Port>;

    fn run(port: Arc<Port>) {
        drop(port);
    }
}

impl Last for Port {}

/// A reference to a port that may be dropped in any context.
pub(crate) type PortRef = Deferred<Port>;

impl Port {
    /// Creates a port without a driver, which no session has open.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(mut config: PortConfig) -> Result<Arc<Self>> {
        if let Some(spec) = &mut config.stream {
            spec.classes = Some(LockClasses::new()?);
        }
        let stream = config.stream.as_ref();
        let classes = stream.and_then(|spec| spec.classes.clone());
        // SAFETY: The port keeps a reference to the classes.
        let key = |lock| unsafe { LockClasses::key(classes.as_ref(), lock) };
        let (changing, callbacks) = (key(LockOf::Changing), key(LockOf::Callbacks));
        let records = match &config.stream {
            Some(spec) => Some(KBox::pin_init(Records::new(spec.clone())?, GFP_KERNEL)?),
            None => None,
        };
        let callbacks = Callbacks::new(config.callers, callbacks)?;
        Arc::pin_init(
            pin_init!(Self {
                config,
                records,
                changing <- Gate::new((), c"iostream_changing", changing),
                changer: Atomic::new(0),
                fenced: Atomic::new(1),
                revoking <- new_mutex!((), "iostream_revoking"),
                opening <- new_gate!((), c"iostream_opening"),
                openers <- WaitQueue::new(kernel::static_lock_class!()),
                notices <- Notices::new(),
                notice_work <- new_work!("iostream_notices"),
                again_work <- new_work!("iostream_again"),
                published: [const { Atomic::new(ptr::null_mut()) }; 2],
                state <- new_mutex!(Occupancy {
                    gone: false,
                    queues: Channel::default(),
                }, "iostream_port"),
                open: Atomic::new(0),
                gone: Atomic::new(0),
                resetting: Atomic::new(0),
                callbacks,
                unopened: Atomic::new(0),
                input <- InputWatermark::new(),
                watermark_work <- new_work!("iostream_watermark"),
                kicks <- Kicks::new(),
                work <- new_work!("iostream_port"),
                _classes: classes,
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// The queue of this direction as each session gets it, if there is one.
    pub(crate) fn queue_config(&self, direction: Direction) -> Option<QueueConfig> {
        match direction {
            Direction::Output => self.config.output,
            Direction::Input => self.config.input,
        }
    }

    /// Whether there is a queue of this direction.
    pub(crate) fn has(&self, direction: Direction) -> bool {
        self.queue_config(direction).is_some()
    }

    /// How many entries or frames were refused, or reported lost, while no client had the port
    /// open.
    pub(crate) fn unopened(&self) -> u64 {
        self.unopened.load(Relaxed)
    }

    /// Whether the registration is gone.
    pub(crate) fn is_gone(&self) -> bool {
        // ORDERING: pairs with the release store in `revoke` (litmus: gone-port).
        self.gone.load(Acquire) != 0
    }

    /// Runs `f` with the open session's lane, in an RCU read-side section. `f` must not sleep.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`] after the registration was dropped; [`Error::NotOpen`] without a session, and
    /// while the queue is being reset; [`Error::Stopped`] while a stop discards what a stream has
    /// queued; the error of `f`.
    #[inline(always)]
    pub(crate) fn with_lane<R>(
        &self,
        direction: Direction,
        f: impl FnOnce(&Lane) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.with_counted_lane(direction, |lane| f(&lane))
    }

    /// Does what [`Self::with_lane`] does. `f` can take references to the lane that outlive the
    /// section.
    ///
    /// # Errors
    ///
    /// Those of [`Self::with_lane`].
    #[inline(always)]
    pub(crate) fn with_counted_lane<R>(
        &self,
        direction: Direction,
        f: impl FnOnce(ArcBorrow<'_, Lane>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let _rcu = ReadSection::enter();
        // ORDERING: pairs with the release store in `publish`: a reader that finds the lane finds
        // it complete (litmus: publish-pointer, retire).
        let lane = self.published[direction as usize].load(Acquire);
        race_point!("lane-found");
        if lane.is_null() {
            return Err(self.why_no_queue());
        }
        // SAFETY: `publish` stored the pointer of an `Arc`. A lane is freed only after its pointer
        // was taken back and a grace period has passed, which waits for this section.
        f(unsafe { ArcBorrow::from_raw(lane) })
    }

    #[cold]
    fn why_no_queue(&self) -> Error {
        if self.is_gone() {
            return Error::Gone;
        }
        // A reset is to a driver what a close and an open are. A stream's queues are taken back by a
        // stop alone.
        if self.records.is_some() && self.resetting.load(Relaxed) != 0 {
            return Error::Stopped;
        }
        Error::NotOpen
    }

    /// Whether a thread that waits, and found no queue after it had counted `kicks`, has to look
    /// again: a queue is being reset, or something has happened since.
    #[cold]
    pub(crate) fn may_be_back(&self, kicks: u32) -> bool {
        // ORDERING: pairs with the release store at the end of a reset: who finds no reset any more
        // finds its kick (litmus: gone-port).
        self.resetting.load(Acquire) != 0 || self.kicks.count() != kicks
    }

    /// Counts entries or frames that were refused, or reported lost, while no client had the port
    /// open.
    #[cold]
    pub(crate) fn count_unopened(&self, lost: u64) {
        self.unopened.add(lost, Relaxed);
    }

    /// Takes the driver away permanently: wakes all waiters, and waits until no callback runs. A
    /// second call waits for the first, and then does nothing.
    pub(crate) fn revoke(&self) {
        self.revoke_driver(true);
    }

    /// Takes a driver away whose module is being unloaded. Does what [`Self::revoke`] does, except
    /// that the driver is not called: the stream is stopped without it.
    pub(crate) fn revoke_unloaded(&self) {
        self.revoke_driver(false);
    }

    fn revoke_driver(&self, may_be_called: bool) {
        let _one = self.revoking.lock();
        let queues = {
            let mut state = self.state.lock();
            state.gone = true;
            // ORDERING: pairs with the acquire load in `is_gone` (litmus: gone-port).
            self.gone.store(1, Release);
            for slot in &self.published {
                slot.store(ptr::null_mut(), Release);
            }
            core::mem::take(&mut state.queues)
        };
        race_point!("revoke-unpublished");
        for queue in queues.iter() {
            queue.set_gone();
        }
        self.kicks.kick();
        if !may_be_called {
            self.callbacks.revoke();
        }
        if let Some(pool) = queues.pool() {
            self.stop_for_good(pool);
        }
        self.callbacks.revoke();
        // The port's drop does this as well, unless the driver leaks its reference.
        self.stop_input_timer();
        // The driver's device is at rest since `stop_for_good`, and may be unbound after this.
        if let Some(dma) = self.dma() {
            dma.close();
        }
        queues.release();
    }

    /// The device that the stream's buffers are mapped for, if there is one.
    pub(crate) fn dma(&self) -> Option<&DmaDevice> {
        let spec = self.config.stream.as_ref()?;
        spec.dma.as_ref().map(|binding| &**binding.device())
    }

    /// Tells the driver that the client has published: wakes its threads that sleep, and runs its
    /// callback. In an input queue this waits until the watermark is reached.
    pub(crate) fn notify(&self, queue: &Queue) {
        let direction = queue.direction();
        if direction == Direction::Output || self.is_due(queue) {
            self.deliver(direction);
        }
    }

    /// Tells the driver that the client has published, even below the watermark.
    pub(crate) fn notify_flushed(&self, queue: &Queue) {
        if queue.direction() == Direction::Input {
            self.mark_input_ready(queue);
        }
        self.deliver(queue.direction());
    }

    fn deliver(&self, direction: Direction) {
        self.kicks.kick();
        self.callbacks.set_pending(direction);
        self.dispatch(direction);
    }

    /// Runs the callback of a direction if it is pending. The driver of a stream that does not run
    /// is not called: its callback stays pending until the next start.
    pub(crate) fn dispatch(&self, direction: Direction) {
        // Looked at inside the SRCU section, in which a fence waits for the callback.
        let may_run = || self.incoming().is_some();
        self.callbacks.run_pending(direction, may_run, |driver| {
            match (direction, self.incoming()) {
                (Direction::Output, _) | (Direction::Input, Some(Incoming::FreeBuffers)) => {
                    driver.room_available();
                }
                (Direction::Input, _) => driver.data_available(),
            }
        });
    }

    /// Enables callbacks, and runs those that became due while they were disabled.
    pub(crate) fn enable_callbacks(&self) {
        self.callbacks.enable();
        self.dispatch(Direction::Output);
        self.dispatch(Direction::Input);
        self.run_notices();
    }

    /// Runs `f` with the open session's queue of a direction, if there is one. Process context.
    pub(crate) fn with_open_queue<R>(
        &self,
        direction: Direction,
        f: impl FnOnce(&Queue) -> R,
    ) -> Option<R> {
        let state = self.state.lock();
        state.queues.get(direction).map(|queue| f(queue))
    }

    /// The open session's lane of a direction, if there is one. Process context.
    #[inline(never)]
    pub(crate) fn open_lane(&self, direction: Direction) -> Option<Arc<Lane>> {
        self.state.lock().queues.get(direction).cloned()
    }

    /// Runs `f` while no session opens or closes. `f` gets whether a session is open or about to
    /// be, and its queues if it is open.
    pub(crate) fn while_open_or_not<R>(&self, f: impl FnOnce(bool, Option<&Channel>) -> R) -> R {
        let state = self.state.lock();
        let open = state.queues.iter().next().is_some();
        f(self.is_open(), open.then_some(&state.queues))
    }

    /// What a stream keeps beyond sessions; `None` if the port has queues of entries.
    pub(crate) fn records(&self) -> Option<&Records> {
        self.records.as_deref()
    }
}

/// Publishes a lane, or null if there is none.
fn publish(slot: &Atomic<*mut Lane>, lane: Option<&Arc<Lane>>) {
    let pointer = lane.map_or(ptr::null(), Arc::as_ptr);
    // ORDERING: pairs with the acquire load in `Port::with_lane` (litmus: publish-pointer).
    slot.store(pointer.cast_mut(), Release);
}
