// SPDX-License-Identifier: GPL-2.0

//! A port: what a driver's handles, its node, and the session that is open on it share.
//!
//! A port outlives sessions. While one is open, its queues are published here and read under RCU,
//! so that a driver may produce in any context and a session may end at any time. Callbacks run in
//! an SRCU section, so that a registration can wait until none runs.

use core::ptr;

use kernel::{
    prelude::*,
    sync::{
        atomic::{Acquire, Atomic, Full, Relaxed, Release},
        barrier::smp_mb,
        new_mutex, rcu, srcu, Arc, Mutex, Srcu,
    },
    workqueue::{impl_has_work, new_work, Work, WorkItem},
};

use crate::{
    config::{Direction, QueueConfig},
    driver::{Driver, Opener},
    error::Error,
    notify::WaitQueue,
    queue::Queue,
    stream::{config::StreamSpec, pool::Pool, state::State as StreamState, Mode, Notices, Records},
    work,
};

/// Callbacks run, wait until they are enabled again, or never run again.
const ENABLED: u32 = 0;
const DISABLED: u32 = 1;
const CANCELLED: u32 = 2;

/// Which of a port's work items runs notices.
const NOTICE_WORK: u64 = 1;

/// Which queues a port has.
#[derive(Clone, Copy, Default)]
pub(crate) struct PortConfig {
    pub(crate) output: Option<QueueConfig>,
    pub(crate) input: Option<QueueConfig>,
    /// The queues are a stream's.
    pub(crate) stream: Option<StreamSpec>,
}

/// The driver of a port, as callbacks find it. Lives as long as its registration.
pub(crate) struct Slot(pub(crate) *const dyn Driver);

/// The queues of one session.
#[derive(Clone, Default)]
pub(crate) struct SessionQueues([Option<Arc<Queue>>; 2]);

impl SessionQueues {
    /// New queues; of a stream if there is a pool.
    ///
    /// # Errors
    ///
    /// As [`Queue::new`].
    pub(crate) fn new(
        output: Option<QueueConfig>,
        input: Option<QueueConfig>,
        pool: Option<&Arc<Pool>>,
    ) -> Result<Self> {
        let make = |direction, config: Option<QueueConfig>| match config {
            Some(config) => Queue::new(direction, config, pool.cloned()).map(Some),
            None => Ok(None),
        };
        Ok(Self([
            make(Direction::Output, output)?,
            make(Direction::Input, input)?,
        ]))
    }

    /// Lets go of queues that were published, or might have been.
    pub(crate) fn retire(self) {
        for queue in self.0.into_iter().flatten() {
            Queue::retire(queue);
        }
    }

    /// The queue of a direction, if the session has one.
    pub(crate) fn get(&self, direction: Direction) -> Option<&Arc<Queue>> {
        match direction {
            Direction::Output => self.0[0].as_ref(),
            Direction::Input => self.0[1].as_ref(),
        }
    }

    /// All there are.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Queue>> {
        self.0.iter().flatten()
    }
}

/// Who has a port open.
struct State {
    /// A session has it open.
    open: bool,
    /// Its registration is gone.
    gone: bool,
    /// The session's queues, for those who look from outside: sysfs and removal.
    queues: SessionQueues,
}

/// See the module.
#[pin_data]
pub(crate) struct Port {
    config: PortConfig,
    /// The buffers of a stream, beyond sessions.
    records: Option<Pin<KBox<Records>>>,
    /// One change of a stream's state at a time.
    #[pin]
    pub(crate) changing: Mutex<()>,
    /// Notices of a stream's client that no callback has taken yet.
    #[pin]
    notices: Notices,
    #[pin]
    notice_work: Work<Port, NOTICE_WORK>,
    /// The queues of the open session, or null. Read under RCU.
    published: [Atomic<*mut Queue>; 2],
    #[pin]
    state: Mutex<State>,
    gone: Atomic<u32>,
    /// A queue is taken back for a moment, to be reset.
    resetting: Atomic<u32>,
    /// The driver, or null. Read under `srcu`.
    slot: Atomic<*mut Slot>,
    #[pin]
    srcu: Srcu,
    callbacks: Atomic<u32>,
    /// Notifications that no callback has taken yet.
    pending: [Atomic<u32>; 2],
    /// Entries refused because nobody had the port open.
    unopened: Atomic<u64>,
    /// Where the kernel's ends sleep.
    #[pin]
    wait: WaitQueue,
    /// Raised each time they are woken.
    kicks: Atomic<u32>,
    #[pin]
    work: Work<Port>,
}

