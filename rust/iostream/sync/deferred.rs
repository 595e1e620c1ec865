// SPDX-License-Identifier: GPL-2.0

//! Reference counting for objects that must be freed in process context, although their last
//! reference may be dropped in any context.

use core::{mem::ManuallyDrop, ops::Deref};

use kernel::{
    sync::{Arc, ArcBorrow},
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

    /// A borrow of the object, from which further references can be made.
    #[inline(always)]
    pub(crate) fn as_borrow(&self) -> ArcBorrow<'_, T> {
        self.0.as_arc_borrow()
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

/// A further reference to an object that somebody else keeps alive. A `&T` would not do: the
/// reference count lies outside of what it may access.
impl<T: Last> From<ArcBorrow<'_, T>> for Deferred<T> {
    fn from(object: ArcBorrow<'_, T>) -> Self {
        Self::new(object.into())
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
