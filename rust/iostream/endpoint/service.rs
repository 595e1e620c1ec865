// SPDX-License-Identifier: GPL-2.0

//! How echo, source and sink move entries: when the process notifies, or without pause in
//! `IOSTREAM_IOC_RUN`.

use kernel::{
    prelude::*,
    sync::{
        atomic::{Atomic, Full, Relaxed},
        barrier::smp_mb,
        new_mutex, Arc, Mutex,
    },
};

use super::{
    record::{Checker, Found, Generator},
    Stats,
};
use crate::sync::race::race_point;
use crate::{
    bindings,
    driver::Driver,
    ends::{consumer::Consumer, producer::Producer},
    error::Error,
    port::PortRef,
    queue::produce::WhenFull,
    ring::uapi,
    sync::wait::Deadline,
};

/// How many entries are moved before checking for signals and the scheduler.
const CHUNK: u64 = 512;
/// How many bytes end a chunk, even if it has few entries. A chunk is one RCU section, which a
/// process that makes room all the while must not extend.
const CHUNK_BYTES: u64 = 4 << 20;
/// The largest batch of `IOSTREAM_IOC_RUN`.
const MAX_BATCH: u32 = 65536;
/// How often `IOSTREAM_IOC_RUN` looks at the queues before it sleeps: for about the time that a
/// sleep costs.
const SPINS: u32 = 2000;

/// Which endpoint this is, with the ends that it uses.
pub(super) enum Role {
    Echo(Producer, Consumer),
    Source(Producer, Generator),
    /// A source whose timer has the producer.
    SourceByTimer,
    Sink(Consumer, Checker),
}

impl Role {
    /// A sink that expects the first record.
    pub(super) fn sink(consumer: Consumer) -> Self {
        Role::Sink(consumer, Checker::default())
    }
}

/// The result of a chunk.
enum Step {
    /// This many entries were moved. There may be more.
    Moved(u64),
    /// Nothing can move until the process makes room or produces.
    Stuck,
}

/// The driver of an endpoint's port.
#[pin_data]
pub(crate) struct Service {
    port: PortRef,
    stats: Arc<Stats>,
    #[pin]
    role: Mutex<Role>,
    /// Set while a thread is in `run`: callbacks leave the work to this thread.
    running: Atomic<u32>,
    /// Set when the process has notified, until a thread takes on the work.
    due: Atomic<u32>,
}

impl Driver for Service {
    fn data_available(&self) {
        self.called();
    }

    fn room_available(&self) {
        self.called();
    }
}

impl Service {
    /// The driver of `port`.
    pub(super) fn new(port: PortRef, role: Role, stats: Arc<Stats>) -> impl PinInit<Self> {
        pin_init!(Self {
            port,
            stats,
            role <- new_mutex!(role, "iostream_endpoint"),
            running: Atomic::new(0),
            due: Atomic::new(0),
        })
    }

    /// Called when the process notifies. Moves entries, unless a thread is in `run`: then that
    /// thread does so at its end.
    fn called(&self) {
        self.due.store(1, Relaxed);
        // ORDERING: pairs with the full barrier in `run`: one of the two sees the other, and does
        // what is due (litmus: service).
        smp_mb(Full);
        race_point!("endpoint-called");
        if self.running.load(Relaxed) == 0 && self.due.xchg(0, Full) != 0 {
            self.serve();
        }
    }

    /// Moves everything that can be moved.
    fn serve(&self) {
        loop {
            // The lock is held for one step, and no longer: who else waits for it cannot be killed.
            let step = {
                let mut role = self.role.lock();
                if matches!(*role, Role::Source(..)) {
                    // A source without a timer only produces in `run`.
                    return;
                }
                self.step(&mut role, CHUNK, CHUNK, WhenFull::Entry)
            };
            if !matches!(step, Ok(Step::Moved(_))) {
                return;
            }
            // SAFETY: Callbacks and ioctls run in process context, which is all that this needs.
            if unsafe { bindings::iostream_fatal_signal_pending() } {
                return;
            }
            // SAFETY: Callbacks and ioctls run in process context; no spinlock or RCU section is
            // held.
            unsafe { bindings::iostream_cond_resched() };
        }
    }

    /// Moves entries until `request` is fulfilled. See `IOSTREAM_IOC_RUN`.
    ///
    /// # Errors
    ///
    /// `E2BIG` if the batch is too large; `EBUSY` if a timer or another call does the work; `EINTR`;
    /// `ETIMEDOUT`; those of the queues.
    pub(super) fn run(&self, request: &mut uapi::iostream_run) -> Result {
        if request.batch > MAX_BATCH {
            return Err(E2BIG);
        }
        if matches!(*self.role.lock(), Role::SourceByTimer) {
            return Err(EBUSY);
        }
        // No ordering: the lock of `role` orders what one run leaves to the next.
        if self.running.cmpxchg(0, 1, Full).is_err() {
            return Err(EBUSY);
        }
        let ran = self.run_alone(request);
        race_point!("endpoint-ran");
        self.running.store(0, Relaxed);
        // ORDERING: pairs with the full barrier in `called` (litmus: service).
        smp_mb(Full);
        let due = self.due.xchg(0, Full) != 0;
        // `run` polls without arming, so the process may not have notified of what came last.
        if due || self.rearm() {
            self.serve();
        }
        ran.map_err(Into::into)
    }

    /// Asks the process to notify again, after a run. Returns whether there is something to do
    /// already.
    fn rearm(&self) -> bool {
        match &mut *self.role.lock() {
            // Arms without taking what is left, so that a caller gets exactly as many entries as it
            // asked for.
            Role::Sink(consumer, _) => consumer.arm_next().unwrap_or(false),
            Role::Echo(..) => true,
            Role::Source(..) | Role::SourceByTimer => false,
        }
    }