// SAFETY: The pointers are read and replaced by the rules of RCU and SRCU; see each.
unsafe impl Send for Port {}
// SAFETY: As above.
unsafe impl Sync for Port {}

impl_has_work! {
    impl HasWork<Self> for Port { self.work }
    impl HasWork<Self, NOTICE_WORK> for Port { self.notice_work }
}

impl WorkItem for Port {
    type Pointer = Arc<Port>;

    fn run(port: Arc<Port>) {
        drop(port);
    }
}

impl WorkItem<NOTICE_WORK> for Port {
    type Pointer = Arc<Port>;

    fn run(port: Arc<Port>) {
        port.run_notices();
    }
}

impl Port {
    pub(crate) fn new(config: PortConfig) -> Result<Arc<Self>> {
        let records = match config.stream {
            Some(spec) => Some(KBox::pin_init(Records::new(spec)?, GFP_KERNEL)?),
            None => None,
        };
        Arc::pin_init(
            try_pin_init!(Self {
                config,
                records,
                changing <- new_mutex!((), "iostream_changing"),
                notices <- Notices::new(),
                notice_work <- new_work!("iostream_notices"),
                published: [const { Atomic::new(ptr::null_mut()) }; 2],
                state <- new_mutex!(State {
                    open: false,
                    gone: false,
                    queues: SessionQueues::default(),
                }, "iostream_port"),
                gone: Atomic::new(0),
                resetting: Atomic::new(0),
                slot: Atomic::new(ptr::null_mut()),
                srcu <- srcu::new_srcu!("iostream_callbacks"),
                callbacks: Atomic::new(ENABLED),
                pending: [const { Atomic::new(0) }; 2],
                unopened: Atomic::new(0),
                wait <- WaitQueue::new(kernel::static_lock_class!()),
                kicks: Atomic::new(0),
                work <- new_work!("iostream_port"),
            }),
            GFP_KERNEL,
        )
    }

    /// Whether there is a queue of this direction.
    pub(crate) fn has(&self, direction: Direction) -> bool {
        match direction {
            Direction::Output => self.config.output.is_some(),
            Direction::Input => self.config.input.is_some(),
        }
    }

    /// Entries refused because nobody had the port open.
    pub(crate) fn unopened(&self) -> u64 {
        self.unopened.load(Relaxed)
    }

    /// Whether the registration is gone.
    pub(crate) fn is_gone(&self) -> bool {
        // ORDERING: pairs with the release store in `revoke` (litmus: gone-port).
        self.gone.load(Acquire) != 0
    }

    /// Runs `f` with the open session's queue, without sleeping.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`]; [`Error::NotOpen`]; [`Error::Stale`] while the queue is being reset.
    #[inline(always)]
    pub(crate) fn with_queue<R>(
        &self,
        direction: Direction,
        f: impl FnOnce(&Queue) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let _rcu = rcu::read_lock();
        // ORDERING: pairs with the release store in `publish`: the queue is whole
        // (litmus: publish-pointer, retire).
        let queue = self.published[direction as usize].load(Acquire);
        if queue.is_null() {
            return Err(self.why_no_queue());
        }
        // SAFETY: Whoever takes a queue back waits for a grace period before it goes.
        f(unsafe { &*queue })
    }

    #[cold]
    fn why_no_queue(&self) -> Error {
        if self.is_gone() {
            return Error::Gone;
        }
        if self.resetting.load(Relaxed) != 0 {
            return Error::Stale;
        }
        Error::NotOpen
    }

    /// Counts an entry that was refused because nobody had the port open.
    #[cold]
    pub(crate) fn count_unopened(&self) {
        self.unopened.add(1, Relaxed);
    }

