// SPDX-License-Identifier: GPL-2.0

//! Streams that run the commands of the tests. `commands.rs` lists the commands.

mod callbacks;
mod commands;
mod end;
mod many;
mod plan;

use core::mem::take;

use iostream::{stream::BufferRecord, stream::Control, Error, Registration};
use kernel::{
    fmt,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        new_mutex, Arc, Mutex,
    },
};

use callbacks::{Seen, Watcher};
use end::AnyEnd;
use many::Many;
use plan::Plan;

use crate::leak::leak;

pub(crate) use commands::run;

/// What the last command did.
#[derive(Clone, Copy, Default)]
pub(crate) struct Done {
    errno: i32,
    count: u64,
    id: u32,
    data: (usize, usize),
    control: (usize, usize),
    frame: u64,
    timestamp: u64,
    sum: u64,
    control_sum: u64,
    queued: (u64, u64),
}

/// One stream of the tests: its ends, one for each client, and what its callbacks have seen.
#[pin_data]
pub(crate) struct TestStream {
    /// The ends, which the callbacks use, too.
    ends: Arc<Ends>,
    #[pin]
    registration: Mutex<Option<Registration<Watcher>>>,
    /// The client whose end the commands use.
    client: Atomic<u32>,
    #[pin]
    log: Mutex<Done>,
    /// A record that a command kept for a later one.
    #[pin]
    record: Mutex<Option<BufferRecord>>,
    #[pin]
    many: Mutex<Many>,
    seen: Arc<Seen>,
}

/// The driver's ends, and the control of the buffers of each.
#[pin_data]
pub(crate) struct Ends {
    #[pin]
    ends: Mutex<KVec<AnyEnd>>,
    #[pin]
    controls: Mutex<KVec<Control>>,
}

impl TestStream {
    pub(crate) fn new() -> impl PinInit<Self, kernel::error::Error> {
        try_pin_init!(Self {
            ends: Arc::pin_init(
                pin_init!(Ends {
                    ends <- new_mutex!(KVec::new()),
                    controls <- new_mutex!(KVec::new()),
                }),
                GFP_KERNEL,
            )?,
            registration <- new_mutex!(None),
            client: Atomic::new(0),
            log <- new_mutex!(Done::default()),
            record <- new_mutex!(None),
            many <- new_mutex!(Many::default()),
            seen: Arc::pin_init(Seen::new(), GFP_KERNEL)?,
        })
    }

    /// Publishes the node.
    fn publish(&self, plan: &Plan) -> Result {
        let mut registration = self.registration.lock();
        if registration.is_some() {
            return Err(EBUSY);
        }
        let (mut ends, mut controls) = (KVec::new(), KVec::new());
        let mut served = KVec::new();
        for client in 0..plan.clients {
            let (ports, end) = plan.make()?;
            let watcher = Watcher::new(self.seen.clone(), self.ends.clone(), client as usize);
            controls.push(end.control(), GFP_KERNEL)?;
            ends.push(end, GFP_KERNEL)?;
            served.push((ports, watcher), GFP_KERNEL)?;
        }
        // Before the node is published, because a client may open it at once.
        let old = core::mem::replace(&mut *self.ends.ends.lock(), ends);
        drop(old);
        *self.ends.controls.lock() = controls;
        self.client.store(0, Relaxed);
        *registration = Some(Registration::for_clients(served)?);
        Ok(())
    }

    /// Removes the nodes. The ends stay, so that tests can see how they fail then.
    pub(crate) fn unpublish(&self) {
        let registration = take(&mut *self.registration.lock());
        drop(registration);
        let many = take(&mut *self.many.lock());
        drop(many);
    }

    /// Leaks the registration.
    fn forget(&self) -> Result {
        let registration = take(&mut *self.registration.lock());
        leak(registration.ok_or(ENODEV)?)
    }

    /// Runs `f` with the registration.
    fn with_registration(&self, f: impl FnOnce(&Registration<Watcher>)) -> Result {
        f(self.registration.lock().as_ref().ok_or(ENODEV)?);
        Ok(())
    }

    /// The control of the client that commands use.
    fn control(&self) -> Result<Control> {
        let controls = self.ends.controls.lock();
        let control = controls.get(self.client.load(Relaxed) as usize);
        control.cloned().ok_or(ENXIO)
    }

    /// Keeps the result of a command for readers of the file. Returns the result of its write(2).
    fn note(&self, done: Result<Done, Error>) -> Result {
        let (log, result) = match done {
            Ok(done) => (done, Ok(())),
            Err(error) => {
                let error = kernel::error::Error::from(error);
                let errno = -error.to_errno();
                let log = Done {
                    errno,
                    ..Done::default()
                };
                (log, Err(error))
            }
        };
        *self.log.lock() = log;
        result
    }

    pub(crate) fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = *self.log.lock();
        writeln!(out, "errno={}", done.errno)?;
        writeln!(out, "count={}", done.count)?;
        writeln!(out, "id={}", done.id)?;
        writeln!(out, "offset={}\nlen={}", done.data.0, done.data.1)?;
        writeln!(out, "control_offset={}", done.control.0)?;
        writeln!(out, "control_len={}", done.control.1)?;
        writeln!(out, "frame={}", done.frame)?;
        writeln!(out, "timestamp={}", done.timestamp)?;
        writeln!(out, "sum={}", done.sum)?;
        writeln!(out, "control_sum={}", done.control_sum)?;
        writeln!(out, "queued_output={}", done.queued.0)?;
        writeln!(out, "queued_input={}", done.queued.1)?;
        self.seen.show(out)
    }
}
