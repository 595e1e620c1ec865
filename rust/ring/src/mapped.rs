// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! A ring's memory as it is mapped, in the kernel and in a process alike.

use core::mem::offset_of;
use core::ptr::NonNull;

use super::memory::Memory;
use super::sync::{copy, prefetch, Word};
use super::uapi;

/// The producer's page, `struct iostream_producer`, as words.
#[repr(C)]
struct ProducerPage {
    producer_pos: Word,
    oldest_pos: Word,
    reserved: [Word; 6],
    wake_pos: Word,
    room_bytes: Word,
}

/// The consumer's page, `struct iostream_consumer`, as words.
#[repr(C)]
struct ConsumerPage {
    consumer_pos: Word,
    reserved: [Word; 7],
    wake_pos: Word,
}

const _: () = {
    assert!(
        offset_of!(ProducerPage, producer_pos) == offset_of!(uapi::iostream_producer, producer_pos)
    );
    assert!(
        offset_of!(ProducerPage, oldest_pos) == offset_of!(uapi::iostream_producer, oldest_pos)
    );
    assert!(offset_of!(ProducerPage, wake_pos) == offset_of!(uapi::iostream_producer, wake_pos));
    assert!(
        offset_of!(ProducerPage, room_bytes) == offset_of!(uapi::iostream_producer, room_bytes)
    );
    assert!(
        offset_of!(ConsumerPage, consumer_pos) == offset_of!(uapi::iostream_consumer, consumer_pos)
    );
    assert!(offset_of!(ConsumerPage, wake_pos) == offset_of!(uapi::iostream_consumer, wake_pos));
};

/// A ring's memory: two pages of words, and the data twice in a row.
///
/// # Invariants
///
/// The pointers are valid for as long as the value lives, as [`Mapped::new`] was promised.
pub struct Mapped {
    producer: NonNull<ProducerPage>,
    consumer: NonNull<ConsumerPage>,
    data: NonNull<u8>,
}

impl Mapped {
    /// A ring's memory at these addresses.
    ///
    /// # Safety
    ///
    /// For as long as the value lives `producer` and `consumer` point at the pages of one queue,
    /// and `data` at its data, mapped twice in a row, all valid for reads; what the caller's role
    /// writes, also for writes. The caller uses the value in that role alone.
    pub const unsafe fn new(
        producer: NonNull<uapi::iostream_producer>,
        consumer: NonNull<uapi::iostream_consumer>,
        data: NonNull<u8>,
    ) -> Self {
        // INVARIANT: The caller's promise.
        Self {
            producer: producer.cast(),
            consumer: consumer.cast(),
            data,
        }
    }

    /// The same memory once more, for a loop that is to have the addresses in registers.
    ///
    /// # Safety
    ///
    /// It is used in the same role, by the same thread, and no longer than `self`.
    #[inline(always)]
    pub const unsafe fn alias(&self) -> Self {
        // INVARIANT: That of `self`, which lives as long.
        Self { ..*self }
    }

    /// `iostream_producer.room_bytes`: the room at which poll reports a producer as writable.
    #[inline(always)]
    pub fn room_bytes(&self) -> &Word {
        &self.producer_page().room_bytes
    }

    /// The address of the byte at `offset` of the data.
    ///
    /// # Safety
    ///
    /// `offset <= 2 * data_bytes`.
    #[inline(always)]
    pub unsafe fn data_at(&self, offset: usize) -> NonNull<u8> {
        // SAFETY: The data are mapped twice in a row, so the result is in bounds or one past.
        unsafe { self.data.add(offset) }
    }

    #[inline(always)]
    fn producer_page(&self) -> &ProducerPage {
        // SAFETY: Valid by the type's invariant; it holds nothing but atomics.
        unsafe { self.producer.as_ref() }
    }

    #[inline(always)]
    fn consumer_page(&self) -> &ConsumerPage {
        // SAFETY: Valid by the type's invariant; it holds nothing but atomics.
        unsafe { self.consumer.as_ref() }
    }

    /// # Safety
    ///
    /// `offset` is a multiple of 8, `offset + 8 <= 2 * data_bytes`.
    #[inline(always)]
    unsafe fn data_word(&self, offset: usize) -> &Word {
        // SAFETY: In bounds and aligned, says the caller; a page starts aligned. All accesses to
        // headers are through atomics.
        unsafe { self.data_at(offset).cast::<Word>().as_ref() }
    }
}

// SAFETY: The pages and the data are where the caller of `new` promised, the data twice in a row.
unsafe impl Memory for Mapped {
    #[inline(always)]
    fn producer_pos(&self) -> &Word {
        &self.producer_page().producer_pos
    }

    #[inline(always)]
    fn oldest_pos(&self) -> &Word {
        &self.producer_page().oldest_pos
    }

    #[inline(always)]
    fn producer_wake_pos(&self) -> &Word {
        &self.producer_page().wake_pos
    }

    #[inline(always)]
    fn consumer_pos(&self) -> &Word {
        &self.consumer_page().consumer_pos
    }

    #[inline(always)]
    fn consumer_wake_pos(&self) -> &Word {
        &self.consumer_page().wake_pos
    }

    #[inline(always)]
    unsafe fn load_word(&self, offset: usize) -> u64 {
        // SAFETY: The caller's promise.
        unsafe { self.data_word(offset) }.load_relaxed()
    }

    #[inline(always)]
    unsafe fn store_word(&self, offset: usize, value: u64) {
        // SAFETY: The caller's promise.
        unsafe { self.data_word(offset) }.store_relaxed(value);
    }

    #[inline(always)]
    fn prefetch(&self, offset: usize) {
        prefetch(self.data.as_ptr().wrapping_add(offset));
    }

    #[inline(always)]
    unsafe fn read(&self, offset: usize, dst: *mut u8, len: usize) {
        if len == 8 && offset % 8 == 0 {
            // No call of memcpy for a single word.
            // SAFETY: In bounds and aligned; `dst` is the caller's own memory.
            unsafe { dst.cast::<u64>().write_unaligned(self.load_word(offset)) };
            return;
        }
        // SAFETY: In bounds by the caller's promise; `dst` is the caller's own memory.
        unsafe { copy(self.data_at(offset).as_ptr(), dst, len) };
    }

    #[inline(always)]
    unsafe fn write(&self, offset: usize, src: *const u8, len: usize) {
        if len == 8 && offset % 8 == 0 {
            // SAFETY: As in `read`.
            unsafe { self.store_word(offset, src.cast::<u64>().read_unaligned()) };
            return;
        }
        // SAFETY: In bounds by the caller's promise; `src` is the caller's own memory.
        unsafe { copy(src, self.data_at(offset).as_ptr(), len) };
    }
}

// SAFETY: The pointers are to memory that is not tied to a thread; the words are atomics, and the
// data have one writer by the promise of `new`.
unsafe impl Send for Mapped {}