    /// Opens the port for one session: makes the queues, asks the driver about `opener` if there is
    /// one, publishes them.
    ///
    /// # Errors
    ///
    /// `ENODEV`: the registration is gone; `EBUSY`: another session has it; the driver's own; what
    /// [`Queue::new`] returns.
    pub(crate) fn open(&self, opener: Option<&Opener<'_>>) -> Result<SessionQueues> {
        {
            let mut state = self.state.lock();
            if state.gone {
                return Err(ENODEV);
            }
            if state.open {
                return Err(EBUSY);
            }
            state.open = true;
        }
        let opened = self.open_claimed(opener);
        if opened.is_err() {
            self.state.lock().open = false;
        }
        opened
    }

    fn open_claimed(&self, opener: Option<&Opener<'_>>) -> Result<SessionQueues> {
        let queues = match &self.records {
            Some(records) => records.new_session()?,
            None => SessionQueues::new(self.config.output, self.config.input, None)?,
        };
        if let Some(opener) = opener {
            self.call(|driver| driver.open(opener))
                .unwrap_or(Err(ENODEV))?;
        }
        let mut state = self.state.lock();
        if state.gone {
            // Nobody but this call knows the queues.
            return Err(ENODEV);
        }
        for (slot, queue) in self.published.iter().zip(&queues.0) {
            publish(slot, queue.as_ref());
        }
        state.queues = queues.clone();
        Ok(queues)
    }

    /// Ends the session: takes its queues back and tells the driver.
    pub(crate) fn close(&self, queues: SessionQueues) {
        if let Some(pool) = queues.pool() {
            self.stop_for_good(pool);
        }
        let outside = {
            let mut state = self.state.lock();
            for slot in &self.published {
                slot.store(ptr::null_mut(), Release);
            }
            core::mem::take(&mut state.queues)
        };
        // Kernel ends that wait for the process learn that it is gone.
        self.kick();
        if self.records.is_some() {
            // What this client said is not for the next.
            self.notices.clear();
            self.srcu.synchronize();
        }
        let _ = self.call(|driver| driver.closed());
        drop(outside);
        queues.retire();
        self.state.lock().open = false;
    }

    /// Empties one queue of the session: both kernel ends quiesced, positions zero, generation
    /// raised. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENODEV`: the registration is gone; `EBUSY`: a read(2) or write(2) is at the queue.
    pub(crate) fn reset(&self, queue: &Arc<Queue>) -> Result {
        // No read(2) or write(2) may be at the process's end. Not to be waited for: one that copies
        // may wait for a page of the process's for as long as the process likes.
        let _call = queue.call_lock.try_lock().ok_or(EBUSY)?;
        // SAFETY: The queue was taken back, and a grace period has passed.
        self.with_ends_quiesced(&[queue.direction()], |_| unsafe { queue.reset() })
    }

    /// Runs `f` while the kernel's ends of these directions are not at work: their queues are taken
    /// back for that long. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENODEV`: the registration is gone, or the session's queues are.
    pub(crate) fn with_ends_quiesced<R>(
        &self,
        directions: &[Direction],
        f: impl FnOnce(&SessionQueues) -> R,
    ) -> Result<R> {
        // This lock keeps out `close`, `revoke` and another such call.
        let state = self.state.lock();
        if state.gone {
            return Err(ENODEV);
        }
        // Only for the error that ends meanwhile get, so it needs no order.
        self.resetting.store(1, Relaxed);
        for direction in directions {
            // ORDERING: the grace period pairs with the section in `with_queue` (litmus: retire).
            self.published[*direction as usize].store(ptr::null_mut(), Release);
        }
        rcu::synchronize_rcu();
        let result = f(&state.queues);
        for direction in directions {
            publish(
                &self.published[*direction as usize],
                state.queues.get(*direction),
            );
        }
        self.resetting.store(0, Relaxed);
        drop(state);
        self.kick();
        Ok(result)
    }

    /// Wakes the kernel's ends.
    pub(crate) fn kick(&self) {
        self.kicks.fetch_add(1, Full);
        self.wait.wake_all(0);
    }

