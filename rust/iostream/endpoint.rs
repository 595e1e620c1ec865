// SPDX-License-Identifier: GPL-2.0

//! The endpoint that serves the kernel's side of a session of `/dev/iostream`.
//!
//! It uses the same interface as any driver: each session has a port of its own, with a
//! [`Service`] as its driver.

mod record;
mod service;
pub(crate) mod sources;
mod timer;

use kernel::{
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc,
    },
};

use crate::{
    channel::Channel,
    ends::config::{Config, Ports},
    memory::account::Account,
    port::{served::Served, PortRef},
    queue::config::{Direction, QueueConfig},
    ring::uapi,
    sync::{gate::Patience, wait::WaitQueue},
};

use record::Generator;
use service::{Role, Service};
use timer::SourceTimer;

/// What an endpoint has moved. The code that moves entries counts; any thread may read.
struct Stats {
    entries: Atomic<u64>,
    bytes: Atomic<u64>,
    bad: Atomic<u64>,
    missed: Atomic<u64>,
    dropped: Atomic<u64>,
}

impl Stats {
    fn new() -> Self {
        Self {
            entries: Atomic::new(0),
            bytes: Atomic::new(0),
            bad: Atomic::new(0),
            missed: Atomic::new(0),
            dropped: Atomic::new(0),
        }
    }
}

/// The endpoint of one session.
pub(crate) struct Endpoint {
    stats: Arc<Stats>,
    service: Served<Service>,
    /// The timer of a source. Dropped first, and with it the producer.
    timer: Option<SourceTimer>,
}

impl Endpoint {
    /// Creates the queues and the endpoint that `request` asks for, and opens their port. The process
    /// waits at `user`; the session counts in `account`.
    ///
    /// # Errors
    ///
    /// Those that `iostream.h` lists for `IOSTREAM_IOC_SETUP`.
    pub(crate) fn new(
        request: &uapi::iostream_setup,
        user: &Arc<WaitQueue>,
        account: &Account,
    ) -> Result<(Self, PortRef, Channel)> {
        let config = checked_config(request)?;
        let generator = checked_generator(request, &config)?;
        let mut ports = Ports::for_session(config)?;
        let port = ports.port();
        let stats = Arc::new(Stats::new(), GFP_KERNEL_ACCOUNT)?;
        let (producer, consumer) = (ports.producer.take(), ports.consumer.take());
        let by_timer = generator.is_some() && request.source_rate != 0;
        let mut for_timer = None;
        let role = match (request.endpoint, producer, consumer, generator) {
            (uapi::IOSTREAM_ENDPOINT_ECHO, Some(producer), Some(consumer), _) => {
                Role::Echo(producer, consumer)
            }
            (uapi::IOSTREAM_ENDPOINT_SINK, _, Some(consumer), _) => Role::sink(consumer),
            (uapi::IOSTREAM_ENDPOINT_SOURCE, Some(producer), _, Some(generator)) if by_timer => {
                for_timer = Some((producer, generator));
                Role::SourceByTimer
            }
            (uapi::IOSTREAM_ENDPOINT_SOURCE, Some(producer), _, Some(generator)) => {
                Role::Source(producer, generator)
            }
            _ => return Err(EINVAL),
        };
        let driver = Service::new(port.clone(), role, stats.clone());
        // SAFETY: The endpoint belongs to a session, or is dropped before the session has it. Only
        // calls of the session call its driver, and they have returned when the session is dropped.
        let service = unsafe { Served::for_session(port.clone(), driver)? };
        let queues = port
            .open(None, Some(user), account, Patience::UntilSignal)?
            .ok_or(EBUSY)?;
        let mut endpoint = Self {
            stats,
            service,
            timer: None,
        };
        if let Some(ends) = for_timer {
            let speed = (request.source_rate, request.source_max_bytes);
            match SourceTimer::start(ends, speed, endpoint.stats.clone(), account) {
                Ok(timer) => endpoint.timer = Some(timer),
                Err(error) => {
                    port.close(queues);
                    return Err(error);
                }
            }
        }
        Ok((endpoint, port, queues))
    }

