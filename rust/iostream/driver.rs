// SPDX-License-Identifier: GPL-2.0

//! What a driver's author needs: this page, and [`Producer`] and [`Consumer`] for queues of entries
//! or [`Stream`](crate::Stream) for buffers that travel.
//!
//! A driver describes its node ([`Config`]), makes its ends ([`Ports::new`],
//! [`Stream::new`](crate::Stream::new)), keeps those that it wants to use, and publishes the node
//! ([`Registration`]). Dropping the registration takes everything back, whoever has the node open.
//!
//! # Two whole drivers
//!
//! `rust/drivers/iostream_ticker.rs` has a queue: a timer that produces in interrupt context.
//! `rust/drivers/template/iostream_example.rs` has a stream, and is what a driver of your own begins
//! with. The README prints both, and the tests build and run them.
//!
//! # What callbacks may do
//!
//! Callbacks run in process context and may sleep. They must not drop the registration, nor disable
//! or cancel callbacks: those wait for them. They may run at the same time in several threads.

use kernel::{cred::Credential, device::Device, prelude::*, str::CStr};

use crate::{
    ends::{consumer::Consumer, producer::Producer},
    node::{NodeConfig, NodeHandle},
    pool::spec::{Mode, StreamSpec},
    port::{callbacks::Slot, run::Stop, Port, PortConfig},
    queue::config::{Direction, QueueConfig},
    refs::PortRef,
};

/// Who opens a node.
pub struct Opener<'a> {
    /// The credentials with which the file was opened.
    pub credential: &'a Credential,
}

/// What a driver does about what its clients do. All of it has a default.
pub trait Driver: Send + Sync + 'static {
    /// A client opens the node. An error refuses it, and is what its open(2) returns.
    fn open(&self, _opener: &Opener<'_>) -> Result {
        Ok(())
    }

    /// The client is gone, its last descriptor and mapping included. Not called for a client that
    /// outlives the registration: nothing of the driver's is called after that.
    fn closed(&self) {}

    /// Entries came into an input queue that the [`Consumer`] had found empty; buffers came back to
    /// a stream in input or input-output mode whose [`receive`](crate::Stream::receive) had found
    /// none.
    fn data_available(&self) {}

    /// Room was made in an output queue that the [`Producer`] had found full; buffers are free
    /// again in a stream in output mode whose [`take`](crate::Stream::take) had found none.
    fn room_available(&self) {}

    /// The stream is to run, for the first time or again. An error is what the client gets.
    ///
    /// The driver may send from here on. What it took or received and still has is its own.
    fn start(&self) -> Result {
        Ok(())
    }

    /// The stream is to pause; what is queued stays. An error is what the client gets.
    fn suspend(&self) -> Result {
        Ok(())
    }

    /// The stream stops: because the client says so, or its session ends, or the registration is
    /// dropped. When this returns the driver, and its device, use no buffer of the stream any more
    /// but those that it has as [`Buffer`](crate::Buffer); a device that a stream was made for
    /// ([`dma`](crate::StreamConfig::dma)) is at rest.
    fn stop(&self, _how: Stop) {}

    /// The client wants another mode for its session. An error refuses it; the default does.
    fn mode_change(&self, _mode: Mode) -> Result {
        Err(EOPNOTSUPP)
    }

    /// A notice of the client's, in a worker.
    fn input_callback(&self, _token: u32) {}

    /// A notice of the client's, in its own thread, which gets the result.
    fn input_sync_callback(&self, _token: u32) -> Result {
        Err(EOPNOTSUPP)
    }
}

/// A driver that does nothing about it: for sources that only produce.
pub struct NoCallbacks;

impl Driver for NoCallbacks {}

/// The description of a node.
pub struct Config<'a> {
    pub(crate) port: PortConfig,
    pub(crate) node: NodeConfig<'a>,
}

impl<'a> Config<'a> {
    /// A node called `name`, at most 31 bytes, without queues yet, readable and writable by root.
    pub fn new(name: &'a CStr) -> Self {
        Self {
            port: PortConfig::default(),
            node: NodeConfig {
                name,
                mode: 0o600,
                gid: 0,
                parent: None,
            },
        }
    }

    /// An output queue: kernel to user.
    pub fn output(mut self, queue: QueueConfig) -> Self {
        self.port.output = Some(queue);
        self
    }

