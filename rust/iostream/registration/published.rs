// SPDX-License-Identifier: GPL-2.0

//! The part of a registration that ends with the driver even if the driver leaks it: the node, and
//! the ports' way to the driver.

use kernel::{
    prelude::*,
    sync::{new_mutex, Arc, Mutex},
};

use crate::sync::race::race_point;
use crate::{
    ends::config::NodeConfig,
    file::publish::NodeHandle,
    port::PortRef,
    sync::registered::{Listed, Registered},
};

/// A published node with its ports.
#[pin_data]
struct Shared {
    /// The words of the pointer to the first port's driver. Those of the others have the same
    /// vtable.
    words: [usize; 2],
    ports: KVec<PortRef>,
    #[pin]
    node: Mutex<Option<NodeHandle>>,
}

impl Shared {
    /// Removes the node. When this returns it is gone, whoever removed it.
    fn remove_node(&self) {
        let mut node = self.node.lock();
        drop(node.take());
    }
}

impl Registered for Shared {
    fn words(&self) -> [usize; 2] {
        self.words
    }

    fn end_with_device(&self) {
        for port in &self.ports {
            port.revoke();
        }
        self.remove_node();
    }

    fn end_with_module(&self) {
        for port in &self.ports {
            port.revoke_unloaded();
        }
        self.remove_node();
    }
}

/// A published node, until dropped.
pub(super) struct Published {
    shared: Arc<Shared>,
    _listed: Listed,
}

impl Published {
    /// Publishes a node with these ports. `words` are those of a pointer to their driver.
    ///
    /// # Errors
    ///
    /// Those of [`NodeHandle::publish`]; `ENODEV`: a port's device is being unbound.
    pub(super) fn new(
        node: &NodeConfig<'_>,
        ports: KVec<PortRef>,
        words: [usize; 2],
    ) -> Result<Self> {
        let mut known = KVec::with_capacity(ports.len(), GFP_KERNEL)?;
        for port in &ports {
            known.push(port.clone(), GFP_KERNEL)?;
        }
        let shared = Arc::pin_init(
            pin_init!(Shared {
                words,
                ports,
                node <- new_mutex!(None, "iostream_node"),
            }),
            GFP_KERNEL,
        )?;
        let published = Self {
            _listed: Listed::new(shared.clone())?,
            shared,
        };
        for port in &published.shared.ports {
            if let Some(dma) = port.dma() {
                dma.end_at_unbind(published.shared.clone())?;
            }
        }
        *published.shared.node.lock() = Some(NodeHandle::publish(node, known)?);
        race_point!("node-published");
        Ok(published)
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        self.shared.remove_node();
    }
}
