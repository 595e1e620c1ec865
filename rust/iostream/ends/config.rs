// SPDX-License-Identifier: GPL-2.0

//! The description of a node, and the ends of its queues before it is published.

use kernel::{device::Device, prelude::*, str::CStr, time::Delta};

use super::{
    consumer::Consumer,
    end::{InputEnd, OutputEnd},
    producer::Producer,
};
use crate::{
    error::refused,
    pool::spec::StreamSpec,
    port::{callbacks::Callers, Port, PortConfig, PortRef},
    queue::config::{Direction, QueueConfig},
};

/// How long a close waits for the driver by default.
const DRAIN_AT_CLOSE_NS: u64 = 1_000_000_000;

/// The node in `/dev`: its name and its attributes.
pub(crate) struct NodeConfig<'a> {
    pub(crate) name: &'a CStr,
    pub(crate) mode: u16,
    pub(crate) gid: u32,
    pub(crate) parent: Option<&'a Device>,
}

/// The description of a node and its queues.
///
/// # Examples
///
/// ```rust,ignore,from:rust/drivers/iostream_instrument.rs
/// let config = Config::new(c"instrument")
///     .mode(0o660)
///     .input(QueueConfig::with_capacity(QUEUE_BYTES)?)
///     .output(QueueConfig::with_capacity(QUEUE_BYTES)?);
/// let mut ports = Ports::new(config)?;
/// let ends = Ends {
///     commands: ports.consumer.take().ok_or(ENODEV)?,
///     answers: ports.producer.take().ok_or(ENODEV)?,
///     answered: 0,
/// };
/// // ...
/// Ok(Self {
///     _node: Registration::new(ports, instrument)?,
/// })
/// ```
pub struct Config<'a> {
    pub(crate) port: PortConfig,
    pub(crate) node: NodeConfig<'a>,
}

impl<'a> Config<'a> {
    /// Describes a node called `name`, of at most 31 bytes. It has no queues yet, and only root can
    /// read and write it.
    pub fn new(name: &'a CStr) -> Self {
        Self {
            port: PortConfig {
                drain_at_close_ns: DRAIN_AT_CLOSE_NS,
                ..PortConfig::default()
            },
            node: NodeConfig {
                name,
                mode: 0o600,
                gid: 0,
                parent: None,
            },
        }
    }

    /// Adds an output queue: kernel to user.
    pub fn output(mut self, queue: QueueConfig) -> Self {
        self.port.output = Some(queue);
        self
    }

    /// Adds an input queue: user to kernel.
    pub fn input(mut self, queue: QueueConfig) -> Self {
        self.port.input = Some(queue);
        self
    }

    /// The length of the longest entry of a direction's queue, if there is one.
    pub(crate) fn max_entry_bytes(&self, direction: Direction) -> Option<u32> {
        let queue = match direction {
            Direction::Output => self.port.output,
            Direction::Input => self.port.input,
        };
        queue.map(|queue| queue.max_entry_bytes())
    }

    /// Sets how long the close of a client waits until the driver has taken what the client has
    /// published in the input queue, or written to the stream by write(2). It is a second by
    /// default. With zero the close tells the driver, but does not wait; what the driver has not
    /// taken when its callback returns is lost.
    pub fn drain_at_close(mut self, time: Delta) -> Self {
        self.port.drain_at_close_ns = u64::try_from(time.as_nanos()).unwrap_or(0);
        self
    }

    /// Sets the permission bits of the node.
    pub fn mode(mut self, mode: u16) -> Self {
        self.node.mode = mode;
        self
    }

    /// Sets the group of the node.
    pub fn gid(mut self, gid: u32) -> Self {
        self.node.gid = gid;
        self
    }

    /// Sets the device that the node belongs to.
    pub fn parent(mut self, parent: &'a Device) -> Self {
        self.node.parent = Some(parent);
        self
    }
}

/// The driver's ends of a node's queues, before the node is published. Take the ends that you use;
/// the others do nothing.
pub struct Ports<'a> {
    /// The end of the output queue, if there is one.
    pub producer: Option<Producer>,
    /// The end of the input queue, if there is one.
    pub consumer: Option<Consumer>,
    port: PortRef,
    node: NodeConfig<'a>,
}

impl<'a> Ports<'a> {
    /// Creates the ends of the queues that `config` describes.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no queue, or an overwriting input queue; `ENOMEM`.
    pub fn new(config: Config<'a>) -> Result<Self> {
        let overwriting_input = config
            .port
            .input
            .is_some_and(|input| input.is_overwriting());
        let name = config.node.name;
        if overwriting_input {
            return Err(refused!(
                EINVAL,
                "the node {name:?} is refused: only an output queue can overwrite\n"
            ));
        }
        let (output, input) = (config.port.output.is_some(), config.port.input.is_some());
        let mut ports = Self::without_ends(config)?;
        let port = &ports.port;
        ports.producer = output.then(|| Producer::new(OutputEnd::new(port.clone())));
        ports.consumer = input.then(|| Consumer::new(InputEnd::new(port.clone())));
        Ok(ports)
    }

    /// Creates the port of a stream. The stream creates its ends by itself.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `config` has queues of its own; `E2BIG` if the stream's queues are larger than
    /// the module's `max_queue_bytes`; `ENOMEM`.
    pub(crate) fn with_stream(mut config: Config<'a>, spec: StreamSpec) -> Result<Self> {
        if config.port.output.is_some() || config.port.input.is_some() {
            let name = config.node.name;
            return Err(refused!(
                EINVAL,
                "the node {name:?} is refused: it has a stream, which makes its queues, and queues of its own\n"
            ));
        }
        let queue = spec.queue(spec.max_buffers(spec.buffers))?;
        config.port = PortConfig {
            output: Some(queue),
            input: Some(queue),
            stream: Some(spec),
            callers: Callers::Any,
            drain_at_close_ns: config.port.drain_at_close_ns,
        };
        Self::without_ends(config)
    }

    fn without_ends(config: Config<'a>) -> Result<Self> {
        if config.port.output.is_none() && config.port.input.is_none() {
            let name = config.node.name;
            return Err(refused!(
                EINVAL,
                "the node {name:?} is refused: it has no queue\n"
            ));
        }
        Ok(Self {
            producer: None,
            consumer: None,
            port: PortRef::new(Port::new(config.port)?),
            node: config.node,
        })
    }

    /// Creates the ends of a session of `/dev/iostream`, whose driver is called by that session only.
    ///
    /// # Errors
    ///
    /// Those of [`Self::new`].
    pub(crate) fn for_session(mut config: Config<'a>) -> Result<Self> {
        config.port.callers = Callers::Session;
        // Its callbacks take all that they can in the call.
        config.port.drain_at_close_ns = 0;
        Self::new(config)
    }

    /// The port that the ends share.
    pub(crate) fn port(&self) -> PortRef {
        self.port.clone()
    }

    /// The node to publish.
    pub(crate) fn node(&self) -> &NodeConfig<'a> {
        &self.node
    }

    /// The node to publish.
    pub(crate) fn into_node(self) -> NodeConfig<'a> {
        self.node
    }
}