    /// An input queue: user to kernel.
    pub fn input(mut self, queue: QueueConfig) -> Self {
        self.port.input = Some(queue);
        self
    }

    /// The longest entry of the queue of a direction, if there is one.
    pub(crate) fn max_entry_bytes(&self, direction: Direction) -> Option<u32> {
        let queue = match direction {
            Direction::Output => self.port.output,
            Direction::Input => self.port.input,
        };
        queue.map(|queue| queue.max_entry_bytes())
    }

    /// The permission bits of the node.
    pub fn mode(mut self, mode: u16) -> Self {
        self.node.mode = mode;
        self
    }

    /// The group of the node.
    pub fn gid(mut self, gid: u32) -> Self {
        self.node.gid = gid;
        self
    }

    /// The device that the node belongs to.
    pub fn parent(mut self, parent: &'a Device) -> Self {
        self.node.parent = Some(parent);
        self
    }
}

/// The kernel's ends of a node's queues, before anybody can open it. Take what you use; what is
/// left does nothing.
pub struct Ports<'a> {
    /// The end of the output queue, if there is one.
    pub producer: Option<Producer>,
    /// The end of the input queue, if there is one.
    pub consumer: Option<Consumer>,
    port: PortRef,
    node: NodeConfig<'a>,
}

impl<'a> Ports<'a> {
    /// Makes the ends.
    ///
    /// # Errors
    ///
    /// `EINVAL`: no queue, or an overwriting input queue; `ENOMEM`.
    pub fn new(config: Config<'a>) -> Result<Self> {
        let overwriting_input = config
            .port
            .input
            .is_some_and(|input| input.is_overwriting());
        if overwriting_input {
            return Err(EINVAL);
        }
        Self::with_queues(config)
    }

    /// Makes the ends of a stream's queues.
    ///
    /// # Errors
    ///
    /// `EINVAL`: there are other queues; `ENOMEM`.
    pub(crate) fn with_stream(mut config: Config<'a>, spec: StreamSpec) -> Result<Self> {
        if config.port.output.is_some() || config.port.input.is_some() {
            return Err(EINVAL);
        }
        let queue = spec.queue(spec.max_buffers(spec.buffers))?;
        config.port = PortConfig {
            output: Some(queue),
            input: Some(queue),
            stream: Some(spec),
        };
        Self::with_queues(config)
    }

    fn with_queues(config: Config<'a>) -> Result<Self> {
        let Config { port: queues, node } = config;
        let (output, input) = (queues.output.is_some(), queues.input.is_some());
        if !output && !input {
            return Err(EINVAL);
        }
        let port = PortRef::new(Port::new(queues)?);
        Ok(Self {
            producer: output.then(|| Producer::new(port.clone())),
            consumer: input.then(|| Consumer::new(port.clone())),
            port,
            node,
        })
    }

    /// What the ends share.
    pub(crate) fn port(&self) -> PortRef {
        self.port.clone()
    }
}

/// The driver of one client's port.
///
/// # Invariants
///
/// The port calls the driver by `_slot`, until the registration has revoked it; neither moves.
struct Served<D: Driver> {
    port: PortRef,
    _slot: KBox<Slot>,
    driver: Pin<KBox<D>>,
}

/// A published node, until dropped.
///
/// Dropping it, from anywhere but a callback, removes the node; wakes all who wait with hang-up;
/// makes every call of the client's fail with `ENODEV`; and waits until no callback runs. What the
/// client has mapped stays mapped. Nothing of the driver's code or data is used afterwards, so the
/// driver's module may be unloaded while clients have the node open.
pub struct Registration<D: Driver> {
    node: Option<NodeHandle>,
    /// One for each client that the node can have at a time.
    served: KVec<Served<D>>,
}

// SAFETY: The driver is `Send` and `Sync`, and so is everything else here.
unsafe impl<D: Driver> Send for Registration<D> {}
// SAFETY: As above.
unsafe impl<D: Driver> Sync for Registration<D> {}

