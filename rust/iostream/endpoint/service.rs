// SPDX-License-Identifier: GPL-2.0

//! Echo, source and sink: driven by the process's notifications, or flat out by `IOSTREAM_IOC_RUN`.

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

/// Entries that are moved before looking at signals and the scheduler.
const CHUNK: u64 = 512;
/// Bytes after which a chunk ends, however few its entries: it is one RCU section, and a process that
/// makes room all the while must not make it longer.
const CHUNK_BYTES: u64 = 4 << 20;
/// The largest batch of `IOSTREAM_IOC_RUN`.
const MAX_BATCH: u32 = 65536;
/// Looks at the queues before `IOSTREAM_IOC_RUN` goes to sleep: about as long as a sleep costs.
const SPINS: u32 = 2000;

/// Which endpoint, with its ends.
pub(super) enum Kind {
    Echo(Producer, Consumer),
    Source(Producer, Generator),
    /// A source whose timer has the producer.
    Timer,
    Sink(Consumer, Checker),
}

impl Kind {
    pub(super) fn sink(consumer: Consumer) -> Self {
        Kind::Sink(consumer, Checker::default())
    }
}

/// What came of a chunk.
enum Step {
    /// So many entries moved; there may be more.
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
    kind: Mutex<Kind>,
    /// A thread is in `run`: callbacks leave the work to it.
    running: Atomic<u32>,
    /// There is work that no callback has done.
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
    pub(super) fn new(port: PortRef, kind: Kind, stats: Arc<Stats>) -> impl PinInit<Self> {
        pin_init!(Self {
            port,
            stats,
            kind <- new_mutex!(kind, "iostream_endpoint"),
            running: Atomic::new(0),
            due: Atomic::new(0),
        })
    }

    /// Does what is due, unless a thread is in `run`, which does it at its end.
    fn called(&self) {
        self.due.store(1, Relaxed);
        // ORDERING: pairs with the full barrier in `run`: one of the two sees the other, and does
        // what is due (litmus: service).
        smp_mb(Full);
        if self.running.load(Relaxed) == 0 && self.due.xchg(0, Full) != 0 {
            self.serve();
        }
    }

    /// Moves what can be moved.
    fn serve(&self) {
        let mut kind = self.kind.lock();
        if matches!(*kind, Kind::Source(..)) {
            // It moves in `run` alone.
            return;
        }
        while let Ok(Step::Moved(_)) = self.step(&mut kind, CHUNK, CHUNK, WhenFull::Entry) {
            // SAFETY: No preconditions, this is process context.
            if unsafe { bindings::iostream_fatal_signal_pending() } {
                return;
            }
            // SAFETY: As above.
            unsafe { bindings::iostream_cond_resched() };
        }
    }

    /// See `IOSTREAM_IOC_RUN`.
    pub(super) fn run(&self, request: &mut uapi::iostream_run) -> Result {
        if request.reserved != 0 || request.done != 0 {
            return Err(EINVAL);
        }
        if request.batch > MAX_BATCH {
            return Err(E2BIG);
        }
        if matches!(*self.kind.lock(), Kind::Timer) {
            return Err(EBUSY);
        }
        if self.running.cmpxchg(0, 1, Full).is_err() {
            return Err(EBUSY);
        }
        let ran = self.run_alone(request);
        self.running.store(0, Relaxed);
        // ORDERING: pairs with the full barrier in `called` (litmus: service).
        smp_mb(Full);
        let due = self.due.xchg(0, Full) != 0;
        // While it ran nobody was armed.
        if due || self.rearm() {
            self.serve();
        }
        ran.map_err(Into::into)
    }

    /// After a run: asks to be notified again. Returns whether there is something to do already.
    fn rearm(&self) -> bool {
        match &mut *self.kind.lock() {
            // What is left stays, so that a caller can have exactly as many as it asked for.
            Kind::Sink(consumer, _) => consumer.arm_next().unwrap_or(false),
            Kind::Echo(..) => true,
            Kind::Source(..) | Kind::Timer => false,
        }
    }

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
            // While both sides are busy nobody asks to be woken, and nobody makes a system call.
            let arm = if spins < SPINS {
                WhenFull::Poll
            } else {
                WhenFull::Quarter
            };
            let kicks = self.port.kicks.count();
            // Apart, so that the lock is let go of before anything waits.
            let stepped = self.step(&mut self.kind.lock(), left, batch, arm);
            let step = match stepped {
                // The session is open, or this call would not be: its queue is being reset.
                Err(Error::NotOpen | Error::Stale) => {
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
                    // SAFETY: No preconditions, this is process context.
                    unsafe { bindings::iostream_cond_resched() };
                    if kernel::current!().signal_pending() {
                        return Err(Error::Interrupted);
                    }
                }
                Step::Stuck if arm == WhenFull::Poll => {
                    spins += 1;
                    // SAFETY: No preconditions.
                    unsafe { bindings::iostream_cpu_relax() };
                }
                Step::Stuck => {
                    self.port.kicks.wait(kicks, deadline, true)?;
                    spins = 0;
                }
            }
        }
    }

    /// Moves at most `max` entries, published `batch` at a time.
    fn step(&self, kind: &mut Kind, max: u64, batch: u64, arm: WhenFull) -> Result<Step, Error> {
        let moved = match kind {
            Kind::Echo(producer, consumer) => self.echo(producer, consumer, max, arm)?,
            Kind::Source(producer, generator) => {
                self.produce(producer, generator, max, batch, arm)?
            }
            Kind::Sink(consumer, checker) => self.check(consumer, checker, max, arm)?,
            Kind::Timer => 0,
        };
        Ok(match moved {
            0 => Step::Stuck,
            moved => Step::Moved(moved),
        })
    }

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
                // Any number, as the process chose.
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
