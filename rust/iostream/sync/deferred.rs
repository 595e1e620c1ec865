// SPDX-License-Identifier: GPL-2.0

//! References whose last one may be dropped in any context.

use core::{mem::ManuallyDrop, ops::Deref};

use kernel::{
    sync::Arc,
    workqueue::{HasWork, WorkItem},
};

use super::work;

/// What may only be freed in process context: its work item 0 holds the last reference, and drops it.
pub(crate) trait Last:
    WorkItem<0, Pointer = Arc<Self>> + HasWork<Self, 0> + Send + Sync + Sized + 'static
{
}

/// A reference that may be dropped in any context.
pub(crate) struct Deferred<T: Last>(ManuallyDrop<Arc<T>>);

impl<T: Last> Deferred<T> {
    /// Takes over a reference.
    pub(crate) fn new(object: Arc<T>) -> Self {
        Self(ManuallyDrop::new(object))
    }

    /// A reference to an object that something else keeps alive.
    ///
    /// # Safety
    ///
    /// `object` lives in an `Arc`, whose count does not fall to zero during the call.
    pub(crate) unsafe fn from_ref(object: &T) -> Self {
        // SAFETY: The object lives in an `Arc`, says the caller. The reference that is made up here is
        // not dropped.
        let object = ManuallyDrop::new(unsafe { Arc::from_raw(core::ptr::from_ref(object)) });
        Self::new(Arc::clone(&object))
    }

    /// A reference for process context.
    pub(crate) fn to_arc(&self) -> Arc<T> {
        Arc::clone(&self.0)
    }

    /// Drops a reference.
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
        // SAFETY: It is not used again.
        let object = unsafe { ManuallyDrop::take(&mut self.0) };
        if let Some(last) = Arc::into_unique_or_drop(object) {
            // The item of an object without other references is not queued, so this cannot fail.
            let _ = work::queue().enqueue::<Arc<T>, 0>(last.into());
        }
    }
}
