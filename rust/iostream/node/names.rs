// SPDX-License-Identifier: GPL-2.0

//! Which names and minor numbers are taken, and by which nodes.

use core::ptr::NonNull;

use kernel::{prelude::*, str::CStr, sync::global_lock};

use super::{Node, NodeRef};
use crate::ring::uapi;

/// How many nodes there can be, `/dev/iostream` included.
pub(crate) const MAX_NODES: usize = 256;
/// Bytes of a name, the closing zero included.
pub(crate) const NAME_BYTES: usize = uapi::IOSTREAM_NAME_BYTES as usize;

/// A node's name, zero-padded.
pub(crate) type Name = [u8; NAME_BYTES];

/// A name that is taken, and its node, while that is published.
#[derive(Clone, Copy)]
struct Taken {
    name: Name,
    node: Option<NodePointer>,
}

#[derive(Clone, Copy)]
struct NodePointer(NonNull<Node>);

// SAFETY: A node may be used in any thread.
unsafe impl Send for NodePointer {}

global_lock! {
    // SAFETY: Initialised by `init`, before the first node.
    unsafe(uninit) static NAMES: Mutex<[Option<Taken>; MAX_NODES]> = [None; MAX_NODES];
}

/// Makes the table.
///
/// # Safety
///
/// Called once, before any node is made.
pub(crate) unsafe fn init() {
    // SAFETY: Once, before the table is used, says the caller.
    unsafe { NAMES.init() };
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

/// A minor number and the name that goes with it, until dropped.
pub(crate) struct Minor(usize);

impl Minor {
    /// Claims `name`, and a number for it: 0 for `/dev/iostream`, else the first that is free.
    ///
    /// # Errors
    ///
    /// `EEXIST`: the name is taken; `ENOSPC`: there are [`MAX_NODES`] already.
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

    /// Lets [`find`] find it no more. To be called before the node goes.
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

/// A name, if it can be one.
///
/// # Errors
///
/// `EINVAL`: it is empty, too long or holds a `/`.
pub(crate) fn checked_name(name: &CStr) -> Result<Name> {
    let bytes = name.to_bytes();
    if bytes.is_empty() || bytes.len() >= NAME_BYTES || bytes.contains(&b'/') {
        return Err(EINVAL);
    }
    let mut padded = [0; NAME_BYTES];
    padded[..bytes.len()].copy_from_slice(bytes);
    Ok(padded)
}
