// SPDX-License-Identifier: GPL-2.0

//! A node, as all its sessions see it.
//!
//! A node's memory goes in its device's release function: after the last open file and the last
//! reader of its sysfs files.

pub(crate) mod names;
pub(crate) mod session;

use core::ptr;

use kernel::{
    bindings as c, container_of,
    prelude::*,
    sync::atomic::{Atomic, Relaxed},
    types::Opaque,
};

use crate::port::PortRef;
use names::{Name, NAME_BYTES};

/// One node.
///
/// # Invariants
///
/// Lives in a box that the release function of `dev` drops.
#[repr(C)]
pub(crate) struct Node {
    dev: Opaque<c::device>,
    cdev: Opaque<c::cdev>,
    mode: u16,
    gid: u32,
    name: Name,
    /// The driver's ports, one for each client that there can be at a time; none for
    /// `/dev/iostream`, whose sessions make theirs.
    ports: KVec<PortRef>,
    sessions: Atomic<u32>,
}

// SAFETY: Device and cdev have locks of their own; the rest is immutable or atomic.
unsafe impl Send for Node {}
// SAFETY: Device and cdev have locks of their own; the rest is immutable or atomic.
unsafe impl Sync for Node {}

impl Node {
    /// A node that is not in `/dev` yet, and whose device and cdev are not initialised.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(mode: u16, gid: u32, name: Name, ports: KVec<PortRef>) -> Result<KBox<Self>> {
        let node = Node {
            dev: Opaque::new(c::device::default()),
            cdev: Opaque::new(c::cdev::default()),
            mode,
            gid,
            name,
            ports,
            sessions: Atomic::new(0),
        };
        Ok(KBox::new(node, GFP_KERNEL)?)
    }

    /// Its device.
    pub(crate) fn device(&self) -> *mut c::device {
        self.dev.get()
    }

    /// Its cdev.
    pub(crate) fn cdev(&self) -> *mut c::cdev {
        self.cdev.get()
    }

    /// The permission bits of the node in `/dev`.
    pub(crate) fn mode(&self) -> u16 {
        self.mode
    }

    /// The group of the node in `/dev`.
    pub(crate) fn gid(&self) -> u32 {
        self.gid
    }

    /// The node's name, zero-padded.
    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// The node's name as text.
    pub(crate) fn name_str(&self) -> &str {
        let end = self.name.iter().position(|b| *b == 0).unwrap_or(NAME_BYTES);
        core::str::from_utf8(&self.name[..end]).unwrap_or("?")
    }

    /// The driver's ports; none if this is `/dev/iostream`.
    pub(crate) fn ports(&self) -> &[PortRef] {
        &self.ports
    }

    /// Whether this is `/dev/iostream`.
    pub(crate) fn is_built_in(&self) -> bool {
        self.ports.is_empty()
    }

    /// Sessions that have the node open.
    pub(crate) fn sessions(&self) -> &Atomic<u32> {
        &self.sessions
    }

    /// # Safety
    ///
    /// `dev` is the device of a node, alive for `'a`.
    pub(crate) unsafe fn from_device<'a>(dev: *const c::device) -> &'a Node {
        // SAFETY: The caller's promise.
        unsafe { &*container_of!(Opaque::cast_from(dev), Node, dev) }
    }

    /// # Safety
    ///
    /// `cdev` is the cdev of a node, alive for `'a`.
    pub(crate) unsafe fn from_cdev<'a>(cdev: *const c::cdev) -> &'a Node {
        // SAFETY: The caller's promise.
        unsafe { &*container_of!(Opaque::cast_from(cdev), Node, cdev) }
    }

    /// Frees a node.
    ///
    /// # Safety
    ///
    /// `dev` is the device of a node, and the last reference to it is gone.
    pub(crate) unsafe fn free(dev: *mut c::device) {
        // SAFETY: Nobody has the device, says the caller, and so nobody has the node.
        drop(unsafe {
            KBox::from_raw(container_of!(Opaque::cast_from(dev), Node, dev).cast_mut())
        });
    }
}

/// A reference to a node.
pub(crate) struct NodeRef(ptr::NonNull<Node>);

// SAFETY: A node may be used and dropped anywhere that may sleep.
unsafe impl Send for NodeRef {}
// SAFETY: As above.
unsafe impl Sync for NodeRef {}

impl NodeRef {
    pub(crate) fn new(node: &Node) -> Self {
        // SAFETY: The node is alive, and so its device.
        unsafe { c::get_device(node.dev.get()) };
        Self(node.into())
    }

    /// The reference that a device has from its initialisation on.
    ///
    /// # Safety
    ///
    /// The device of `node` was initialised right before, and `node` points at a boxed node.
    pub(crate) unsafe fn first(node: ptr::NonNull<Node>) -> Self {
        Self(node)
    }
}

impl core::ops::Deref for NodeRef {
    type Target = Node;

    fn deref(&self) -> &Node {
        // SAFETY: The reference keeps the device, and with it the node.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for NodeRef {
    fn drop(&mut self) {
        // SAFETY: The reference is this one's.
        unsafe { c::put_device(self.dev.get()) };
    }
}

/// Counts a session of a node, until dropped.
pub(crate) struct SessionCount(NodeRef);

impl SessionCount {
    pub(crate) fn new(node: &Node) -> Self {
        node.sessions.add(1, Relaxed);
        Self(NodeRef::new(node))
    }

    pub(crate) fn node(&self) -> &Node {
        &self.0
    }
}

impl Drop for SessionCount {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Relaxed);
    }
}
