// SPDX-License-Identifier: GPL-2.0

//! Waking up the process: by poll, eventfd, and in read and write. The kernel's ends wait in
//! `port.rs`.
//!
//! A process is armed in two places: the `wake_pos` of its own page, which it writes, and `armed`
//! here, which poll, read, write and the setting of an eventfd write for it. The kernel's end looks
//! at both after a full barrier (`Queue::publish_produced`, `publish_consumed`), and takes `armed`
//! by exchange, so that each arming wakes once. Whoever armed looks once more at the positions
//! after a full barrier. The ring's `wake` module has the argument.

use core::ptr;

use kernel::{bindings as c, prelude::*, sync::rcu};

use kernel::sync::Arc;

use super::watch::Watch;
use crate::{
    bindings,
    sync::{
        atomic::{smp_mb, Acquire, Atomic, Full, Relaxed},
        wait::WaitQueue,
    },
};

/// The process's means to be woken, for one queue.
#[pin_data(PinnedDrop)]
pub(crate) struct Notify {
    /// Where the process waits, for any of the session's queues: poll, read and write.
    pub(crate) user: Arc<WaitQueue>,
    /// Set for the process: wake it at the next publication.
    armed: Atomic<u32>,
    /// The process's eventfd, or null; read under RCU.
    eventfd: Atomic<*mut c::eventfd_ctx>,
    /// The callback of a client that is a module.
    watch: Option<Arc<Watch>>,
}

impl Notify {
    /// Nobody armed, no eventfd.
    pub(crate) fn new(user: Arc<WaitQueue>, watch: Option<Arc<Watch>>) -> impl PinInit<Self> {
        pin_init!(Self {
            user,
            armed: Atomic::new(0),
            eventfd: Atomic::new(ptr::null_mut()),
            watch,
        })
    }

    /// Arms for the process: it is woken at the next publication. Issues a full barrier: look at
    /// the positions after it.
    pub(crate) fn arm(&self) {
        self.armed.store(1, Relaxed);
        // ORDERING: pairs with the full barriers in `Queue::publish_produced` and
        // `publish_consumed` (litmus: wake-poll, wake-eventfd).
        smp_mb(Full);
    }

    /// Whether [`Self::take_armed`] would find something. Call it after a full barrier.
    #[inline(always)]
    pub(crate) fn is_armed(&self) -> bool {
        self.armed.load(Relaxed) != 0
    }

    /// Takes what [`Self::arm`] set. Call it after a full barrier.
    #[inline(always)]
    pub(crate) fn take_armed(&self) -> bool {
        self.is_armed() && self.armed.xchg(0, Full) != 0
    }

    /// Wakes the client: waiters, eventfd, and the callback of a module. Any context.
    pub(crate) fn wake_user(&self) {
        self.user.wake_all();
        {
            let _rcu = rcu::read_lock();
            self.signal_eventfd();
        }
        if let Some(watch) = &self.watch {
            Watch::call(watch);
        }
    }

    /// The callback of a client that is a module, of a queue that can have one.
    pub(crate) fn watch(&self) -> Option<&Arc<Watch>> {
        self.watch.as_ref()
    }

    /// # Locking
    ///
    /// Under `rcu::read_lock`, so that a context taken out by [`Self::set_eventfd`] lives on.
    fn signal_eventfd(&self) {
        // ORDERING: pairs with the exchange in `set_eventfd`
        // (litmus: publish-pointer, wake-eventfd).
        let context = self.eventfd.load(Acquire);
        if context.is_null() {
            return;
        }
        // An eventfd must not be signalled from within the wake-up of another. Only code that
        // produces under a wait queue's lock gets here, which the rules of `Producer` forbid; its
        // signal goes with the next publication.
        // SAFETY: No preconditions.
        if !unsafe { bindings::iostream_eventfd_signal_allowed() } {
            self.armed.store(1, Relaxed);
            return;
        }
        // SAFETY: The context is alive by RCU.
        unsafe { c::eventfd_signal_mask(context, 0) };
    }

    /// Sets, replaces or (with null) removes the eventfd. Sleeps.
    ///
    /// # Safety
    ///
    /// `context` is null or a reference to an eventfd's context that this call takes over.
    pub(crate) unsafe fn set_eventfd(&self, context: *mut c::eventfd_ctx) {
        // ORDERING: pairs with the acquire load in `signal_eventfd` (litmus: publish-pointer); who
        // arms next is ordered by that barrier (litmus: wake-eventfd).
        let old = self.eventfd.xchg(context, Full);
        if !old.is_null() {
            // ORDERING: pairs with the section around `signal_eventfd` (litmus: eventfd-put).
            rcu::synchronize_rcu();
            // SAFETY: The reference was this queue's; nobody can have the pointer any more.
            unsafe { c::eventfd_ctx_put(old) };
        }
    }
}

#[pinned_drop]
impl PinnedDrop for Notify {
    fn drop(self: Pin<&mut Self>) {
        let context = self.eventfd.load(Relaxed);
        if !context.is_null() {
            // SAFETY: The reference is this queue's, and this is its last user.
            unsafe { c::eventfd_ctx_put(context) };
        }
    }
}
