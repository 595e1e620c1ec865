// SPDX-License-Identifier: GPL-2.0

//! The table of names and minor numbers, and the nodes that have them.

use core::ptr::NonNull;

use kernel::{prelude::*, str::CStr, sync::global_lock};

use super::{Node, NodeRef};
use crate::ring::uapi;

/// How many nodes there can be, `/dev/iostream` included.
pub(crate) const MAX_NODES: usize = 256;
/// Bytes of a name, the terminating zero included.
pub(crate) const NAME_BYTES: usize = uapi::IOSTREAM_NAME_BYTES as usize;

/// A node's name, zero-padded.
pub(crate) type Name = [u8; NAME_BYTES];

/// A name that is taken, with its node while the node is published.
#[derive(Clone, Copy)]
struct Taken {
    name: Name,
    node: Option<NodePointer>,
}

/// A pointer to a published node.
#[derive(Clone, Copy)]
struct NodePointer(NonNull<Node>);

// SAFETY: A node is `Sync`, so a pointer to it may be used in any thread.
unsafe impl Send for NodePointer {}

global_lock! {
    // SAFETY: `init` is called when the module is loaded, before the first node is created.
    unsafe(uninit) static NAMES: Mutex<[Option<Taken>; MAX_NODES]> = [None; MAX_NODES];
}

/// Initialises the table.
///
/// # Safety
///
/// This is called once, before any node is created.
pub(crate) unsafe fn init() {
    // SAFETY: This is the only call, and the table is not in use yet, by this function's contract.
    unsafe { NAMES.init() };
}

/// Finds the published node of a name.
///
/// # Errors
///
/// `ENOENT` if there is none; `EINVAL` if no node can have the name.
pub(crate) fn find(name: &CStr) -> Result<NodeRef> {
    let name = checked_name(name)?;
    let names = NAMES.lock();
    let taken = names.iter().flatten().find(|taken| taken.name == name);
    let node = taken.and_then(|taken| taken.node).ok_or(ENOENT)?;
    // SAFETY: The node's handle clears the pointer, under this lock, before it drops its reference.
    Ok(NodeRef::new(unsafe { node.0.as_ref() }))
}

/// A claim of a minor number and a name, until this is dropped.
pub(crate) struct Minor(usize);

impl Minor {
    /// Claims `name` and a number for it: 0 for `/dev/iostream`, else the first free one.
    ///
    /// # Errors
    ///
    /// `EEXIST` if the name is taken; `ENOSPC` if there are [`MAX_NODES`] nodes already.
    pub(crate) fn claim(name: Name, built_in: bool) -> Result<Self> {
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

    /// The number.
    pub(crate) fn number(&self) -> usize {
        self.0
    }

    /// Lets [`find`] find the node by its name.
    pub(crate) fn set_node(&self, node: &Node) {
        self.set(Some(NodePointer(node.into())));
    }

    /// Hides the node from [`find`]. The caller does this before it drops its reference to the
    /// node.
    pub(crate) fn clear_node(&self) {
        self.set(None);
    }

    fn set(&self, node: Option<NodePointer>) {
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

/// Checks a name and pads it with zeros.
///
/// # Errors
///
/// `EINVAL` if it is empty, too long, or has a `/`.
pub(crate) fn checked_name(name: &CStr) -> Result<Name> {
    let bytes = name.to_bytes();
    if bytes.is_empty() || bytes.len() >= NAME_BYTES || bytes.contains(&b'/') {
        return Err(EINVAL);
    }
    let mut padded = [0; NAME_BYTES];
    padded[..bytes.len()].copy_from_slice(bytes);
    Ok(padded)
}
