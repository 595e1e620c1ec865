// SPDX-License-Identifier: GPL-2.0

//! All sources by the clock, and the thread that serves them.
//!
//! One thread of the lowest priority produces for all sessions. So whatever number of sources there
//! are, the processors do this work when they have nothing else to do, and the clock interrupts at
//! most [`MAX_TICKS`] times a second. The thread serves the source that has waited longest, a chunk
//! at a time.
//!
//! A chunk is produced without preemption: the thread may wait long for a processor, and must not
//! do so inside an RCU section. For the same reason nobody waits for the thread, except when the
//! module is unloaded: the drop of a source that is being served leaves it to the thread.

use core::ptr;

use kernel::{
    prelude::*,
    rbtree::{RBTree, RBTreeNode},
    sync::{new_spinlock, Arc, SpinLock},
};

use super::timer::{Ticking, MAX_TICKS, NANOS_PER_SECOND};
use crate::sync::race::race_point;
use crate::{
    bindings,
    sync::{
        atomic::{Acquire, Atomic, Relaxed, Release},
        thread::{should_stop, IdleThread},
        wait::{now_ns, Deadline, WaitQueue},
    },
};

/// When a source is due, and its number.
type Key = (u64, u64);

/// A source by the clock.
#[pin_data]
pub(super) struct Source {
    number: u64,
    /// The source's key in the table, if it is there. Written under the table's lock.
    due_ns: Atomic<u64>,
    /// Set under the table's lock once the source has ended.
    ended: Atomic<u32>,
    /// Only the thread takes the lock, to produce without preemption.
    #[pin]
    ticking: SpinLock<Ticking>,
}

/// All sources by the clock.
#[pin_data]
pub(super) struct Sources {
    /// The sources that are not being served, by the time at which they are due.
    #[pin]
    waiting: SpinLock<RBTree<Key, Arc<Source>>>,
    /// Where the thread sleeps.
    #[pin]
    wait: WaitQueue,
    next_number: Atomic<u64>,
}

static SOURCES: Atomic<*mut Sources> = Atomic::new(ptr::null_mut());

impl Sources {
    /// The sources. To be called only while [`SourceThread`] lives.
    pub(super) fn get() -> &'static Self {
        // ORDERING: pairs with the release store in `SourceThread::start` (litmus: publish-pointer).
        // SAFETY: `SourceThread` is created before the first node, and dropped after the last one.
        unsafe { &*SOURCES.load(Acquire) }
    }

    /// Adds a source that is due at `due_ns`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn add(&self, ticking: Ticking, due_ns: u64) -> Result<Arc<Source>> {
        let number = self.next_number.fetch_add(1, Relaxed);
        let source = Arc::pin_init(
            pin_init!(Source {
                number,
                due_ns: Atomic::new(due_ns),
                ended: Atomic::new(0),
                ticking <- new_spinlock!(ticking, "iostream_source"),
            }),
            GFP_KERNEL_ACCOUNT,
        )?;
        let key = (due_ns, number);
        let node = RBTreeNode::new(key, source.clone(), GFP_KERNEL_ACCOUNT)?;
        let is_first = {
            let mut waiting = self.waiting.lock();
            waiting.insert(node);
            first_due(&waiting) == Some(due_ns)
        };
        race_point!("source-added");
        if is_first {
            self.wait.wake_all();
        }
        Ok(source)
    }

    /// Ends a source: it produces nothing from here on, except for what it produces at this moment.
    pub(super) fn remove(&self, source: &Source) {
        race_point!("source-ends");
        let node = {
            let mut waiting = self.waiting.lock();
            source.ended.store(1, Relaxed);
            waiting.remove_node(&(source.due_ns.load(Relaxed), source.number))
        };
        // Freed without the lock.
        drop(node);
    }

    /// Serves the first source if it is due, and returns `None`. Otherwise returns when it will be;
    /// without sources, the end of time.
    fn serve(&self) -> Option<u64> {
        let (source, node) = {
            let mut waiting = self.waiting.lock();
            let Some(first) = waiting.cursor_front_mut() else {
                return Some(u64::MAX);
            };
            let ((due_ns, _), source) = first.current();
            if *due_ns > now_ns() {
                return Some(*due_ns);
            }
            let source = source.clone();
            (source, first.remove_current().1)
        };
        race_point!("source-due");
        let due_ns = source.ticking.lock().tick();
        let node = node.into_reservation();
        let node = node.into_node((due_ns, source.number), source.clone());
        race_point!("source-served");
        let mut waiting = self.waiting.lock();
        if source.ended.load(Relaxed) != 0 {
            // Freed without the lock.
            drop(waiting);
            drop(node);
        } else {
            source.due_ns.store(due_ns, Relaxed);
            waiting.insert(node);
        }
        None
    }

    /// What the thread does.
    fn run(&self) {
        let mut woken_ns = 0;
        while !should_stop() {
            let Some(due_ns) = self.serve() else {
                // SAFETY: This is process context; no spinlock or RCU section is held.
                unsafe { bindings::iostream_cond_resched() };
                continue;
            };
            let until_ns = due_ns.max(woken_ns + NANOS_PER_SECOND / MAX_TICKS);
            self.wait.wait_idle(Deadline::at(until_ns), || {
                should_stop() || first_due(&self.waiting.lock()).is_some_and(|due| due < due_ns)
            });
            woken_ns = now_ns();
        }
    }
}

/// When the first source is due, if there is one.
fn first_due(waiting: &RBTree<Key, Arc<Source>>) -> Option<u64> {
    let first = waiting.cursor_front()?;
    Some(first.current().0 .0)
}

/// The thread that serves all sources by the clock, from module load to unload.
pub(crate) struct SourceThread {
    /// Dropped first, because it uses the sources.
    _thread: IdleThread,
    _sources: Arc<Sources>,
}

impl SourceThread {
    /// Starts the thread. Called once, when the module is loaded.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        let sources = Arc::pin_init(
            pin_init!(Sources {
                waiting <- new_spinlock!(RBTree::new(), "iostream_sources"),
                wait <- WaitQueue::new(kernel::static_lock_class!()),
                next_number: Atomic::new(0),
            }),
            GFP_KERNEL,
        )?;
        let raw = Arc::as_ptr(&sources).cast_mut();
        // SAFETY: `main` uses the sources, which the result drops after the thread. It returns when
        // it should stop.
        let thread = unsafe { IdleThread::start(c"iostream_source", main, raw.cast())? };
        // ORDERING: the sources are initialised before they are found (litmus: publish-pointer).
        SOURCES.store(raw, Release);
        Ok(Self {
            _thread: thread,
            _sources: sources,
        })
    }
}

/// The thread's function.
///
/// # Safety
///
/// `sources` points to a `Sources` that lives until this returns.
unsafe extern "C" fn main(sources: *mut c_void) -> c_int {
    // SAFETY: `sources` is valid by this function's contract.
    unsafe { &*sources.cast::<Sources>() }.run();
    0
}