    /// How often they were woken. Read it, look at the rings, then wait for it to change.
    pub(crate) fn kicks(&self) -> u32 {
        // ORDERING: pairs with the full read-modify-write in `kick` (litmus: kick).
        self.kicks.load(Acquire)
    }

    /// Sleeps until the number of kicks is not `seen` any more; until any signal if
    /// `interruptible`, else a fatal one; and at most `timeout_ns`.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`]; [`Error::TimedOut`].
    pub(crate) fn wait_for_kick(
        &self,
        seen: u32,
        timeout_ns: Option<u64>,
        interruptible: bool,
    ) -> Result<(), Error> {
        let kicked = || self.kicks() != seen;
        match self.wait.wait(interruptible, timeout_ns, kicked) {
            Ok(()) => Ok(()),
            Err(error) if error == ETIMEDOUT => Err(Error::TimedOut),
            Err(_) => Err(Error::Interrupted),
        }
    }

    /// Gives the port its driver.
    ///
    /// # Safety
    ///
    /// `slot` and what it points at live until [`Self::revoke`] has returned.
    pub(crate) unsafe fn set_driver(&self, slot: &Slot) {
        self.slot.store(ptr::from_ref(slot).cast_mut(), Release);
    }

    /// Takes the driver away for good: all waiters wake, and no callback runs when this returns.
    pub(crate) fn revoke(&self) {
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
        for queue in queues.iter() {
            queue.set_gone();
        }
        self.kick();
        if let Some(pool) = queues.pool() {
            self.stop_for_good(pool);
        }
        // ORDERING: the grace period pairs with the section in `call` (litmus: callbacks-revoke).
        self.slot.store(ptr::null_mut(), Release);
        self.srcu.synchronize();
        for queue in queues.0.into_iter().flatten() {
            Queue::release(queue);
        }
    }

    /// Runs `f` with the driver, unless it is gone.
    pub(crate) fn call<R>(&self, f: impl FnOnce(&dyn Driver) -> R) -> Option<R> {
        let _srcu = self.srcu.read_lock();
        // ORDERING: pairs with the release store in `set_driver`
        // (litmus: publish-pointer, callbacks-revoke).
        let slot = self.slot.load(Acquire);
        if slot.is_null() {
            return None;
        }
        // SAFETY: `revoke` clears the pointer and waits for this section before slot and driver go.
        Some(f(unsafe { &*(*slot).0 }))
    }

    /// Tells the kernel's ends that the process published: wakes who sleeps, and runs the driver's
    /// callback.
    pub(crate) fn notify(&self, queue: &Queue) {
        self.kick();
        let direction = queue.direction();
        self.pending[direction as usize].store(1, Relaxed);
        // ORDERING: pairs with the full barrier in `enable_callbacks`: one of the two sees the
        // other, and takes what is pending (litmus: callbacks-enable).
        smp_mb(Full);
        self.dispatch(direction);
    }

    fn dispatch(&self, direction: Direction) {
        if self.callbacks.load(Relaxed) != ENABLED || self.is_paused() {
            return;
        }
        let _ = self.call(|driver| {
            // ORDERING: inside the SRCU section, so that `disable_callbacks` waits for who saw
            // "enabled" (litmus: callbacks-disable).
            if self.callbacks.load(Relaxed) != ENABLED
                || self.pending[direction as usize].xchg(0, Full) == 0
            {
                return;
            }
            match direction {
                Direction::Output => driver.room_available(),
                Direction::Input if self.returns_empty() => driver.room_available(),
                Direction::Input => driver.data_available(),
            }
        });
    }

    /// Whether this is a stream that does not run: its driver is not told of anything.
    fn is_paused(&self) -> bool {
        self.records.is_some()
            && self
                .with_pool(|pool| pool.state() != StreamState::Running)
                .unwrap_or(true)
    }

    /// Whether what the client sends are buffers that are free again.
    fn returns_empty(&self) -> bool {
        self.records.is_some()
            && self
                .with_pool(|pool| pool.mode() == Mode::Output)
                .unwrap_or(false)
    }

    fn with_pool<R>(&self, f: impl FnOnce(&Pool) -> R) -> Result<R, Error> {
        self.with_queue(Direction::Output, |queue| {
            queue.pool().map(f).ok_or(Error::Invalid)
        })
    }

