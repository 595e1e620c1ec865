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
        atomic::{Acquire, Atomic, Relaxed, Release},
        global_lock, Arc, UniqueArc,
    },
};

use crate::{
    bindings,
    sync::wait::{Deadline, WaitQueue},
};

/// For how long a request that exceeds a limit waits for what ended sessions give back. A grace
/// period is over sooner; what a driver keeps for longer is not waited for.
const RETURN_NS: u64 = 1_000_000_000;

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
#[pin_data]
struct User {
    has: [Atomic<u64>; 3],
    /// Queues of ended sessions whose memory is not free yet.
    returning: Atomic<u64>,
    /// Woken when something is given back.
    #[pin]
    given_back: WaitQueue,
}

impl User {
    fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            has: [const { Atomic::new(0) }; 3],
            returning: Atomic::new(0),
            given_back <- WaitQueue::new(kernel::static_lock_class!()),
        })
    }

    /// Adds `amount` to what the user has of a resource, unless it would be more than `limit`.
    fn add(&self, resource: Resource, amount: u64, limit: u64) -> bool {
        let has = &self.has[resource as usize];
        let mut old = has.load(Relaxed);
        loop {
            // Never more than fits, not even for a moment: another request would be refused for it.
            let sum = old.checked_add(amount).filter(|&sum| sum <= limit);
            let Some(sum) = sum else { return false };
            match has.cmpxchg(old, sum, Relaxed) {
                Ok(_) => return true,
                Err(now) => old = now,
            }
        }
    }

    /// The same, once ended sessions have given back what they had. Whoever closes a session and
    /// opens the next one would else find the limit exceeded, until a grace period is over.
    fn add_later(&self, resource: Resource, amount: u64, limit: u64) -> bool {
        let mut added = false;
        let deadline = Deadline::after(Some(RETURN_NS));
        let _ = self.given_back.wait(false, deadline, || {
            // ORDERING: pairs with the release in `end_return`: whoever finds no queue on its way finds
            // what the last one gave back (litmus: publish).
            let is_last = self.returning.load(Acquire) == 0;
            added = self.add(resource, amount, limit);
            added || is_last
        });
        added
    }
}

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
        let new = Arc::pin_init(User::new(), GFP_KERNEL_ACCOUNT)?;
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
    /// `CAP_SYS_RESOURCE` may exceed it. Waits for what the user's ended sessions give back, if that
    /// may be enough.
    ///
    /// # Errors
    ///
    /// `EDQUOT`: the user would have too much.
    pub(crate) fn take(&self, resource: Resource, amount: u64, limit: u64) -> Result<Share> {
        if let Some(holder) = &self.0 {
            let user = &holder.user;
            let mut added = user.add(resource, amount, limit);
            // SAFETY: This is process context, and the function has no other preconditions.
            if !added && unsafe { bindings::iostream_exceeds_limits() } {
                added = user.add(resource, amount, u64::MAX);
            }
            if !added && !user.add_later(resource, amount, limit) {
                return Err(EDQUOT);
            }
        }
        Ok(Share {
            account: self.clone(),
            resource,
            amount,
        })
    }

    /// A queue of an ended session begins to return to the account.
    pub(crate) fn begin_return(&self) {
        if let Some(holder) = &self.0 {
            // No ordering: whoever has closed the session comes after it.
            holder.user.returning.fetch_add(1, Relaxed);
        }
    }

    /// The queue has given everything back.
    pub(crate) fn end_return(&self) {
        if let Some(holder) = &self.0 {
            // ORDERING: pairs with the acquire load in `add_later` (litmus: publish).
            holder.user.returning.fetch_sub(1, Release);
            holder.user.given_back.wake_all();
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
            holder.user.has[self.resource as usize].fetch_sub(self.amount, Relaxed);
            holder.user.given_back.wake_all();
        }
    }
}
