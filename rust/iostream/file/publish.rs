// SPDX-License-Identifier: GPL-2.0

//! The nodes in `/dev`: their class, their numbers, and how one comes and goes.
//!
//! Nodes have a class and device numbers of their own, not those of misc devices, whose global mutex
//! is held across open.

use core::ptr;

use kernel::{bindings as c, error::to_result, prelude::*, sync::SetOnce, types::Opaque};

use super::{operations, sysfs};
use crate::{
    bindings::{chars, raw_device},
    ends::config::NodeConfig,
    node::{
        names::{self, checked_name, Minor, MAX_NODES},
        Node, NodeRef,
    },
    port::PortRef,
};

/// The class and the numbers, for as long as the module is loaded.
pub(crate) struct Class {
    class: KBox<Opaque<c::class>>,
    first: c::dev_t,
}

// SAFETY: The class has locks of its own; here it is only registered and unregistered.
unsafe impl Send for Class {}
// SAFETY: As above.
unsafe impl Sync for Class {}

#[derive(Clone, Copy)]
struct ClassPointer(*mut c::class, c::dev_t);

// SAFETY: As for `Class`.
unsafe impl Send for ClassPointer {}
// SAFETY: As for `Class`.
unsafe impl Sync for ClassPointer {}

static CLASS: SetOnce<ClassPointer> = SetOnce::new();

impl Class {
    /// Registers the class and the numbers, once, when the module is loaded.
    ///
    /// # Errors
    ///
    /// `EEXIST`: another class has the name; `ENOMEM`; `EBUSY`: no numbers are free.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: Called once, before any node.
        unsafe { names::init() };
        let class = KBox::new(
            Opaque::new(c::class {
                name: c"iostream".as_char_ptr(),
                ..Default::default()
            }),
            GFP_KERNEL,
        )?;
        let mut first = 0;
        let name = c"iostream".as_char_ptr();
        // SAFETY: `first` is written; the name is static.
        to_result(unsafe { c::alloc_chrdev_region(&mut first, 0, MAX_NODES as u32, name) })?;
        // SAFETY: The class is boxed, and unregistered before the box goes.
        if let Err(error) = to_result(unsafe { c::class_register(class.get()) }) {
            // SAFETY: Allocated right above.
            unsafe { c::unregister_chrdev_region(first, MAX_NODES as u32) };
            return Err(error);
        }
        CLASS.populate(ClassPointer(class.get(), first));
        Ok(Self { class, first })
    }
}

impl Drop for Class {
    fn drop(&mut self) {
        // SAFETY: Registered in `new`; the module has no nodes left.
        unsafe {
            c::class_unregister(self.class.get());
            c::unregister_chrdev_region(self.first, MAX_NODES as u32);
        }
    }
}

/// A node that is in `/dev`, until dropped.
pub(crate) struct NodeHandle {
    node: NodeRef,
    /// Dropped last: its number is free for another node once this one has left `/dev`.
    minor: Minor,
}

impl NodeHandle {
    /// Puts a driver's node into `/dev`, as `iostreamN`.
    ///
    /// # Errors
    ///
    /// `EINVAL`: a name that is empty, too long or holds a `/`; `EEXIST`: the name is taken;
    /// `ENOSPC`: there are [`MAX_NODES`] already; `ENOMEM`.
    pub(crate) fn publish(config: &NodeConfig<'_>, ports: KVec<PortRef>) -> Result<Self> {
        Self::new(config, ports)
    }

    /// Puts `/dev/iostream` there.
    pub(crate) fn built_in(config: &NodeConfig<'_>) -> Result<Self> {
        Self::new(config, KVec::new())
    }

    fn new(config: &NodeConfig<'_>, ports: KVec<PortRef>) -> Result<Self> {
        let name = checked_name(config.name)?;
        let minor = Minor::claim(name, ports.is_empty())?;
        let class = CLASS.copy().ok_or(ENODEV)?;
        let node = KBox::into_raw(Node::new(config.mode, config.gid, name, ports)?);
        // SAFETY: The box was just made; from `device_initialize` on the device's count owns it.
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
        // SAFETY: Initialised above; the format matches its argument.
        to_result(unsafe {
            if minor.number() == 0 {
                c::dev_set_name(dev, c"iostream".as_char_ptr())
            } else {
                c::dev_set_name(dev, c"iostream%u".as_char_ptr(), minor.number() as u32)
            }
        })?;
        // SAFETY: Both are initialised; a failure leaves nothing to undo but the references.
        to_result(unsafe { c::cdev_device_add(node.cdev(), dev) })?;
        minor.set_node(&node);
        Ok(Self { node, minor })
    }
}

impl Drop for NodeHandle {
    fn drop(&mut self) {
        self.minor.clear_node();
        // SAFETY: Added in `new`, and removed once.
        unsafe { c::cdev_device_del(self.node.cdev(), self.node.device()) };
    }
}

struct DeviceType(Opaque<c::device_type>);

// SAFETY: The kernel only reads it.
unsafe impl Sync for DeviceType {}

static DEVICE_TYPE: DeviceType = DeviceType(Opaque::new(c::device_type {
    name: chars(c"iostream"),
    devnode: Some(devnode),
    release: Some(release),
    groups: sysfs::groups(),
    ..pin_init::zeroed()
}));

/// Says mode and group of the node to devtmpfs.
///
/// # Safety
///
/// `dev` is a node's device; the others are null or may be written.
unsafe extern "C" fn devnode(
    dev: *const c::device,
    mode: *mut c::umode_t,
    _uid: *mut c::kuid_t,
    gid: *mut c::kgid_t,
) -> *mut c_char {
    // SAFETY: The device type is set on nodes alone.
    let node = unsafe { Node::from_device(dev) };
    // SAFETY: Each pointer is null or may be written.
    unsafe {
        if !mode.is_null() {
            *mode = node.mode();
        }
        if !gid.is_null() {
            *gid = c::kgid_t { val: node.gid() };
        }
    }
    // Null: under its own name.
    ptr::null_mut()
}

/// # Safety
///
/// `dev` is a node's device, and the last reference to it is gone.
unsafe extern "C" fn release(dev: *mut c::device) {
    // SAFETY: The last reference is gone, says the caller.
    unsafe { Node::free(dev) };
}
