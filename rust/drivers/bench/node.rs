// SPDX-License-Identifier: GPL-2.0

//! The node, its ends, and what the last command did.

use core::mem::take;

use iostream::{Config, Consumer, NoCallbacks, Ports, Producer, QueueConfig, Registration};
use kernel::{
    fmt,
    prelude::*,
    sync::{new_mutex, Mutex},
};

use crate::{eventfd::EventFd, many::ManyNodes, stream::StreamNode};

/// What the last command of a direction did.
#[derive(Clone, Copy, Default)]
pub(crate) struct Done {
    /// Number of entries that were moved.
    pub(crate) entries: u64,
    /// The wrapping sum of their first words; for a single entry, the nanoseconds that the call
    /// took.
    pub(crate) sum: u64,
    /// Nanoseconds that the command took; for a single entry, the time at which it was made.
    pub(crate) time_ns: u64,
}

impl Done {
    /// A single entry, made at `begun`; the call returned at `ended`.
    pub(crate) fn single(begun: u64, ended: u64) -> Self {
        Self {
            entries: 1,
            sum: ended.wrapping_sub(begun),
            time_ns: begun,
        }
    }
}

/// The node of the benchmarks: its ends, its registration, its stream, and the last results.
#[pin_data]
pub(crate) struct BenchNode {
    #[pin]
    pub(crate) producer: Mutex<Option<Producer>>,
    /// Bytes that the output queue was asked to hold.
    #[pin]
    pub(crate) output_bytes: Mutex<u64>,
    #[pin]
    pub(crate) consumer: Mutex<Option<Consumer>>,
    #[pin]
    pub(crate) eventfd: Mutex<Option<EventFd>>,
    #[pin]
    registration: Mutex<Option<Registration<NoCallbacks>>>,
    /// The stream, which is a node of its own.
    #[pin]
    pub(crate) stream: StreamNode,
    /// Further nodes.
    #[pin]
    pub(crate) many: ManyNodes,
    #[pin]
    pub(crate) output: Mutex<Done>,
    #[pin]
    pub(crate) input: Mutex<Done>,
}

impl BenchNode {
    pub(crate) fn new() -> impl PinInit<Self, kernel::error::Error> {
        try_pin_init!(Self {
            producer <- new_mutex!(None),
            output_bytes <- new_mutex!(0),
            consumer <- new_mutex!(None),
            eventfd <- new_mutex!(None),
            registration <- new_mutex!(None),
            stream <- StreamNode::new(),
            many <- ManyNodes::new(),
            output <- new_mutex!(Done::default()),
            input <- new_mutex!(Done::default()),
        })
    }

    /// Removes the node, and publishes it again with queues of these capacities; 0 means no such
    /// queue.
    pub(crate) fn publish(&self, name: &CStr, output: u64, input: u64) -> Result {
        self.unpublish();
        let mut config = Config::new(name);
        if output != 0 {
            config = config.output(QueueConfig::with_capacity(output)?);
        }
        if input != 0 {
            config = config.input(QueueConfig::with_capacity(input)?);
        }
        let mut ports = Ports::new(config)?;
        let (producer, consumer) = (ports.producer.take(), ports.consumer.take());
        *self.registration.lock() = Some(Registration::new(ports, NoCallbacks)?);
        *self.output_bytes.lock() = output;
        *self.producer.lock() = producer;
        *self.consumer.lock() = consumer;
        Ok(())
    }

    /// Removes all nodes.
    pub(crate) fn unpublish(&self) {
        self.stream.unpublish();
        self.many.unpublish();
        let registration = take(&mut *self.registration.lock());
        drop(registration);
        *self.producer.lock() = None;
        *self.consumer.lock() = None;
    }

    pub(crate) fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for done in [*self.output.lock(), *self.input.lock()] {
            let Done {
                entries,
                sum,
                time_ns,
            } = done;
            writeln!(out, "{entries} {sum} {time_ns}")?;
        }
        Ok(())
    }
}
