// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which process a mapping belongs to.
//!
//! fork(2) does not copy a device's mappings to the child, so the ends that a child inherits have
//! no memory. Each mapping knows its owner, and each operation that touches the mapping first
//! checks that it runs in that process.
//!
//! A process keeps its number on a page that the kernel wipes in the child (`MADV_WIPEONFORK`). So
//! a child notices whatever made it: fork(2), clone(2), or a fork of a fork. A child that shares
//! its parent's memory until it executes another program (vfork(2)) shares the page as well, and
//! rightly counts as the same process. The check costs one load of a cache line that nobody writes.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use rustix::io::Errno;
use rustix::mm::{madvise, mmap_anonymous, munmap, Advice, MapFlags, ProtFlags};

/// The number of this process, on a page that is wiped on fork; null until it is needed.
///
/// Not behind a lock or a `OnceLock`, which a fork by another thread could leave locked in the
/// child.
static NUMBER: AtomicPtr<AtomicU64> = AtomicPtr::new(null_mut());

/// The next number to give out. A child copies it, so no process has the number of an ancestor.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// The process that made a mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    /// The number of the process that asks.
    asking: &'static AtomicU64,
    /// The number of the owner.
    number: u64,
}

impl Owner {
    /// The process that calls this.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the kernel cannot wipe a page on fork (before Linux 4.14); `ENOMEM` if there is
    /// no memory for the page.
    pub(crate) fn this_process() -> Result<Self, Errno> {
        let asking = wiped_word()?;
        let number = match asking.load(Ordering::Relaxed) {
            0 => choose(asking),
            number => number,
        };
        Ok(Self { asking, number })
    }

    /// Whether the process that calls this is the owner.
    #[inline]
    pub(crate) fn is_this_process(self) -> bool {
        self.asking.load(Ordering::Relaxed) == self.number
    }

    /// The number of the owner.
    pub(super) fn number(self) -> u64 {
        self.number
    }
}

/// Gives this process a number, unless another thread has just done so.
fn choose(number: &AtomicU64) -> u64 {
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    match number.compare_exchange(0, next, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => next,
        Err(chosen) => chosen,
    }
}

/// The word for the number of this process. It is 0 in each new process.
fn wiped_word() -> Result<&'static AtomicU64, Errno> {
    let mut word = NUMBER.load(Ordering::Relaxed);
    if word.is_null() {
        let new = map_wiped_word()?;
        // If another thread was faster, its page is used, and this one stays unused.
        word = match NUMBER.compare_exchange(null_mut(), new, Ordering::Relaxed, Ordering::Relaxed)
        {
            Ok(_) => new,
            Err(theirs) => theirs,
        };
    }
    // SAFETY: `NUMBER` is null or from `map_wiped_word`, whose words are never unmapped. The kernel
    // zeroed the word, and all others access it as an atomic, so no ordering is needed.
    Ok(unsafe { &*word })
}

/// Maps a page that is wiped on fork. Returns its first word, which is never unmapped.
fn map_wiped_word() -> Result<*mut AtomicU64, Errno> {
    let bytes = rustix::param::page_size();
    let rights = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: No address is asked for, so no memory in use is replaced.
    let start = unsafe { mmap_anonymous(null_mut(), bytes, rights, MapFlags::PRIVATE) }?;
    // SAFETY: The page was just mapped, and nothing refers to it yet. Wiping it in a child leaves
    // it mapped and zeroed, which is a valid `AtomicU64`.
    if let Err(errno) = unsafe { madvise(start, bytes, Advice::LinuxWipeOnFork) } {
        // SAFETY: The page was just mapped, and nothing refers to it.
        let _ = unsafe { munmap(start, bytes) };
        return Err(errno);
    }
    Ok(start.cast())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_one_number() {
        let (one, other) = (Owner::this_process(), Owner::this_process());
        assert_eq!(one.unwrap().number, other.unwrap().number);
        assert!(one.unwrap().is_this_process());
    }

    #[test]
    fn a_wiped_number_makes_another_owner() {
        let number: &'static AtomicU64 = Box::leak(Box::new(AtomicU64::new(0)));
        let parent = Owner {
            asking: number,
            number: choose(number),
        };
        assert!(parent.is_this_process());
        // What the kernel does in a child.
        number.store(0, Ordering::Relaxed);
        assert!(!parent.is_this_process());
        assert_ne!(choose(number), parent.number);
        assert!(!parent.is_this_process());
    }
}
