// SPDX-License-Identifier: GPL-2.0

//! What drivers have registered, so that it ends with them even if they leak it.
//!
//! A driver in safe Rust may forget a value, or keep it alive in a cycle. Its module is unloaded
//! all the same, and its device unbound. What would then still call the module's code, or use the
//! device, is in a list here. When a module goes, after its exit function has returned, what is
//! left of it in the list is ended.

use kernel::{
    bindings as c,
    error::to_result,
    prelude::*,
    sync::{global_lock, Arc},
    types::Opaque,
};

use crate::bindings;

/// Something that a driver has registered.
pub(crate) trait Registered: Send + Sync {
    /// The two words of a wide pointer to the driver. One of them is the address of a vtable, which
    /// lies in the driver's module; the other lies in no module.
    fn words(&self) -> [usize; 2];

    /// Ends it, because its device is being unbound. The driver's code is there.
    fn end_with_device(&self);

    /// Ends it, because the driver's module is being unloaded. The driver must not be called any
    /// more, not even to drop something. When this returns, nothing refers to the module.
    fn end_with_module(&self);
}

global_lock! {
    // SAFETY: `Modules::new` is called when the module is loaded, before anything is registered.
    unsafe(uninit) static REGISTERED: Mutex<KVec<Arc<dyn Registered>>> = KVec::new();
}

/// The two words of a wide pointer.
pub(crate) fn words_of<T: ?Sized>(wide: *const T) -> [usize; 2] {
    const { assert!(size_of::<*const T>() == size_of::<[usize; 2]>()) };
    // SAFETY: The pointer has two words, as just asserted, and both are initialised.
    unsafe { (&raw const wide).cast::<[usize; 2]>().read() }
}

/// A place in the list, until dropped.
pub(crate) struct Listed(Arc<dyn Registered>);

impl Listed {
    /// Adds something to the list.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(registered: Arc<dyn Registered>) -> Result<Self> {
        REGISTERED.lock().push(registered.clone(), GFP_KERNEL)?;
        Ok(Self(registered))
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let found = take(|registered| Arc::ptr_eq(registered, &self.0));
        drop(found);
    }
}

/// Takes the first out of the list that is wanted.
fn take(wanted: impl Fn(&Arc<dyn Registered>) -> bool) -> Option<Arc<dyn Registered>> {
    let mut registered = REGISTERED.lock();
    let at = registered.iter().position(wanted)?;
    registered.remove(at).ok()
}

/// Watches modules go, until dropped.
pub(crate) struct Modules(KBox<Opaque<c::notifier_block>>);

// SAFETY: The kernel locks its list of notifiers by itself.
unsafe impl Send for Modules {}
// SAFETY: No method uses a shared reference.
unsafe impl Sync for Modules {}

impl Modules {
    /// Initialises the list, and begins to watch. Called once, when the module is loaded.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: This is the only call, and nothing is registered yet.
        unsafe { REGISTERED.init() };
        let block = c::notifier_block {
            notifier_call: Some(notified),
            ..Default::default()
        };
        let block = KBox::new(Opaque::new(block), GFP_KERNEL)?;
        // SAFETY: The box keeps the block at its address, and the drop unregisters it first.
        to_result(unsafe { c::register_module_notifier(block.get()) })?;
        Ok(Self(block))
    }
}

impl Drop for Modules {
    fn drop(&mut self) {
        // SAFETY: `new` registered the block. This waits until it is not called any more.
        unsafe { c::unregister_module_notifier(self.0.get()) };
        // A static is not dropped, so its memory is freed here.
        *REGISTERED.lock() = KVec::new();
    }
}

/// Handles a change of a module's state.
///
/// # Safety
///
/// `data` is the module.
unsafe extern "C" fn notified(
    _block: *mut c::notifier_block,
    state: c_ulong,
    data: *mut c_void,
) -> c_int {
    if state == c::module_state_MODULE_STATE_GOING as c_ulong {
        let module = data.cast::<c::module>();
        // SAFETY: The module is valid by this function's contract.
        let is_in = |word: &usize| unsafe { bindings::iostream_within_module(*word, module) };
        while let Some(left) = take(|registered| registered.words().iter().any(is_in)) {
            pr_warn!("a driver is unloaded and has left something registered\n");
            left.end_with_module();
        }
    }
    c::NOTIFY_DONE as c_int
}
