// SPDX-License-Identifier: GPL-2.0

//! Device nodes: the class, the numbers, and the life of one node.
//!
//! Nodes have a class and device numbers of their own, not those of misc devices, whose global
//! mutex is held across open. A node's memory goes in its device's release function: after the last
//! open file and the last reader of its sysfs files.

pub(crate) mod session;

use core::ptr;

use kernel::{
    bindings as c, container_of,
    device::Device,
    error::to_result,
    prelude::*,
    str::CStr,
    sync::{
        atomic::{Atomic, Relaxed},
        global_lock, SetOnce,
    },
    types::Opaque,
};

use crate::{
    file::{operations, sysfs},
    refs::PortRef,
    ring::uapi,
};

/// How many nodes there can be, `/dev/iostream` included.
const MAX_NODES: usize = 256;
/// Bytes of a name, the closing zero included.
const NAME_BYTES: usize = uapi::IOSTREAM_NAME_BYTES as usize;

/// A node's name, zero-padded.
pub(crate) type Name = [u8; NAME_BYTES];

/// How a node is to look.
pub(crate) struct NodeConfig<'a> {
    pub(crate) name: &'a CStr,
    pub(crate) mode: u16,
    pub(crate) gid: u32,
    pub(crate) parent: Option<&'a Device>,
}

/// A name that is taken, and its node, while that is published.
#[derive(Clone, Copy)]
struct Taken {
    name: Name,
    node: Option<NodePointer>,
}

#[derive(Clone, Copy)]
struct NodePointer(ptr::NonNull<Node>);

// SAFETY: As for `NodeRef`.
unsafe impl Send for NodePointer {}

global_lock! {
    // SAFETY: Initialised in `Class::new`, before the first node.
    unsafe(uninit) static NAMES: Mutex<[Option<Taken>; MAX_NODES]> = [None; MAX_NODES];
}

/// The published node of a name.
///
/// # Errors
///
/// `ENOENT`; `EINVAL`: no name at all.
pub(crate) fn find(name: &CStr) -> Result<NodeRef> {
    let name = checked_name(name)?;
    let names = NAMES.lock();
    let taken = names.iter().flatten().find(|taken| taken.name == name);
    let node = taken.and_then(|taken| taken.node).ok_or(ENOENT)?;
    // SAFETY: Its handle takes the pointer out, under this lock, before it lets go of the node.
    Ok(NodeRef::new(unsafe { node.0.as_ref() }))
}

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
        unsafe { NAMES.init() };
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
// SAFETY: As above.
unsafe impl Sync for Node {}

impl Node {
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

/// A node that is in `/dev`, until dropped.
pub(crate) struct NodeHandle {
    node: NodeRef,
    minor: usize,
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
        let node = KBox::new(
            Node {
                dev: Opaque::new(c::device::default()),
                cdev: Opaque::new(c::cdev::default()),
                mode: config.mode,
                gid: config.gid,
                name,
                ports,
                sessions: Atomic::new(0),
            },
            GFP_KERNEL,
        )?;
        let node = KBox::into_raw(node);
        // SAFETY: The box was just made; from `device_initialize` on the device's count owns it.
        let node = unsafe {
            let (dev, cdev) = ((*node).dev.get(), (*node).cdev.get());
            c::device_initialize(dev);
            (*dev).class = class.0;
            (*dev).devt = class.1 + minor.0 as u32;
            (*dev).type_ = DEVICE_TYPE.0.get();
            (*dev).parent = config.parent.map_or(ptr::null_mut(), raw_device);
            c::cdev_init(cdev, operations::operations());
            (*cdev).owner = operations::owner();
            NodeRef(ptr::NonNull::new_unchecked(node))
        };
        let dev = node.dev.get();
        // SAFETY: Initialised above; the format matches its argument.
        to_result(unsafe {
            if minor.0 == 0 {
                c::dev_set_name(dev, c"iostream".as_char_ptr())
            } else {
                c::dev_set_name(dev, c"iostream%u".as_char_ptr(), minor.0 as u32)
            }
        })?;
        // SAFETY: Both are initialised; a failure leaves nothing to undo but the references.
        to_result(unsafe { c::cdev_device_add(node.cdev.get(), dev) })?;
        minor.set_node(Some(NodePointer(node.0)));
        let handle = Self {
            node,
            minor: minor.0,
        };
        core::mem::forget(minor);
        Ok(handle)
    }
}

impl Drop for NodeHandle {
    fn drop(&mut self) {
        let minor = Minor(self.minor);
        minor.set_node(None);
        // SAFETY: Added in `new`, and removed once.
        unsafe { c::cdev_device_del(self.node.cdev.get(), self.node.dev.get()) };
    }
}

/// A minor number and the name that goes with it, until dropped.
struct Minor(usize);

impl Minor {
    fn claim(name: Name, built_in: bool) -> Result<Self> {
        let mut names = NAMES.lock();
        if names.iter().flatten().any(|taken| taken.name == name) {
            return Err(EEXIST);
        }
        let free = names.iter().skip(1).position(Option::is_none);
        let minor = match (built_in, free) {
            (true, _) => 0,
            (false, Some(free)) => free + 1,
            (false, None) => return Err(ENOSPC),
        };
        names[minor] = Some(Taken { name, node: None });
        Ok(Self(minor))
    }

    /// Says which node has the name.
    fn set_node(&self, node: Option<NodePointer>) {
        if let Some(taken) = &mut NAMES.lock()[self.0] {
            taken.node = node;
        }
    }
}

impl Drop for Minor {
    fn drop(&mut self) {
        NAMES.lock()[self.0] = None;
    }
}

fn checked_name(name: &CStr) -> Result<Name> {
    let bytes = name.to_bytes();
    if bytes.is_empty() || bytes.len() >= NAME_BYTES || bytes.contains(&b'/') {
        return Err(EINVAL);
    }
    let mut padded = [0; NAME_BYTES];
    padded[..bytes.len()].copy_from_slice(bytes);
    Ok(padded)
}

/// The C device of a Rust one.
pub(crate) fn raw_device(device: &Device) -> *mut c::device {
    // CAST: `Device` is a transparent wrapper of `struct device`.
    ptr::from_ref(device).cast_mut().cast()
}

/// A string for C, in a constant.
#[allow(
    clippy::disallowed_methods,
    reason = "as_char_ptr is no constant function; the cast makes the kernel's char of it"
)]
pub(crate) const fn chars(text: &'static CStr) -> *const c_char {
    text.as_ptr().cast()
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
            *mode = node.mode;
        }
        if !gid.is_null() {
            *gid = c::kgid_t { val: node.gid };
        }
    }
    // Null: under its own name.
    ptr::null_mut()
}

/// # Safety
///
/// `dev` is a node's device, and the last reference to it is gone.
unsafe extern "C" fn release(dev: *mut c::device) {
    // SAFETY: The last reference to the device is gone, and with it to the node.
    drop(unsafe { KBox::from_raw(container_of!(Opaque::cast_from(dev), Node, dev).cast_mut()) });
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