impl<D: Driver> Registration<D> {
    /// Publishes a node as `/dev/iostreamN`, for the ends that `ports` held. One client at a time
    /// can have it open.
    ///
    /// # Errors
    ///
    /// `EINVAL`: a name that is empty, too long, or has a `/`; `EEXIST`: the name is taken;
    /// `ENOSPC`: no more nodes; `ENOMEM`.
    pub fn new<E>(ports: Ports<'_>, driver: impl PinInit<D, E>) -> Result<Self>
    where
        Error: From<E>,
    {
        let mut registration = Self::empty();
        registration.serve(ports.port(), driver)?;
        registration.publish(&ports.node)?;
        Ok(registration)
    }

    /// As [`Self::new`], for a node that several clients can have open at a time: as many as
    /// `clients` has ends. Each client has queues and buffers of its own, and a driver value of its
    /// own that serves it. The node is what the first `Ports` describe.
    ///
    /// # Errors
    ///
    /// As [`Self::new`]; `EINVAL` without clients.
    pub fn for_clients<'a, E, I: PinInit<D, E>>(
        clients: impl IntoIterator<Item = (Ports<'a>, I)>,
    ) -> Result<Self>
    where
        Error: From<E>,
    {
        let mut registration = Self::empty();
        let mut node = None;
        for (ports, driver) in clients {
            registration.serve(ports.port(), driver)?;
            let _ = node.get_or_insert(ports.node);
        }
        registration.publish(&node.ok_or(EINVAL)?)?;
        Ok(registration)
    }

    /// Sets the driver of a port that has no node of its own.
    pub(crate) fn without_node<E>(port: PortRef, driver: impl PinInit<D, E>) -> Result<Self>
    where
        Error: From<E>,
    {
        let mut registration = Self::empty();
        registration.serve(port, driver)?;
        Ok(registration)
    }

    fn empty() -> Self {
        Self {
            node: None,
            served: KVec::new(),
        }
    }

    fn serve<E>(&mut self, port: PortRef, driver: impl PinInit<D, E>) -> Result
    where
        Error: From<E>,
    {
        self.served.reserve(1, GFP_KERNEL)?;
        let driver = KBox::pin_init(driver, GFP_KERNEL)?;
        let dynamic: *const dyn Driver = &raw const *driver;
        let slot = KBox::new(Slot(dynamic), GFP_KERNEL)?;
        // INVARIANT: Both stay in boxes until `drop`, which revokes first.
        // SAFETY: As the invariant says.
        unsafe { port.callbacks.set_driver(&slot) };
        let served = Served {
            port,
            _slot: slot,
            driver,
        };
        // There is room, so this cannot fail and drop them.
        self.served.push_within_capacity(served).map_err(|_| ENOMEM)
    }

    fn publish(&mut self, node: &NodeConfig<'_>) -> Result {
        let mut ports = KVec::with_capacity(self.served.len(), GFP_KERNEL)?;
        for served in &self.served {
            ports.push(served.port.clone(), GFP_KERNEL)?;
        }
        self.node = Some(NodeHandle::publish(node, ports)?);
        Ok(())
    }

    /// The driver; of the first client, if there can be several.
    pub fn driver(&self) -> &D {
        &self.served[0].driver
    }

    /// The drivers of all clients.
    pub fn drivers(&self) -> impl Iterator<Item = &D> {
        self.served.iter().map(|served| &*served.driver)
    }

    /// When this returns no callback runs, and none starts until
    /// [`enable_callbacks`](Self::enable_callbacks).
    ///
    /// What a client asks for and waits for, open, start, suspend, stop, the change of mode and the
    /// synchronous notice, is not of these.
    pub fn disable_callbacks(&self) {
        for served in &self.served {
            served.port.callbacks.disable();
        }
    }

    /// Lets callbacks run again, and runs those that were due meanwhile.
    pub fn enable_callbacks(&self) {
        for served in &self.served {
            served.port.enable_callbacks();
        }
    }

    /// When this returns no callback runs, and none ever will.
    pub fn cancel_callbacks(&self) {
        for served in &self.served {
            served.port.callbacks.cancel();
        }
    }
}

impl<D: Driver> Drop for Registration<D> {
    fn drop(&mut self) {
        // First, so that what waits inside a file of the node ends: the node's removal waits for it.
        // Who opens the node in between finds the port gone.
        for served in &self.served {
            served.port.revoke();
        }
        drop(self.node.take());
        // Nobody has the pointers any more; slots and drivers go with the fields.
    }
}
