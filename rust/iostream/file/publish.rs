// SPDX-License-Identifier: GPL-2.0

//! Publishing nodes in `/dev`: their class, their device numbers, and adding and removing one.
//!
//! Nodes are no misc devices, because the global mutex of those is held across open. They have a
//! class and device numbers of their own.

use core::ptr;

use kernel::{bindings as c, error::to_result, prelude::*, sync::SetOnce, types::Opaque};

use super::{operations, sysfs};
use crate::{
    bindings::{chars, raw_device},
    ends::config::NodeConfig,
    error::refused,
    memory::account,
    node::{
        names::{self, checked_name, Minor, MAX_NODES, NAME_BYTES},
        Node, NodeRef,
    },
    port::PortRef,
    sync::race::race_point,
};

/// The class and the device numbers, from module load to unload.
pub(crate) struct Class {
    class: KBox<Opaque<c::class>>,
    /// The first of [`MAX_NODES`] device numbers.
    first: c::dev_t,
}

// SAFETY: The class is registered and unregistered here, which may be done in any thread.
unsafe impl Send for Class {}
// SAFETY: No method uses a shared reference; the kernel locks the class by itself.
unsafe impl Sync for Class {}

/// The class and the first device number, for publishing a node.
#[derive(Clone, Copy)]
struct ClassPointer(*mut c::class, c::dev_t);

// SAFETY: The pointer is only passed to the kernel, which locks the class by itself.
unsafe impl Send for ClassPointer {}
// SAFETY: The pointer is only passed to the kernel, which locks the class by itself.
unsafe impl Sync for ClassPointer {}

/// Set by [`Class::new`].
static CLASS: SetOnce<ClassPointer> = SetOnce::new();

impl Class {
    /// Registers the class and the numbers. Called once, when the module is loaded.
    ///
    /// # Errors
    ///
    /// `EEXIST`: another class has the name; `EBUSY`: no numbers are free; `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: This runs once, before any node or session exists.
        unsafe {
            account::init();
            names::init();
        }
        let class = KBox::new(
            Opaque::new(c::class {
                name: c"iostream".as_char_ptr(),
                ..Default::default()
            }),
            GFP_KERNEL,
        )?;
        let mut first = 0;
        let name = c"iostream".as_char_ptr();
        // SAFETY: `first` may be written, and the name is static.
        to_result(unsafe { c::alloc_chrdev_region(&mut first, 0, MAX_NODES as u32, name) })?;
        // SAFETY: The box keeps the class at its address, and drop unregisters it first.
        if let Err(error) = to_result(unsafe { c::class_register(class.get()) }) {
            // SAFETY: The numbers were allocated right above.
            unsafe { c::unregister_chrdev_region(first, MAX_NODES as u32) };
            return Err(error);
        }
        CLASS.populate(ClassPointer(class.get(), first));
        Ok(Self { class, first })
    }
}

impl Drop for Class {
    fn drop(&mut self) {
        // SAFETY: `new` registered both, and the module has no nodes left.
        unsafe {
            c::class_unregister(self.class.get());
            c::unregister_chrdev_region(self.first, MAX_NODES as u32);
        }
    }
}

/// A node that is in `/dev`, until dropped.
pub(crate) struct NodeHandle {
    node: NodeRef,
    /// The last field, because it is dropped last: another node may have the number once this one
    /// has left `/dev`.
    minor: Minor,
}

impl NodeHandle {
    /// Publishes a driver's node as `/dev/iostreamN`.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the name is empty, too long or contains a `/`; `EEXIST`: the name is taken;
    /// `ENOSPC`: there are [`MAX_NODES`] already; `ENOMEM`.
    pub(crate) fn publish(config: &NodeConfig<'_>, ports: KVec<PortRef>) -> Result<Self> {
        Self::new(config, ports).map_err(|error| {
            let name = config.name;
            match error {
                EINVAL => refused!(
                    error,
                    "the node {name:?} is refused: a name has 1 to {} bytes, and no /\n",
                    NAME_BYTES - 1
                ),
                EEXIST => refused!(error, "the node {name:?} is refused: the name is taken\n"),
                ENOSPC => refused!(
                    error,
                    "the node {name:?} is refused: there are {} nodes already\n",
                    MAX_NODES - 1
                ),
                _ => error,
            }
        })
    }

