// SPDX-License-Identifier: GPL-2.0

//! One node of the tests: its ends, its registration, and what its callbacks have seen.

use core::mem::take;

use iostream::{
    Config, Consumer, Driver, Error, Opener, Ports, Producer, QueueConfig, Registration,
};
use kernel::{
    fmt,
    prelude::*,
    sync::{
        atomic::{Acquire, Atomic, Relaxed, Release},
        new_mutex, Arc, Mutex,
    },
    time::{delay::fsleep, Delta},
};

use crate::{gate::Gate, leak::leak};

/// What the callbacks of a node have seen, and how they must behave.
#[pin_data]
pub(crate) struct Seen {
    pub(crate) opens: Atomic<u32>,
    /// Clients that came, after `opens` let them in.
    opened: Atomic<u32>,
    pub(crate) closes: Atomic<u32>,
    pub(crate) data_callbacks: Atomic<u32>,
    pub(crate) room_callbacks: Atomic<u32>,
    /// Callbacks that are running now.
    pub(crate) in_callback: Atomic<u32>,
    /// Milliseconds that each callback takes.
    pub(crate) slow_ms: Atomic<u32>,
    /// Closed while callbacks are held.
    #[pin]
    pub(crate) gate: Gate,
    /// The errno with which openers are refused, or 0.
    pub(crate) refuse: Atomic<i32>,
    /// Bytes of the entry that each client is sent when it has come, or 0.
    pub(crate) greet: Atomic<u32>,
    #[pin]
    pub(crate) producer: Mutex<Option<Producer>>,
}

/// The driver of a node.
struct Watcher(Arc<Seen>);

impl Watcher {
    fn called(&self, counter: &Atomic<u32>) {
        self.0.in_callback.fetch_add(1, Relaxed);
        counter.fetch_add(1, Relaxed);
        // After a signal the callback goes on: a test that is killed must not hang.
        let _ = self.0.gate.pass();
        let slow = self.0.slow_ms.load(Relaxed);
        if slow != 0 {
            fsleep(Delta::from_millis(slow.into()));
        }
        self.0.in_callback.fetch_sub(1, Relaxed);
    }
}

impl Driver for Watcher {
    fn open(&self, _opener: &Opener<'_>) -> Result {
        match self.0.refuse.load(Relaxed) {
            0 => {
                self.0.opens.fetch_add(1, Relaxed);
                Ok(())
            }
            errno => Err(kernel::error::Error::from_errno(-errno)),
        }
    }

    fn opened(&self) {
        self.0.opened.fetch_add(1, Relaxed);
        let greeting = [0; 64];
        let len = greeting.len().min(self.0.greet.load(Relaxed) as usize);
        if len == 0 {
            return;
        }
        if let Some(producer) = &mut *self.0.producer.lock() {
            let _ = producer.enqueue(&greeting[..len]);
        }
    }

    fn closed(&self) {
        self.0.closes.fetch_add(1, Relaxed);
    }

    fn data_available(&self) {
        self.called(&self.0.data_callbacks);
    }

    fn room_available(&self) {
        self.called(&self.0.room_callbacks);
    }
}

/// What the last command did.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) errno: i32,
    pub(crate) max: u32,
    pub(crate) needed: u32,
    pub(crate) count: u64,
    pub(crate) len: u64,
    pub(crate) sum: u64,
}

/// A node with queues.
#[pin_data]
pub(crate) struct TestNode {
    #[pin]
    pub(crate) consumer: Mutex<Option<Consumer>>,
    #[pin]
    registration: Mutex<Option<Arc<Registration<Watcher>>>>,
    #[pin]
    log: Mutex<Log>,
    /// Closed while a command is held.
    #[pin]
    gate: Gate,
    /// 1 while a command is held.
    held: Atomic<u32>,
    pub(crate) seen: Arc<Seen>,
    /// Number of the next entry.
    pub(crate) sequence: Atomic<u64>,
}

impl TestNode {
    pub(crate) fn new() -> impl PinInit<Self, kernel::error::Error> {
        try_pin_init!(Self {
            consumer <- new_mutex!(None),
            registration <- new_mutex!(None),
            log <- new_mutex!(Log::default()),
            gate <- Gate::new(),
            held: Atomic::new(0),
            seen: Arc::pin_init(pin_init!(Seen {
                opens: Atomic::new(0),
                opened: Atomic::new(0),
                closes: Atomic::new(0),
                data_callbacks: Atomic::new(0),
                room_callbacks: Atomic::new(0),
                in_callback: Atomic::new(0),
                slow_ms: Atomic::new(0),
                gate <- Gate::new(),
                refuse: Atomic::new(0),
                greet: Atomic::new(0),
                producer <- new_mutex!(None),
            }), GFP_KERNEL)?,
            sequence: Atomic::new(0),
        })
    }

