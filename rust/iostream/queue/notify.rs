// SPDX-License-Identifier: GPL-2.0

//! Waking the client of a queue: its poll, its read(2) or write(2), its eventfd, its callback. The
//! kernel's ends sleep in `sync/kicks.rs`.
//!
//! A process is armed in two places. One is `wake_pos` in its own page, which the process writes.
//! The other is `armed` here, which the kernel sets for the process: in poll, read and write, and
//! when an eventfd is set. After a publication the kernel's end issues a full barrier and looks at
//! both (`Queue::find_sleeper`, `publish_consumed`). It takes `armed` by exchange, so that each
//! arming wakes once. The side that arms issues a full barrier as well, and then looks at the
//! positions again. The ring's `wake` module shows why no wake-up is lost.

use core::ptr;

use kernel::{
    bindings as c,
    prelude::*,
    sync::{rcu, Arc},
};

use super::watch::Watch;
use crate::{
    bindings,
    sync::{
        atomic::{smp_mb, Acquire, Atomic, Full, Relaxed},
        race::race_point,
        rcu::ReadSection,
        wait::WaitQueue,
    },
};

/// The ways to wake the client of one queue.
#[pin_data(PinnedDrop)]
pub(crate) struct Notify {
    /// Where the process waits in poll, read and write, for any queue of the session.
    pub(crate) user: Arc<WaitQueue>,
    /// Whether the next publication wakes the process.
    armed: Atomic<u32>,
    /// The process's eventfd, or null. Read under RCU.
    eventfd: Atomic<*mut c::eventfd_ctx>,
    /// The callback of a client that is a module.
    watch: Option<Arc<Watch>>,
}

impl Notify {
    /// Creates a state that is not armed and has no eventfd. The process waits at `user`.
    pub(crate) fn new(user: Arc<WaitQueue>, watch: Option<Arc<Watch>>) -> impl PinInit<Self> {
        pin_init!(Self {
            user,
            armed: Atomic::new(0),
            eventfd: Atomic::new(ptr::null_mut()),
            watch,
        })
    }

    /// Arms for the process, so that the next publication wakes it, and issues a full barrier. The
    /// caller then looks at the positions.
    #[inline(never)]
    pub(crate) fn arm(&self) {
        self.armed.store(1, Relaxed);
        race_point!("armed");
        // ORDERING: pairs with the full barriers in `Queue::find_sleeper` and
        // `publish_consumed` (litmus: wake-poll, wake-eventfd).
        smp_mb(Full);
    }

    /// Whether the process is armed here. To be called after a full barrier.
    #[inline(always)]
    pub(crate) fn is_armed(&self) -> bool {
        self.armed.load(Relaxed) != 0
    }

    /// Disarms, and returns whether the process was armed here. To be called after a full barrier.
    #[inline(always)]
    pub(crate) fn take_armed(&self) -> bool {
        // ORDERING: what was published before is seen by whoever arms after this exchange, which
        // orders as a full barrier does (litmus: wake-poll, wake-eventfd).
        self.is_armed() && self.armed.xchg(0, Full) != 0
    }

    /// Wakes the client: the waiters, the eventfd, and the callback of a module. Any context.
    pub(crate) fn wake_user(&self) {
        self.user.wake_all();
        {
            let _rcu = ReadSection::enter();
            self.signal_eventfd();
        }
        if let Some(watch) = &self.watch {
            Watch::call(watch);
        }
    }

    /// The callback of a client that is a module, if the queue can have one.
    pub(crate) fn watch(&self) -> Option<&Arc<Watch>> {
        self.watch.as_ref()
    }

    /// Signals the eventfd, if there is one.
    ///
    /// # Locking
    ///
    /// The caller is in an RCU read-side section, which keeps the eventfd alive although
    /// [`Self::set_eventfd`] may replace it.
    fn signal_eventfd(&self) {
        // ORDERING: pairs with the exchange in `set_eventfd`
        // (litmus: publish-pointer, wake-eventfd).
        let context = self.eventfd.load(Acquire);
        if context.is_null() {
            return;
        }
        // An eventfd must not be signalled from within the wake-up of another one. That happens
        // only to code that produces under the lock of a wait queue, which the rules of `Producer`
        // forbid. Its signal is put off until the next publication.
        // SAFETY: The function has no preconditions.
        if !unsafe { bindings::iostream_eventfd_signal_allowed() } {
            self.armed.store(1, Relaxed);
            return;
        }
        race_point!("eventfd-found");
        // SAFETY: The caller is in an RCU read-side section, and `set_eventfd` waits for its end
        // before it puts the context.
        unsafe { c::eventfd_signal_mask(context, 0) };
    }

    /// Sets or replaces the eventfd, or removes it if `context` is null. Sleeps.
    ///
    /// # Safety
    ///
    /// `context` is null, or a reference to the context of an eventfd that this call takes over.
    pub(crate) unsafe fn set_eventfd(&self, context: *mut c::eventfd_ctx) {
        // ORDERING: pairs with the acquire load in `signal_eventfd` (litmus: publish-pointer); the
        // barrier of the arming that follows orders this before it (litmus: wake-eventfd).
        let old = self.eventfd.xchg(context, Full);
        race_point!("eventfd-replaced");
        if !old.is_null() {
            // ORDERING: pairs with the read-side section around `signal_eventfd`
            // (litmus: eventfd-put).
            rcu::synchronize_rcu();
            // SAFETY: This queue owned the reference. After the grace period nothing uses the
            // pointer any more.
            unsafe { c::eventfd_ctx_put(old) };
        }
    }
}

#[pinned_drop]
impl PinnedDrop for Notify {
    fn drop(self: Pin<&mut Self>) {
        let context = self.eventfd.load(Relaxed);
        if !context.is_null() {
            // SAFETY: This queue owns the reference, and `&mut self` shows that nothing else uses
            // it.
            unsafe { c::eventfd_ctx_put(context) };
        }
    }
}
