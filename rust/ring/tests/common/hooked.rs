// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! The memory of a ring whose peer acts at the worst moment.

use iostream_ring::sync::Word;
use iostream_ring::Memory;

use super::Mem;

/// The memory of a ring in which something happens as soon as a header was loaded: `then` gets the
/// memory and the offset of the header.
pub struct Hooked<F> {
    pub mem: Mem,
    pub then: F,
}

// SAFETY: `mem` does all accesses.
unsafe impl<F: Fn(&Mem, usize)> Memory for Hooked<F> {
    fn producer_pos(&self) -> &Word {
        self.mem.producer_pos()
    }

    fn oldest_pos(&self) -> &Word {
        self.mem.oldest_pos()
    }

    fn producer_wake_pos(&self) -> &Word {
        self.mem.producer_wake_pos()
    }

    fn consumer_pos(&self) -> &Word {
        self.mem.consumer_pos()
    }

    fn consumer_wake_pos(&self) -> &Word {
        self.mem.consumer_wake_pos()
    }

    unsafe fn load_word(&self, offset: usize) -> u64 {
        // SAFETY: The caller upholds the contract of this method.
        let word = unsafe { self.mem.load_word(offset) };
        (self.then)(&self.mem, offset);
        word
    }

    unsafe fn store_word(&self, offset: usize, value: u64) {
        // SAFETY: The caller upholds the contract of this method.
        unsafe { self.mem.store_word(offset, value) };
    }

    unsafe fn read(&self, offset: usize, dst: *mut u8, len: usize) {
        // SAFETY: The caller upholds the contract of this method.
        unsafe { self.mem.read(offset, dst, len) };
    }

    unsafe fn write(&self, offset: usize, src: *const u8, len: usize) {
        // SAFETY: The caller upholds the contract of this method.
        unsafe { self.mem.write(offset, src, len) };
    }
}
