// SPDX-License-Identifier: GPL-2.0

//! A driver's ports, drivers and node, put together.

use kernel::prelude::*;

use crate::{
    driver::Driver,
    ends::config::{NodeConfig, Ports},
    file::publish::NodeHandle,
    port::served::Served,
};

/// A published node, until dropped.
///
/// Dropping it, from anywhere but a callback, removes the node; wakes all who wait with hang-up;
/// makes every call of the client's fail with `ENODEV`; and waits until no callback runs. What the
/// client has mapped stays mapped. Nothing of the driver's code or data is used afterwards, so the
/// driver's module may be unloaded while clients have the node open.
pub struct Registration<D: Driver> {
    /// One for each client that the node can have at a time. Dropped first, so that what waits inside
    /// a file of the node ends: the removal of the node waits for it.
    served: KVec<Served<D>>,
    _node: NodeHandle,
}

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
        let mut served = KVec::new();
        served.push(Served::new(ports.port(), driver)?, GFP_KERNEL)?;
        Self::publish(served, ports.node())
    }

    /// As [`Self::new`], for a node that several clients can have open at a time: as many as
    /// `clients` has ends. Each client has queues and buffers of its own, and a driver value of its
    /// own that serves it. The node is what the first `Ports` describe.
    ///
    /// # Errors
    ///
    /// `EINVAL`: no clients, or a bad name; `EEXIST`: the name is taken; `ENOSPC`: no more nodes; `ENOMEM`.
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
        let node = NodeHandle::publish(node, ports)?;
        Ok(Self {
            served,
            _node: node,
        })
    }

    /// The driver; of the first client, if there can be several.
    pub fn driver(&self) -> &D {
        self.served[0].driver()
    }

    /// The drivers of all clients.
    pub fn drivers(&self) -> impl Iterator<Item = &D> {
        self.served.iter().map(|served| served.driver())
    }

    /// When this returns no callback runs, and none starts until
    /// [`enable_callbacks`](Self::enable_callbacks).
    ///
    /// What a client asks for and waits for, open, start, suspend, stop, the change of mode and the
    /// synchronous notice, is not of these.
    pub fn disable_callbacks(&self) {
        for served in &self.served {
            served.port().callbacks.disable();
        }
    }

    /// Lets callbacks run again, and runs those that were due meanwhile.
    pub fn enable_callbacks(&self) {
        for served in &self.served {
            served.port().enable_callbacks();
        }
    }

    /// When this returns no callback runs, and none ever will.
    pub fn cancel_callbacks(&self) {
        for served in &self.served {
            served.port().callbacks.cancel();
        }
    }
}
