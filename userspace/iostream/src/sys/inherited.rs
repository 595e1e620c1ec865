// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a child process finds where its parent had mapped a device.
//!
//! fork(2) leaves holes there, because a device's mappings are not copied. Two things would go
//! wrong if nothing were done. The next mmap(2) of the child might use the hole, and then a slice
//! that was held over the fork would show memory of someone else. And even before that, the slice
//! would have lost its bytes, which safe code may rely on: they may be a `&str`.
//!
//! So the child maps private memory into each hole before its fork(2) returns. Where nothing is
//! lent, the memory is zero. What the mapping had lent ([`Lent`]) the parent copies just before the
//! fork, and the child moves the copy into the hole. Slices then keep their bytes, and what the
//! child writes there stays in the child. Nothing of this is used again: each operation on the
//! mapping fails, as [`owner`](super::owner) says, and dropping it leaves the memory where it is.
//!
//! pthread_atfork(3) makes fork(2), and the daemon(3) that calls it, run the three handlers below.
//! Safe code has no other way to fork and go on: a child that is made without them, by clone(2) or
//! `_Fork`, needs `unsafe`, and must not touch slices from before. The children of
//! [`std::process::Command`] only execute another program.

use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::ptr::{null_mut, NonNull};
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::io::Errno;
use rustix::mm::{mmap_anonymous, mremap_fixed, munmap, MapFlags, MremapFlags, ProtFlags};

use super::lent::Lent;
use super::owner::Owner;
use crate::lock::lock;

/// A mapping that a child is not to find missing.
///
/// # Invariants
///
/// In the process of `owner`, `[start, start + bytes)` is mapped and readable while the value is in
/// [`MAPPINGS`].
pub(super) struct Mapping {
    pub(super) start: NonNull<c_void>,
    pub(super) bytes: usize,
    pub(super) owner: Owner,
    pub(super) lent: Option<Arc<dyn Lent>>,
    pub(super) copy: LentCopy,
}

// SAFETY: A mapping is not tied to a thread.
unsafe impl Send for Mapping {}

/// The copy of what a mapping had lent when the process forked.
#[derive(Clone, Copy)]
pub(super) enum LentCopy {
    /// Nothing is lent.
    None,
    /// The copy, as long as the mapping.
    Made(NonNull<c_void>),
    /// There was no memory for it.
    Failed,
}

/// The mappings of this process and, behind them, of its ancestors.
static MAPPINGS: Mutex<Mappings> = Mutex::new(Mappings {
    list: Vec::new(),
    handled: false,
    forking: 0,
});

struct Mappings {
    list: Vec<Mapping>,
    /// Whether the handlers are registered.
    handled: bool,
    /// The number of the process that forks; 0 at other times.
    forking: u64,
}

thread_local! {
    /// The lock of [`MAPPINGS`], while this thread forks. It has no destructor, so that it can be
    /// used by a thread that ends.
    static LOCKED: RefCell<Option<ManuallyDrop<MutexGuard<'static, Mappings>>>> =
        const { RefCell::new(None) };
}

extern "C" {
    /// In the C library that the standard library is linked with.
    fn pthread_atfork(
        prepare: Option<unsafe extern "C" fn()>,
        parent: Option<unsafe extern "C" fn()>,
        child: Option<unsafe extern "C" fn()>,
    ) -> c_int;
}

/// Adds a mapping.
///
/// # Errors
///
/// `ENOMEM` if the handlers cannot be registered.
pub(super) fn add(mapping: Mapping) -> Result<(), Errno> {
    let mut mappings = lock(&MAPPINGS);
    if !mappings.handled {
        // SAFETY: The handlers have this signature. They are functions of this program, or of a
        // library whose handlers the C library forgets when it unloads it.
        let status = unsafe { pthread_atfork(Some(prepare), Some(in_parent), Some(in_child)) };
        if status != 0 {
            return Err(Errno::from_raw_os_error(status));
        }
        mappings.handled = true;
    }
    mappings.list.push(mapping);
    Ok(())
}

/// Removes the mapping of this process that starts there. From here on it may be unmapped.
pub(super) fn remove(start: NonNull<c_void>, owner: Owner) {
    let mut mappings = lock(&MAPPINGS);
    let same =
        |mapping: &Mapping| mapping.start == start && mapping.owner.number() == owner.number();
    if let Some(at) = mappings.list.iter().position(same) {
        mappings.list.swap_remove(at);
    }
}

