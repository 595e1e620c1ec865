// SPDX-License-Identifier: GPL-2.0

//! Who serves the kernel's side of a session of `/dev/iostream`.
//!
//! Written against the same API as any driver: each session has ports of its own, and a [`Service`]
//! as their driver.

mod record;
mod service;
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
    port::{served::Served, PortRef},
    queue::config::{Direction, QueueConfig},
    ring::uapi,
    sync::wait::WaitQueue,
};

use record::Generator;
use service::{Kind, Service};
use timer::Timer;

/// What an endpoint has seen. Whoever serves counts, anybody reads.
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
    kind: u32,
    stats: Arc<Stats>,
    service: Served<Service>,
    /// Dropped first: nothing is produced after it.
    timer: Option<Timer>,
}

impl Endpoint {
    /// Makes queues and endpoint as `request` says, for a process that waits at `user`.
    ///
    /// # Errors
    ///
    /// See `IOSTREAM_IOC_SETUP`.
    pub(crate) fn new(
        request: &uapi::iostream_setup,
        user: &Arc<WaitQueue>,
    ) -> Result<(Self, PortRef, Channel)> {
        let config = checked_config(request)?;
        let generator = checked_generator(request, &config)?;
        let mut ports = Ports::new(config)?;
        let port = ports.port();
        let stats = Arc::new(Stats::new(), GFP_KERNEL)?;
        let (producer, consumer) = (ports.producer.take(), ports.consumer.take());
        let by_timer = generator.is_some() && request.source_rate != 0;
        let mut for_timer = None;
        let kind = match (request.endpoint, producer, consumer, generator) {
            (uapi::IOSTREAM_ENDPOINT_ECHO, Some(producer), Some(consumer), _) => {
                Kind::Echo(producer, consumer)
            }
            (uapi::IOSTREAM_ENDPOINT_SINK, _, Some(consumer), _) => Kind::sink(consumer),
            (uapi::IOSTREAM_ENDPOINT_SOURCE, Some(producer), _, Some(generator)) if by_timer => {
                for_timer = Some((producer, generator));
                Kind::Timer
            }
            (uapi::IOSTREAM_ENDPOINT_SOURCE, Some(producer), _, Some(generator)) => {
                Kind::Source(producer, generator)
            }
            _ => return Err(EINVAL),
        };
        let driver = Service::new(port.clone(), kind, stats.clone());
        let service = Served::new(port.clone(), driver)?;
        let queues = port.open(None, Some(user))?;
        let mut endpoint = Self {
            kind: request.endpoint,
            stats,
            service,
            timer: None,
        };
        if let Some((producer, generator)) = for_timer {
            let stats = endpoint.stats.clone();
            match Timer::start(producer, generator, request.source_rate, stats) {
                Ok(timer) => endpoint.timer = Some(timer),
                Err(error) => {
                    port.close(queues);
                    return Err(error);
                }
            }
        }
        Ok((endpoint, port, queues))
    }

    /// Works flat out in this call. See `IOSTREAM_IOC_RUN`.
    ///
    /// # Errors
    ///
    /// As there.
    pub(crate) fn run(&self, request: &mut uapi::iostream_run) -> Result {
        self.service.driver().run(request)
    }

    /// See `IOSTREAM_IOC_ENDPOINT`.
    pub(crate) fn stats(&self) -> uapi::iostream_endpoint {
        uapi::iostream_endpoint {
            endpoint: self.kind,
            reserved: 0,
            entries: self.stats.entries.load(Relaxed),
            bytes: self.stats.bytes.load(Relaxed),
            bad: self.stats.bad.load(Relaxed),
            missed: self.stats.missed.load(Relaxed),
            dropped: self.stats.dropped.load(Relaxed),
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        drop(self.timer.take());
    }
}

/// The queues that a set-up asks for.
fn checked_config(request: &uapi::iostream_setup) -> Result<Config<'static>> {
    let flags = request.flags;
    let has = |flag| flags & flag != 0;
    let queue = |wanted: bool, bytes: u64| match (wanted, bytes) {
        (true, bytes) => QueueConfig::with_capacity(bytes).map(Some),
        (false, 0) => Ok(None),
        (false, _) => Err(EINVAL),
    };
    if flags & !uapi::IOSTREAM_SETUP_FLAGS != 0 || request.reserved != [0; 2] {
        return Err(EINVAL);
    }
    let output = queue(has(uapi::IOSTREAM_SETUP_OUTPUT), request.output_bytes)?;
    let input = queue(has(uapi::IOSTREAM_SETUP_INPUT), request.input_bytes)?;
    if has(uapi::IOSTREAM_SETUP_OVERWRITE) && output.is_none() {
        return Err(EINVAL);
    }
    let fits = match (request.endpoint, &output, &input) {
        // What fits into the one must fit into the other.
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

/// What a source is to make; `None` for the other endpoints.
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
