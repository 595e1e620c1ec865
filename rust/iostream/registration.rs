// SPDX-License-Identifier: GPL-2.0

//! A registration: a published node with its ports and the drivers that serve them.

mod published;

use kernel::prelude::*;

use crate::{
    driver::Driver,
    ends::config::{NodeConfig, Ports},
    port::served::Served,
};
use published::Published;

/// A node that is published until this is dropped.
///
/// The drop removes the node, wakes everyone that waits with a hang-up, and waits until no
/// callback runs; so it must not happen inside a callback. From then on every call of a client
/// fails with `ENODEV`, while its mappings stay. The framework no longer uses the driver's code or
/// data, so the driver's module may be unloaded while clients have the node open.
///
/// A driver should drop it. If it leaks it, the node ends with the driver's module, or with the
/// binding of the device that a stream was declared for ([`dma`](crate::StreamConfig::dma)). When
/// the module is unloaded, the driver is not called any more: not even `stop`.
///
/// # Examples
///
/// Fields of a struct drop in the order of their declaration, so the order of a driver's fields says
/// what ends first.
///
/// ```rust,ignore,from:rust/drivers/iostream_ticker.rs
/// struct Ticker {
///     _timer: ArcHrTimerHandle<Tick>, // Dropped first, so that it produces nothing later.
///     _node: Registration<NoCallbacks>,
/// }
/// ```
pub struct Registration<D: Driver> {
    /// One for each client that the node can have at a time. Dropped before the node, because
    /// removing the node waits for calls on its sysfs files, and only this drop ends calls that
    /// wait.
    served: KVec<Served<D>>,
    _published: Published,
}

impl<D: Driver> Registration<D> {
    /// Publishes the node that `ports` describes as `/dev/iostreamN`. One client at a time can have
    /// it open.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the name is empty, too long, or has a `/`; `EEXIST` if the name is taken;
    /// `ENOSPC` if there are no more nodes; `ENOMEM`; the error of `driver`.
    pub fn new<E>(ports: Ports<'_>, driver: impl PinInit<D, E>) -> Result<Self>
    where
        Error: From<E>,
    {
        let mut served = KVec::new();
        served.push(Served::new(ports.port(), driver)?, GFP_KERNEL)?;
        Self::publish(served, ports.node())
    }

    /// Publishes a node that several clients can have open at a time, one for each item of
    /// `clients`.
    ///
    /// Each client has queues and buffers of its own, and is served by a driver value of its own.
    /// The first `Ports` describe the node.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `clients` is empty; those of [`Self::new`].
    pub fn for_clients<'a, E, I: PinInit<D, E>>(
        clients: impl IntoIterator<Item = (Ports<'a>, I)>,
    ) -> Result<Self>
    where
        Error: From<E>,
    {
        let mut served = KVec::new();
        let mut node = None;
        for (ports, driver) in clients {
            served.push(Served::new(ports.port(), driver)?, GFP_KERNEL)?;
            let _ = node.get_or_insert(ports.into_node());
        }
        Self::publish(served, &node.ok_or(EINVAL)?)
    }

    fn publish(served: KVec<Served<D>>, node: &NodeConfig<'_>) -> Result<Self> {
        let mut ports = KVec::with_capacity(served.len(), GFP_KERNEL)?;
        for one in &served {
            ports.push(one.port().clone(), GFP_KERNEL)?;
        }
        let words = served.first().ok_or(EINVAL)?.words();
        let published = Published::new(node, ports, words)?;
        Ok(Self {
            served,
            _published: published,
        })
    }

    /// The driver; that of the first client, if there can be several.
    pub fn driver(&self) -> &D {
        self.served[0].driver()
    }

    /// The drivers of all clients.
    pub fn drivers(&self) -> impl Iterator<Item = &D> {
        self.served.iter().map(|served| served.driver())
    }

    /// Disables callbacks: when this returns none runs, and none starts until
    /// [`enable_callbacks`](Self::enable_callbacks).
    ///
    /// This covers `data_available`, `room_available` and `input_callback`. The other callbacks
    /// answer a call that a client waits for, and still run.
    pub fn disable_callbacks(&self) {
        for served in &self.served {
            served.port().callbacks.disable();
        }
    }

    /// Enables callbacks again, and runs those that became due meanwhile.
    pub fn enable_callbacks(&self) {
        for served in &self.served {
            served.port().enable_callbacks();
        }
    }

    /// Ends the waits of the driver's threads ([`Consumer::wait`](crate::Consumer::wait),
    /// [`Producer::wait_room`](crate::Producer::wait_room),
    /// [`Producer::enqueue_wait`](crate::Producer::enqueue_wait)) with
    /// [`Error::Interrupted`](crate::Error::Interrupted): those under way, and until
    /// [`allow_waits`](Self::allow_waits) all others that would sleep. Any context.
    pub fn cancel_waits(&self) {
        for served in &self.served {
            served.port().kicks.cancel();
        }
    }

    /// Allows waits again after [`cancel_waits`](Self::cancel_waits).
    pub fn allow_waits(&self) {
        for served in &self.served {
            served.port().kicks.allow();
        }
    }

    /// Disables callbacks permanently: when this returns none runs, and none starts again.
    pub fn cancel_callbacks(&self) {
        for served in &self.served {
            served.port().callbacks.cancel();
        }
    }
}