    /// Tells the driver of a stream that has just started to have a look.
    pub(crate) fn notify_started(&self) {
        self.pending[Direction::Input as usize].store(1, Relaxed);
        // ORDERING: pairs with the full barrier in `notify`: one of the two sees the other, and
        // tells the driver (litmus: callbacks-enable).
        smp_mb(Full);
        self.dispatch(Direction::Input);
    }

    /// Has the driver's input callback run soon, with a token.
    ///
    /// # Errors
    ///
    /// `EAGAIN`: too many wait already.
    pub(crate) fn notice(port: Arc<Port>, token: u32) -> Result {
        port.notices.push(token)?;
        // If it is queued already, it has not begun, and will find the token.
        let _ = work::queue().enqueue::<Arc<Port>, NOTICE_WORK>(port);
        Ok(())
    }

    /// Runs the driver's input callback in this thread.
    ///
    /// # Errors
    ///
    /// The driver's own; `ENODEV`.
    pub(crate) fn notice_sync(&self, token: u32) -> Result {
        self.call(|driver| driver.input_sync_callback(token))
            .unwrap_or(Err(ENODEV))
    }

    fn run_notices(&self) {
        let _ = self.call(|driver| {
            // Inside the section, as in `dispatch`, and looked at each time: who disables callbacks
            // waits for one of them at most.
            while self.callbacks.load(Relaxed) == ENABLED {
                match self.notices.pop() {
                    Some(token) => driver.input_callback(token),
                    None => break,
                }
            }
        });
    }

    /// No callback runs when this returns, nor starts until [`Self::enable_callbacks`].
    pub(crate) fn disable_callbacks(&self) {
        let _ = self.callbacks.cmpxchg(ENABLED, DISABLED, Full);
        self.srcu.synchronize();
    }

    /// Runs what came while callbacks were disabled, and those to come.
    pub(crate) fn enable_callbacks(&self) {
        let _ = self.callbacks.cmpxchg(DISABLED, ENABLED, Full);
        // ORDERING: pairs with the full barrier in `notify` (litmus: callbacks-enable).
        smp_mb(Full);
        self.dispatch(Direction::Output);
        self.dispatch(Direction::Input);
        self.run_notices();
    }

    /// No callback runs when this returns, nor ever again.
    pub(crate) fn cancel_callbacks(&self) {
        self.callbacks.xchg(CANCELLED, Full);
        self.srcu.synchronize();
    }

    /// Runs `f` with the open session's queue of a direction, from process context.
    pub(crate) fn with_open_queue<R>(
        &self,
        direction: Direction,
        f: impl FnOnce(&Queue) -> R,
    ) -> Option<R> {
        let state = self.state.lock();
        state.queues.get(direction).map(|queue| f(queue))
    }

    /// The open session's queue of a direction.
    pub(crate) fn open_queue(&self, direction: Direction) -> Option<Arc<Queue>> {
        self.state.lock().queues.get(direction).cloned()
    }

    /// Runs `f` with whether a session is open, or about to be, and with its queues if it is;
    /// meanwhile none opens or closes.
    pub(crate) fn while_open_or_not<R>(
        &self,
        f: impl FnOnce(bool, Option<&SessionQueues>) -> R,
    ) -> R {
        let state = self.state.lock();
        let open = state.queues.iter().next().is_some();
        f(state.open, open.then_some(&state.queues))
    }

    /// The buffers of a stream.
    pub(crate) fn records(&self) -> Option<&Records> {
        self.records.as_deref()
    }

    /// Lets go of a reference from any context.
    pub(crate) fn release(port: Arc<Self>) {
        if let Some(last) = Arc::into_unique_or_drop(port) {
            let _ = work::queue().enqueue::<Arc<Self>, 0>(last.into());
        }
    }
}

fn publish(slot: &Atomic<*mut Queue>, queue: Option<&Arc<Queue>>) {
    let pointer = queue.map_or(ptr::null(), Arc::as_ptr);
    // ORDERING: pairs with the acquire load in `Port::with_queue` (litmus: publish-pointer).
    slot.store(pointer.cast_mut(), Release);
}