    /// Publishes the node with queues of these capacities; 0 means no such queue. A close waits
    /// `drain_ms` milliseconds for a command that takes what was written.
    pub(crate) fn publish(
        &self,
        name: &CStr,
        (output, input): (u64, u64),
        overwrite: bool,
        drain_ms: i64,
    ) -> Result {
        let mut config = Config::new(name).drain_at_close(Delta::from_millis(drain_ms));
        if output != 0 {
            let queue = QueueConfig::with_capacity(output)?;
            config = config.output(if overwrite {
                queue.overwriting()
            } else {
                queue
            });
        }
        if input != 0 {
            config = config.input(QueueConfig::with_capacity(input)?);
        }
        self.publish_config(config)
    }

    pub(crate) fn publish_config(&self, config: Config<'_>) -> Result {
        let mut registration = self.registration.lock();
        if registration.is_some() {
            return Err(EBUSY);
        }
        let mut ports = Ports::new(config)?;
        let (producer, consumer) = (ports.producer.take(), ports.consumer.take());
        let published = Registration::new(ports, Watcher(self.seen.clone()))?;
        *registration = Some(Arc::new(published, GFP_KERNEL)?);
        *self.seen.producer.lock() = producer;
        *self.consumer.lock() = consumer;
        Ok(())
    }

    /// Removes the node. Its ends stay, so that tests can see how they fail then.
    pub(crate) fn unpublish(&self) {
        let registration = take(&mut *self.registration.lock());
        drop(registration);
    }

    /// Leaks the registration.
    pub(crate) fn forget(&self) -> Result {
        let registration = take(&mut *self.registration.lock());
        leak(registration.ok_or(ENODEV)?)
    }

    /// Runs `f` with the registration.
    fn with_registration(&self, f: impl FnOnce(&Registration<Watcher>)) -> Result {
        let registration = self.registration.lock().clone().ok_or(ENODEV)?;
        f(&registration);
        Ok(())
    }

    pub(crate) fn disable_callbacks(&self) -> Result {
        self.with_registration(Registration::disable_callbacks)
    }

    pub(crate) fn enable_callbacks(&self) -> Result {
        self.with_registration(Registration::enable_callbacks)
    }

    pub(crate) fn cancel_callbacks(&self) -> Result {
        self.with_registration(Registration::cancel_callbacks)
    }

    pub(crate) fn cancel_waits(&self) -> Result {
        self.with_registration(Registration::cancel_waits)
    }

    pub(crate) fn allow_waits(&self) -> Result {
        self.with_registration(Registration::allow_waits)
    }

    /// Keeps the result of a command for readers of the file. Returns the result of its write(2).
    pub(crate) fn note(&self, done: Result<Log, Error>) -> Result {
        let mut log = Log::default();
        let result = match done {
            Ok(filled) => {
                log = filled;
                Ok(())
            }
            Err(error) => {
                match error {
                    Error::TooLarge { max } => log.max = max,
                    Error::TooSmall { needed } => log.needed = needed,
                    _ => {}
                }
                let error = kernel::error::Error::from(error);
                log.errno = -error.to_errno();
                Err(error)
            }
        };
        *self.log.lock() = log;
        result
    }

    pub(crate) fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = &self.seen;
        let log = self.log.lock();
        writeln!(out, "errno={}", log.errno)?;
        writeln!(out, "max={}", log.max)?;
        writeln!(out, "needed={}", log.needed)?;
        writeln!(out, "count={}", log.count)?;
        writeln!(out, "len={}", log.len)?;
        writeln!(out, "sum={}", log.sum)?;
        writeln!(out, "opens={}", seen.opens.load(Relaxed))?;
        writeln!(out, "opened={}", seen.opened.load(Relaxed))?;
        writeln!(out, "closes={}", seen.closes.load(Relaxed))?;
        writeln!(out, "data_callbacks={}", seen.data_callbacks.load(Relaxed))?;
        writeln!(out, "room_callbacks={}", seen.room_callbacks.load(Relaxed))?;
        writeln!(out, "in_callback={}", seen.in_callback.load(Relaxed))?;
        writeln!(out, "held={}", self.held.load(Acquire))
    }

    /// Shows that a command is held, and waits for `go`.
    ///
    /// # Errors
    ///
    /// `EINTR`: a signal came first.
    pub(crate) fn hold(&self) -> Result {
        self.gate.close();
        self.held.store(1, Release);
        let passed = self.gate.pass();
        self.held.store(0, Release);
        passed
    }

    /// Lets the held command go on.
    pub(crate) fn go(&self) {
        self.gate.open();
    }
}