    /// The loop of [`Self::run`], which no other thread runs meanwhile.
    fn run_alone(&self, request: &mut uapi::iostream_run) -> Result<(), Error> {
        let timeout = (request.timeout_ns != 0).then_some(request.timeout_ns);
        let batch = u64::from(request.batch.max(1));
        let mut spins = 0;
        // The end of a time without progress.
        let mut deadline = Deadline::after(timeout);
        loop {
            let left = match request.entries {
                0 => CHUNK.max(batch),
                entries if entries <= request.done => return Ok(()),
                entries => CHUNK.max(batch).min(entries - request.done),
            };
            // Polls first: while both sides are busy neither has to be woken, which saves system
            // calls.
            let arm = if spins < SPINS {
                WhenFull::Poll
            } else {
                WhenFull::Quarter
            };
            let kicks = self.port.kicks.count();
            // A statement of its own, so that the lock is released before the waits below.
            let stepped = self.step(&mut self.role.lock(), left, batch, arm);
            let step = match stepped {
                // The session is open, since this is one of its calls: a queue is being reset.
                Err(Error::NotOpen) => {
                    self.port.kicks.wait(kicks, deadline, true)?;
                    continue;
                }
                step => step?,
            };
            match step {
                Step::Moved(moved) => {
                    request.done += moved;
                    spins = 0;
                    deadline = Deadline::after(timeout);
                    // SAFETY: This is an ioctl, in process context, without a spinlock or RCU
                    // section.
                    unsafe { bindings::iostream_cond_resched() };
                    if kernel::current!().signal_pending() {
                        return Err(Error::Interrupted);
                    }
                }
                Step::Stuck if arm == WhenFull::Poll => {
                    spins += 1;
                    // SAFETY: The function has no preconditions.
                    unsafe { bindings::iostream_cpu_relax() };
                }
                Step::Stuck => {
                    self.port.kicks.wait(kicks, deadline, true)?;
                    spins = 0;
                }
            }
        }
    }

    /// Moves at most `max` entries. A source publishes them `batch` at a time.
    fn step(&self, role: &mut Role, max: u64, batch: u64, arm: WhenFull) -> Result<Step, Error> {
        let moved = match role {
            Role::Echo(producer, consumer) => self.echo(producer, consumer, max, arm)?,
            Role::Source(producer, generator) => {
                self.produce(producer, generator, max, batch, arm)?
            }
            Role::Sink(consumer, checker) => self.check(consumer, checker, max, arm)?,
            Role::SourceByTimer => 0,
        };
        Ok(match moved {
            0 => Step::Stuck,
            moved => Step::Moved(moved),
        })
    }

    /// Copies entries from the input queue to the output queue.
    fn echo(
        &self,
        producer: &mut Producer,
        consumer: &mut Consumer,
        max: u64,
        arm: WhenFull,
    ) -> Result<u64, Error> {
        let stats = &self.stats;
        let mut bytes = 0;
        producer.batch_arming(arm, |batch| {
            consumer.drain_arming(arm != WhenFull::Poll, max, |entry| {
                if bytes >= CHUNK_BYTES {
                    return false;
                }
                let copied = batch.enqueue_in_place(entry.len(), |bytes| {
                    // The lengths are equal, so this cannot fail.
                    let _ = entry.copy_to(0, bytes);
                });
                if copied.is_ok() {
                    bytes += entry.len() as u64;
                    stats.entries.add(1, Relaxed);
                    stats.bytes.add(entry.len() as u64, Relaxed);
                }
                copied.is_ok()
            })
        })?
    }

    /// Generates entries in the output queue.
    fn produce(
        &self,
        producer: &mut Producer,
        generator: &mut Generator,
        max: u64,
        batch: u64,
        arm: WhenFull,
    ) -> Result<u64, Error> {
        let mut made = 0;
        let mut bytes = 0;
        let mut error = None;
        while made < max && bytes < CHUNK_BYTES && error.is_none() {
            let want = batch.min(max - made);
            producer.batch_arming(arm, |entries| {
                for _ in 0..want {
                    if bytes >= CHUNK_BYTES {
                        return;
                    }
                    let len = generator.next_len();
                    if let Err(full) = entries.enqueue_in_place(len, |entry| generator.fill(entry))
                    {
                        generator.keep_len(len);
                        error = Some(full);
                        return;
                    }
                    made += 1;
                    bytes += len as u64;
                }
            })?;
        }
        self.stats.entries.add(made, Relaxed);
        self.stats.bytes.add(bytes, Relaxed);
        match error {
            None | Some(Error::Full) => Ok(made),
            Some(_) if made > 0 => Ok(made),
            Some(error) => Err(error),
        }
    }

    /// Takes entries from the input queue and checks them.
    fn check(
        &self,
        consumer: &mut Consumer,
        checker: &mut Checker,
        max: u64,
        arm: WhenFull,
    ) -> Result<u64, Error> {
        let mut bytes = 0;
        let (mut bad, mut missed) = (0, 0u64);
        let taken = consumer.drain_arming(arm != WhenFull::Poll, max, |entry| {
            if bytes >= CHUNK_BYTES {
                return false;
            }
            match checker.check(entry) {
                // Wraps, because the process chose the sequence numbers.
                Found::Good { missed: before } => missed = missed.wrapping_add(before),
                Found::Bad => bad += 1,
            }
            bytes += entry.len() as u64;
            true
        })?;
        self.stats.entries.add(taken, Relaxed);
        self.stats.bytes.add(bytes, Relaxed);
        self.stats.bad.add(bad, Relaxed);
        self.stats.missed.add(missed, Relaxed);
        Ok(taken)
    }
}