    /// Moves entries in this call, as fast as it can. See `IOSTREAM_IOC_RUN`.
    ///
    /// # Errors
    ///
    /// Those that `iostream.h` lists for `IOSTREAM_IOC_RUN`.
    pub(crate) fn run(&self, request: &mut uapi::iostream_run) -> Result {
        self.service.driver().run(request)
    }

    /// The counters, in the order of `iostream_endpoint_counters`.
    pub(crate) fn counters(&self) -> [u64; size_of::<uapi::iostream_endpoint_counters>() / 8] {
        let stats = &*self.stats;
        let all = [
            &stats.entries,
            &stats.bytes,
            &stats.bad,
            &stats.missed,
            &stats.dropped,
        ];
        all.map(|counter| counter.load(Relaxed))
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        drop(self.timer.take());
    }
}

/// The queues that a set-up asks for.
///
/// # Errors
///
/// `EINVAL` if they do not suit the endpoint; those of [`QueueConfig::with_capacity`].
fn checked_config(request: &uapi::iostream_setup) -> Result<Config<'static>> {
    let flags = request.flags;
    let has = |flag| flags & flag != 0;
    let queue = |wanted: bool, bytes: u64| match (wanted, bytes) {
        (true, bytes) => QueueConfig::of_capacity(bytes).map(Some),
        (false, 0) => Ok(None),
        (false, _) => Err(EINVAL),
    };
    if flags & !uapi::IOSTREAM_SETUP_FLAGS != 0 {
        return Err(EINVAL);
    }
    let output = queue(has(uapi::IOSTREAM_SETUP_OUTPUT), request.output_bytes)?;
    let input = queue(has(uapi::IOSTREAM_SETUP_INPUT), request.input_bytes)?;
    if has(uapi::IOSTREAM_SETUP_OVERWRITE) && output.is_none() {
        return Err(EINVAL);
    }
    let fits = match (request.endpoint, &output, &input) {
        // Every entry of the input queue must fit into the output queue.
        (uapi::IOSTREAM_ENDPOINT_ECHO, Some(output), Some(input)) => {
            output.capacity_bytes() >= input.capacity_bytes()
        }
        (uapi::IOSTREAM_ENDPOINT_SOURCE, Some(_), None) => true,
        (uapi::IOSTREAM_ENDPOINT_SINK, None, Some(_)) => true,
        _ => false,
    };
    if !fits {
        return Err(EINVAL);
    }
    let mut config = Config::new(c"");
    if let Some(queue) = output {
        config = config.output(if has(uapi::IOSTREAM_SETUP_OVERWRITE) {
            queue.overwriting()
        } else {
            queue
        });
    }
    if let Some(queue) = input {
        config = config.input(queue);
    }
    Ok(config)
}

/// The generator of a source; `None` for the other endpoints.
///
/// # Errors
///
/// `EINVAL` if the request has lengths that are out of bounds, or a source's fields for another
/// endpoint; `ERANGE` from [`timer::check_rate`].
fn checked_generator(
    request: &uapi::iostream_setup,
    config: &Config<'_>,
) -> Result<Option<Generator>> {
    let (min, max) = (request.source_min_bytes, request.source_max_bytes);
    if request.endpoint != uapi::IOSTREAM_ENDPOINT_SOURCE {
        let unused = min == 0 && max == 0 && request.source_rate == 0;
        return if unused { Ok(None) } else { Err(EINVAL) };
    }
    let largest = config.max_entry_bytes(Direction::Output).ok_or(EINVAL)?;
    if min < Generator::SHORTEST_BYTES || max < min || max > largest {
        return Err(EINVAL);
    }
    timer::check_rate(request.source_rate, max)?;
    Ok(Some(Generator::new(min, max)))
}
