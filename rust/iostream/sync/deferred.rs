// SPDX-License-Identifier: GPL-2.0

//! Reference counting for objects that must be freed in process context, although their last
//! reference may be dropped in any context.

use core::{mem::ManuallyDrop, ops::Deref};

use kernel::{
    sync::Arc,
    workqueue::{HasWork, WorkItem},
};

use super::work;

/// An object that must be freed in process context. Its work item 0 takes over the last reference
/// and drops it.
pub(crate) trait Last:
    WorkItem<0, Pointer = Arc<Self>> + HasWork<Self, 0> + Send + Sync + Sized + 'static
{
}

/// A reference that may be dropped in any context.
pub(crate) struct Deferred<T: Last>(ManuallyDrop<Arc<T>>);

impl<T: Last> Deferred<T> {
    /// Makes an ordinary reference droppable in any context.
    pub(crate) fn new(object: Arc<T>) -> Self {
        Self(ManuallyDrop::new(object))
    }

    /// Takes a further reference to an object that somebody else keeps alive during the call.
    ///
    /// # Safety
    ///
    /// `object` is in an `Arc` whose count does not fall to zero during the call.
    pub(crate) unsafe fn from_ref(object: &T) -> Self {
        // SAFETY: `object` is in a live `Arc` by this function's contract. The reference made here
        // was never counted, and `ManuallyDrop` keeps it from being dropped.
        let object = ManuallyDrop::new(unsafe { Arc::from_raw(core::ptr::from_ref(object)) });
        Self::new(Arc::clone(&object))
    }

    /// Returns a reference that must be dropped in process context.
    pub(crate) fn to_arc(&self) -> Arc<T> {
        Arc::clone(&self.0)
    }

    /// Drops an ordinary reference, in any context.
    pub(crate) fn release(object: Arc<T>) {
        drop(Self::new(object));
    }
}

impl<T: Last> Clone for Deferred<T> {
    fn clone(&self) -> Self {
        Self::new(self.to_arc())
    }
}

impl<T: Last> From<Arc<T>> for Deferred<T> {
    fn from(object: Arc<T>) -> Self {
        Self::new(object)
    }
}

impl<T: Last> Deref for Deferred<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Last> Drop for Deferred<T> {
    fn drop(&mut self) {
        // SAFETY: `self` is being dropped, so the field is not used again.
        let object = unsafe { ManuallyDrop::take(&mut self.0) };
        if let Some(last) = Arc::into_unique_or_drop(object) {
            // A queued work item holds a reference. This is the only one, so the item is not
            // queued, and queueing it succeeds.
            let _ = work::freeing().enqueue::<Arc<T>, 0>(last.into());
        }
    }
}