    /// Publishes the built-in node, `/dev/iostream`.
    pub(crate) fn built_in(config: &NodeConfig<'_>) -> Result<Self> {
        Self::new(config, KVec::new())
    }

    fn new(config: &NodeConfig<'_>, ports: KVec<PortRef>) -> Result<Self> {
        let name = checked_name(config.name)?;
        let minor = Minor::claim(name, ports.is_empty())?;
        let class = CLASS.copy().ok_or(ENODEV)?;
        let node = KBox::into_raw(Node::new(config.mode, config.gid, name, ports)?);
        // SAFETY: The node was allocated right above, and nothing else uses it yet. From
        // `device_initialize` on the device's reference count owns it.
        let node = unsafe {
            let (dev, cdev) = ((*node).device(), (*node).cdev());
            c::device_initialize(dev);
            (*dev).class = class.0;
            (*dev).devt = class.1 + minor.number() as u32;
            (*dev).type_ = DEVICE_TYPE.0.get();
            (*dev).parent = config.parent.map_or(ptr::null_mut(), raw_device);
            c::cdev_init(cdev, operations::operations());
            (*cdev).owner = operations::owner();
            NodeRef::first(ptr::NonNull::new_unchecked(node))
        };
        let dev = node.device();
        // SAFETY: The device was initialised above, and the format matches its argument.
        to_result(unsafe {
            if minor.number() == 0 {
                c::dev_set_name(dev, c"iostream".as_char_ptr())
            } else {
                c::dev_set_name(dev, c"iostream%u".as_char_ptr(), minor.number() as u32)
            }
        })?;
        // SAFETY: Both were initialised above. After a failure only the reference is left to drop.
        to_result(unsafe { c::cdev_device_add(node.cdev(), dev) })?;
        race_point!("node-added");
        minor.set_node(&node);
        Ok(Self { node, minor })
    }
}

impl Drop for NodeHandle {
    fn drop(&mut self) {
        self.minor.clear_node();
        // The driver is gone: nobody waits for its ports.
        self.node.wake_openers();
        race_point!("node-hidden");
        // SAFETY: `new` added the device, and only this removes it.
        unsafe { c::cdev_device_del(self.node.cdev(), self.node.device()) };
    }
}

/// The type of the nodes' devices, shareable as a static.
struct DeviceType(Opaque<c::device_type>);

// SAFETY: The kernel only reads a device type.
unsafe impl Sync for DeviceType {}

static DEVICE_TYPE: DeviceType = DeviceType(Opaque::new(c::device_type {
    name: chars(c"iostream"),
    devnode: Some(devnode),
    release: Some(release),
    groups: sysfs::groups(),
    ..pin_init::zeroed()
}));

/// Tells devtmpfs the mode and the group of a node.
///
/// # Safety
///
/// `dev` is a node's device. Each of the other pointers is null or may be written.
unsafe extern "C" fn devnode(
    dev: *const c::device,
    mode: *mut c::umode_t,
    _uid: *mut c::kuid_t,
    gid: *mut c::kgid_t,
) -> *mut c_char {
    // SAFETY: Only the devices of nodes have this device type.
    let node = unsafe { Node::from_device(dev) };
    // SAFETY: A pointer that is not null may be written, by this function's contract.
    unsafe {
        if !mode.is_null() {
            *mode = node.mode();
        }
        if !gid.is_null() {
            *gid = c::kgid_t { val: node.gid() };
        }
    }
    // No path of its own: the node is named like the device.
    ptr::null_mut()
}

/// Frees a node.
///
/// # Safety
///
/// `dev` is a node's device, and its last reference is gone.
unsafe extern "C" fn release(dev: *mut c::device) {
    // SAFETY: The last reference is gone, by this function's contract.
    unsafe { Node::free(dev) };
}
