// SPDX-License-Identifier: GPL-2.0

//! A device node: what all its sessions share.
//!
//! The release function of the node's device frees the node. It runs after the last open file and
//! the last reader of the node's sysfs files are gone.

pub(crate) mod names;
pub(crate) mod part;
pub(crate) mod session;

use core::ptr;

use kernel::{
    bindings as c, container_of,
    prelude::*,
    sync::atomic::{Atomic, Relaxed},
    types::Opaque,
};

use crate::{port::PortRef, sync::wait::Deadline};
use names::{Name, NAME_BYTES};

/// One node.
///
/// # Invariants
///
/// A published node lives in a box that the release function of `dev` drops.
#[repr(C)]
pub(crate) struct Node {
    dev: Opaque<c::device>,
    cdev: Opaque<c::cdev>,
    mode: u16,
    gid: u32,
    name: Name,
    /// The driver's ports, one for each client that the node can have at a time. Empty for
    /// `/dev/iostream`, whose sessions create theirs.
    ports: KVec<PortRef>,
    /// How many sessions the node has.
    sessions: Atomic<u32>,
}

// SAFETY: The C functions that use device and cdev lock them. The other fields are immutable or
// atomic.
unsafe impl Send for Node {}
// SAFETY: The C functions that use device and cdev lock them. The other fields are immutable or
// atomic.
unsafe impl Sync for Node {}

impl Node {
    /// Creates a node that is not in `/dev` yet. Its device and its cdev are not initialised.
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

    /// The node's device.
    pub(crate) fn device(&self) -> *mut c::device {
        self.dev.get()
    }

    /// The node's character device.
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

    /// The driver's ports. Empty if this is `/dev/iostream`.
    pub(crate) fn ports(&self) -> &[PortRef] {
        &self.ports
    }

    /// Whether this is `/dev/iostream`.
    pub(crate) fn is_built_in(&self) -> bool {
        self.ports.is_empty()
    }

    /// The number of sessions that have the node open.
    pub(crate) fn sessions(&self) -> &Atomic<u32> {
        &self.sessions
    }

    /// Waits until a port may be free, or the driver is gone. An opener that finds all ports open
    /// calls this, and tries again.
    ///
    /// # Errors
    ///
    /// `EBUSY`: nothing has changed when the time was over; `ERESTARTSYS`: a signal came.
    fn wait_for_port(&self, deadline: Deadline) -> Result {
        // Others may take each port that becomes free: this ends none the less.
        if deadline.is_over() {
            return Err(EBUSY);
        }
        let may_be_opened = || self.ports.iter().any(|port| port.may_be_opened());
        let first = self.ports.first().ok_or(EBUSY)?;
        let waited = first.openers.wait(true, deadline, may_be_opened);
        // After a signal the call may be restarted: nothing was done.
        waited.map_err(|error| if error == EINTR { ERESTARTSYS } else { EBUSY })
    }

    /// Lets openers that wait look at the ports once more: one of them is free again, or the driver
    /// is gone.
    pub(crate) fn wake_openers(&self) {
        if let Some(first) = self.ports.first() {
            first.openers.wake_all();
        }
    }

    /// The node of a device.
    ///
    /// # Safety
    ///
    /// `dev` is the device of a node that lives for `'a`.
    pub(crate) unsafe fn from_device<'a>(dev: *const c::device) -> &'a Node {
        // SAFETY: `dev` is the field `dev` of a node that lives for `'a`, by this function's
        // contract.
        unsafe { &*container_of!(Opaque::cast_from(dev), Node, dev) }
    }

    /// The node of a character device.
    ///
    /// # Safety
    ///
    /// `cdev` is the cdev of a node that lives for `'a`.
    pub(crate) unsafe fn from_cdev<'a>(cdev: *const c::cdev) -> &'a Node {
        // SAFETY: `cdev` is the field `cdev` of a node that lives for `'a`, by this function's
        // contract.
        unsafe { &*container_of!(Opaque::cast_from(cdev), Node, cdev) }
    }

    /// Frees a node.
    ///
    /// # Safety
    ///
    /// `dev` is the device of a node, and the last reference to it is gone.
    pub(crate) unsafe fn free(dev: *mut c::device) {
        // SAFETY: The node lives in a box, by the type's invariant. There is no reference to its
        // device left, by this function's contract, and so none to the node.
        drop(unsafe {
            KBox::from_raw(container_of!(Opaque::cast_from(dev), Node, dev).cast_mut())
        });
    }
}

/// A reference to a node, which is a reference to its device.
pub(crate) struct NodeRef(ptr::NonNull<Node>);

// SAFETY: A node is `Send` and `Sync`, and the reference count of its device is atomic.
unsafe impl Send for NodeRef {}
// SAFETY: A node is `Send` and `Sync`, and the reference count of its device is atomic.
unsafe impl Sync for NodeRef {}

impl NodeRef {
    /// Takes a reference to a node.
    pub(crate) fn new(node: &Node) -> Self {
        // SAFETY: The node is borrowed, so its device lives.
        unsafe { c::get_device(node.dev.get()) };
        Self(node.into())
    }

    /// Takes over the first reference, which the initialisation of the device has made.
    ///
    /// # Safety
    ///
    /// `node` points to a boxed node whose device was just initialised.
    pub(crate) unsafe fn first(node: ptr::NonNull<Node>) -> Self {
        Self(node)
    }
}

impl core::ops::Deref for NodeRef {
    type Target = Node;

    fn deref(&self) -> &Node {
        // SAFETY: The reference keeps the device alive, and with it the node.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for NodeRef {
    fn drop(&mut self) {
        // SAFETY: This drops the reference that `self` owns.
        unsafe { c::put_device(self.dev.get()) };
    }
}

/// A reference to a node that also counts a session of it, until this is dropped: then the session's
/// port is free.
pub(crate) struct SessionCount(NodeRef);

impl SessionCount {
    /// Counts a session of `node`.
    pub(crate) fn new(node: &Node) -> Self {
        node.sessions.add(1, Relaxed);
        Self(NodeRef::new(node))
    }

    /// The node.
    pub(crate) fn node(&self) -> &Node {
        &self.0
    }
}

impl Drop for SessionCount {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Relaxed);
        self.0.wake_openers();
    }
}
