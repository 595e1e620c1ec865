// SPDX-License-Identifier: GPL-2.0

//! What a driver's author needs: this page, [`Producer`] and [`Consumer`].
//!
//! A driver describes its node ([`Config`]), makes its ports ([`Ports`]), keeps the ends of the
//! queues that it wants to use, and publishes the node ([`Registration`]). Dropping the
//! registration takes everything back, whoever has the node open.
//!
//! # A source in 40 lines
//!
//! `rust/drivers/iostream_ticker.rs` is a whole driver: a timer that produces in interrupt context.
//! The README prints it and the tests run it.
//!
//! # What callbacks may do
//!
//! Callbacks run in process context and may sleep. They must not drop the registration, nor disable
//! or cancel callbacks: those wait for them. They may run at the same time in several threads.

use kernel::{cred::Credential, device::Device, prelude::*, str::CStr};

use crate::{
    config::{Direction, QueueConfig},
    node::{NodeConfig, NodeHandle},
    port::{Port, PortConfig, Slot},
    refs::PortRef,
    Consumer, Producer,
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

    /// Entries came into an input queue that the [`Consumer`] had found empty.
    fn data_available(&self) {}

    /// Room was made in an output queue that the [`Producer`] had found full.
    fn room_available(&self) {}
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
        let Config { port: queues, node } = config;
        let overwriting_input = queues.input.is_some_and(|input| input.is_overwriting());
        if overwriting_input || (queues.output.is_none() && queues.input.is_none()) {
            return Err(EINVAL);
        }
        let port = PortRef::new(Port::new(queues)?);
        Ok(Self {
            producer: queues.output.map(|_| Producer::new(port.clone())),
            consumer: queues.input.map(|_| Consumer::new(port.clone())),
            port,
            node,
        })
    }

    /// What the ends share.
    pub(crate) fn port(&self) -> PortRef {
        self.port.clone()
    }
}

/// A published node, until dropped.
///
/// Dropping it, from anywhere but a callback, removes the node; wakes all who wait with hang-up;
/// makes every call of the client's fail with `ENODEV`; and waits until no callback runs. What the
/// client has mapped stays mapped. Nothing of the driver's code or data is used afterwards, so the
/// driver's module may be unloaded while clients have the node open.
///
/// # Invariants
///
/// The port calls the driver by `_slot`, until `drop` has revoked it; neither moves.
pub struct Registration<D: Driver> {
    node: Option<NodeHandle>,
    port: PortRef,
    _slot: KBox<Slot>,
    driver: Pin<KBox<D>>,
}

// SAFETY: The driver is `Send` and `Sync`, and so is everything else here.
unsafe impl<D: Driver> Send for Registration<D> {}
// SAFETY: As above.
unsafe impl<D: Driver> Sync for Registration<D> {}

impl<D: Driver> Registration<D> {
    /// Publishes a node as `/dev/iostreamN`, for the ends that `ports` held.
    ///
    /// # Errors
    ///
    /// `EINVAL`: a name that is empty, too long, or has a `/`; `EEXIST`: the name is taken;
    /// `ENOSPC`: no more nodes; `ENOMEM`.
    pub fn new<E>(ports: Ports<'_>, driver: impl PinInit<D, E>) -> Result<Self>
    where
        Error: From<E>,
    {
        let mut registration = Self::without_node(ports.port(), driver)?;
        registration.node = Some(NodeHandle::publish(&ports.node, ports.port())?);
        Ok(registration)
    }

    /// Sets the driver of a port that has no node of its own.
    pub(crate) fn without_node<E>(port: PortRef, driver: impl PinInit<D, E>) -> Result<Self>
    where
        Error: From<E>,
    {
        let driver = KBox::pin_init(driver, GFP_KERNEL)?;
        let dynamic: *const dyn Driver = &raw const *driver;
        let slot = KBox::new(Slot(dynamic), GFP_KERNEL)?;
        // INVARIANT: Both stay in boxes until `drop`, which revokes first.
        // SAFETY: As the invariant says.
        unsafe { port.set_driver(&slot) };
        Ok(Self {
            node: None,
            port,
            _slot: slot,
            driver,
        })
    }

    /// The driver.
    pub fn driver(&self) -> &D {
        &self.driver
    }

    /// When this returns no callback runs, and none starts until
    /// [`enable_callbacks`](Self::enable_callbacks).
    pub fn disable_callbacks(&self) {
        self.port.disable_callbacks();
    }

    /// Lets callbacks run again, and runs those that were due meanwhile.
    pub fn enable_callbacks(&self) {
        self.port.enable_callbacks();
    }

    /// When this returns no callback runs, and none ever will.
    pub fn cancel_callbacks(&self) {
        self.port.cancel_callbacks();
    }
}

impl<D: Driver> Drop for Registration<D> {
    fn drop(&mut self) {
        // No new client first, then the ones there are.
        drop(self.node.take());
        self.port.revoke();
        // Nobody has the pointers any more; slot and driver go with the fields.
    }
}