/// Before a fork: keeps the list as it is, and copies what is lent.
extern "C" fn prepare() {
    let mut mappings = lock(&MAPPINGS);
    // Without an owner there are no mappings, since `add` was called with one.
    mappings.forking = Owner::this_process().map_or(0, Owner::number);
    let forking = mappings.forking;
    for mapping in mappings
        .list
        .iter_mut()
        .filter(|m| m.owner.number() == forking)
    {
        mapping.copy = mapping.copy_lent();
    }
    LOCKED.with_borrow_mut(|locked| *locked = Some(ManuallyDrop::new(mappings)));
}

/// After a fork, or after it has failed: frees the copies.
extern "C" fn in_parent() {
    let Some(mut mappings) = unlock() else { return };
    for mapping in &mut mappings.list {
        if let LentCopy::Made(copy) = std::mem::replace(&mut mapping.copy, LentCopy::None) {
            // SAFETY: `prepare` has mapped the copy, and only the child uses its own copy of it.
            let _ = unsafe { munmap(copy.as_ptr(), mapping.bytes) };
        }
    }
}

/// In the child: fills the holes.
extern "C" fn in_child() {
    let Some(mut mappings) = unlock() else { return };
    let forking = mappings.forking;
    for mapping in mappings
        .list
        .iter_mut()
        .filter(|m| m.owner.number() == forking)
    {
        mapping.fill_hole();
        // Its memory has moved. What this process maps there is not to be freed when it forks.
        mapping.copy = LentCopy::None;
    }
}

/// Takes the lock that `prepare` has left to this thread, which in the child is its copy.
fn unlock() -> Option<MutexGuard<'static, Mappings>> {
    let locked = LOCKED.with_borrow_mut(Option::take);
    locked.map(ManuallyDrop::into_inner)
}

impl Mapping {
    /// Copies what is lent to the same place in new memory.
    fn copy_lent(&self) -> LentCopy {
        let Some(lent) = &self.lent else {
            return LentCopy::None;
        };
        let mut copy = LentCopy::None;
        lent.for_each(&mut |range| {
            if matches!(copy, LentCopy::None) {
                copy = map_copy(self.bytes);
            }
            if let LentCopy::Made(to) = copy {
                self.copy_range(to, &range);
            }
        });
        copy
    }

    /// Copies a range, in whole words.
    fn copy_range(&self, to: NonNull<c_void>, range: &Range<usize>) {
        let end = range.end.next_multiple_of(8).min(self.bytes);
        for at in (range.start & !7..end).step_by(8) {
            // SAFETY: By the invariant the mapping has this word, and so has the copy, which is as
            // long; both start at a page. If another thread writes the word meanwhile, the word is
            // not used: that thread's slice does not exist in the child.
            unsafe {
                let word = self.start.byte_add(at).cast::<u64>().read_volatile();
                to.byte_add(at).cast::<u64>().write_volatile(word);
            }
        }
    }

    /// Maps private memory where the parent has the mapping.
    ///
    /// If there is no memory, the addresses are taken nevertheless, and using a slice of them ends
    /// the process with SIGSEGV. If even that fails, the process ends here: a hole would not be
    /// safe.
    fn fill_hole(&self) {
        let none = ProtFlags::empty();
        let filled = match self.copy {
            LentCopy::None => self.map_here(ProtFlags::READ | ProtFlags::WRITE),
            LentCopy::Made(_) | LentCopy::Failed => self.map_here(none),
        };
        if filled.or_else(|_| self.map_here(none)).is_err() {
            std::process::abort();
        }
        if let LentCopy::Made(copy) = self.copy {
            let (from, bytes, flags) = (copy.as_ptr(), self.bytes, MremapFlags::MAYMOVE);
            // SAFETY: The copy is this process's own and nothing refers to it. It replaces memory
            // that was mapped just now, at the addresses that the parent's slices have.
            let _ = unsafe { mremap_fixed(from, bytes, bytes, flags, self.start.as_ptr()) };
        }
    }

    /// Maps zeroed private memory at these addresses, which must be free.
    fn map_here(&self, rights: ProtFlags) -> Result<(), Errno> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED_NOREPLACE;
        // SAFETY: The kernel refuses to replace memory in use.
        let start = unsafe { mmap_anonymous(self.start.as_ptr(), self.bytes, rights, flags) }?;
        if start == self.start.as_ptr() {
            Ok(())
        } else {
            // A kernel that does not know the flag takes the address as a hint.
            Err(Errno::EXIST)
        }
    }
}

/// Maps memory for the copy of a mapping.
fn map_copy(bytes: usize) -> LentCopy {
    let rights = ProtFlags::READ | ProtFlags::WRITE;
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
    // SAFETY: No address is asked for, so no memory in use is replaced.
    let start = unsafe { mmap_anonymous(null_mut(), bytes, rights, flags) };
    match start.ok().and_then(NonNull::new) {
        Some(start) => LentCopy::Made(start),
        None => LentCopy::Failed,
    }
}
