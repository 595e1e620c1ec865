// SPDX-License-Identifier: GPL-2.0

//! Accounts: what one user has of things that are limited, in all sessions together.
//!
//! A session belongs to the account of the user who opened it: the real user id, seen from the
//! initial user namespace. A user cannot take from another's share, however many sessions either
//! has. What drivers and modules that are clients allocate counts in no account.

use kernel::{
    cred::Credential,
    prelude::*,
    rbtree::{RBTree, RBTreeNodeReservation},
    sync::{
        atomic::{Atomic, Relaxed},
        global_lock, Arc, UniqueArc,
    },
};

use crate::bindings;

/// What is counted.
#[derive(Clone, Copy)]
pub(crate) enum Resource {
    /// Pages of queues and buffers.
    Pages,
    /// Entries a second of sources by the clock.
    SourceEntries,
    /// Bytes a second of sources by the clock.
    SourceBytes,
}

/// What a user has.
struct User([Atomic<u64>; 3]);

/// A user in the table.
struct Entry {
    user: Arc<User>,
    /// The accounts that refer to the user. The last one removes the entry.
    accounts: usize,
}

global_lock! {
    // SAFETY: `init` is called when the module is loaded, before the first node is created.
    unsafe(uninit) static USERS: SpinLock<Option<RBTree<u32, Entry>>> = None;
}

/// Initialises the table of users.
///
/// # Safety
///
/// This is called once, before any account is created.
pub(crate) unsafe fn init() {
    // SAFETY: This is the only call, and the table is not in use yet, by this function's contract.
    unsafe { USERS.init() };
}

/// A reference to a user in the table.
struct Holder {
    uid: u32,
    user: Arc<User>,
}

impl Drop for Holder {
    fn drop(&mut self) {
        let mut users = USERS.lock();
        let Some(table) = users.as_mut() else { return };
        let Some(entry) = table.get_mut(&self.uid) else {
            return;
        };
        entry.accounts -= 1;
        if entry.accounts == 0 {
            let gone = table.remove_node(&self.uid);
            // Freed without the lock.
            drop(users);
            drop(gone);
        }
    }
}

/// What a session's memory counts against.
#[derive(Clone)]
pub(crate) struct Account(Option<Arc<Holder>>);

impl Account {
    /// The account of drivers, and of modules that are clients. It has no limits.
    pub(crate) fn of_drivers() -> Self {
        Self(None)
    }

    /// The account of the user of `credential`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn of_user(credential: &Credential) -> Result<Self> {
        // SAFETY: The credential is borrowed, and its ids do not change.
        let uid = unsafe { (*credential.as_ptr()).uid.val };
        // Allocated first, because nothing may be allocated under the lock.
        let new = Arc::new(User([const { Atomic::new(0) }; 3]), GFP_KERNEL_ACCOUNT)?;
        let node = RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?;
        let holder = UniqueArc::new_uninit(GFP_KERNEL_ACCOUNT)?;
        let user = {
            let mut users = USERS.lock();
            let table = users.get_or_insert_with(RBTree::new);
            match table.get_mut(&uid) {
                Some(entry) => {
                    entry.accounts += 1;
                    entry.user.clone()
                }
                None => {
                    let entry = Entry {
                        user: new.clone(),
                        accounts: 1,
                    };
                    table.insert(node.into_node(uid, entry));
                    new
                }
            }
        };
        Ok(Self(Some(holder.write(Holder { uid, user }).into())))
    }

    /// Takes `amount` of a resource, of which a user can have `limit`. A task with
    /// `CAP_SYS_RESOURCE` may exceed it.
    ///
    /// # Errors
    ///
    /// `EDQUOT`: the user would have too much.
    pub(crate) fn take(&self, resource: Resource, amount: u64, limit: u64) -> Result<Share> {
        let share = Share {
            account: self.clone(),
            resource,
            amount,
        };
        let Some(holder) = &self.0 else {
            return Ok(share);
        };
        // From here on an early return gives the amount back.
        let before = holder.user.0[resource as usize].fetch_add(amount, Relaxed);
        match before.checked_add(amount) {
            Some(sum) if sum <= limit => Ok(share),
            // SAFETY: This is process context, and the function has no other preconditions.
            Some(_) if unsafe { bindings::iostream_exceeds_limits() } => Ok(share),
            _ => Err(EDQUOT),
        }
    }
}

/// A part of a resource that a user has, until this is dropped. Process context.
pub(crate) struct Share {
    account: Account,
    resource: Resource,
    amount: u64,
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(holder) = &self.account.0 {
            holder.user.0[self.resource as usize].fetch_sub(self.amount, Relaxed);
        }
    }
}
