// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! The memory of a ring as it is mapped, in the kernel or in a process.

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

/// The mapped memory of a ring: two pages of words, and the data twice in a row.
///
/// # Invariants
///
/// The pointers are valid for as long as the value lives: the caller of [`Mapped::new`] ensures it.
pub struct Mapped {
    producer: NonNull<ProducerPage>,
    consumer: NonNull<ConsumerPage>,
    data: NonNull<u8>,
}

impl Mapped {
    /// The memory of a ring at these addresses.
    ///
    /// # Safety
    ///
    /// For as long as the value lives, `producer` and `consumer` point at the pages of one queue,
    /// and `data` at its data, mapped twice in a row. All are valid for reads, and those that the
    /// caller's role (producer or consumer) writes also for writes. The caller uses the value only
    /// in that role.
    pub const unsafe fn new(
        producer: NonNull<uapi::iostream_producer>,
        consumer: NonNull<uapi::iostream_consumer>,
        data: NonNull<u8>,
    ) -> Self {
        // INVARIANT: The caller ensures that the pointers stay valid.
        Self {
            producer: producer.cast(),
            consumer: consumer.cast(),
            data,
        }
    }

    /// A second value for the same memory, so that a loop can keep the addresses in registers.
    ///
    /// # Safety
    ///
    /// The result is used in the same role and by the same thread as `self`, and not after it.
    #[inline(always)]
    pub const unsafe fn alias(&self) -> Self {
        // INVARIANT: The pointers are those of `self`, which lives as long.
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
        // SAFETY: The data are mapped twice in a row, so the result is in bounds or one past the
        // end.
        unsafe { self.data.add(offset) }
    }

    #[inline(always)]
    fn producer_page(&self) -> &ProducerPage {
        // SAFETY: Valid by the invariant of the type; the page holds nothing but atomics.
        unsafe { self.producer.as_ref() }
    }

    #[inline(always)]
    fn consumer_page(&self) -> &ConsumerPage {
        // SAFETY: Valid by the invariant of the type; the page holds nothing but atomics.
        unsafe { self.consumer.as_ref() }
    }

    /// # Safety
    ///
    /// `offset` is a multiple of 8, `offset + 8 <= 2 * data_bytes`.
    #[inline(always)]
    unsafe fn data_word(&self, offset: usize) -> &Word {
        // SAFETY: The caller passes an aligned offset in bounds, and the data start at a page. All
        // accesses to headers are atomic.
        unsafe { self.data_at(offset).cast::<Word>().as_ref() }
    }
}

// SAFETY: The pages and the data stay where they are, the data twice in a row, by the invariant.
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
        // SAFETY: The caller passes an aligned offset with eight bytes in bounds.
        unsafe { self.data_word(offset) }.load_relaxed()
    }

    #[inline(always)]
    unsafe fn store_word(&self, offset: usize, value: u64) {
        // SAFETY: The caller passes an aligned offset with eight bytes in bounds.
        unsafe { self.data_word(offset) }.store_relaxed(value);
    }

    #[inline(always)]
    fn prefetch(&self, offset: usize) {
        prefetch(self.data.as_ptr().wrapping_add(offset));
    }

    #[inline(always)]
    unsafe fn read(&self, offset: usize, dst: *mut u8, len: usize) {
        if len == 8 && offset % 8 == 0 {
            // A single word needs no call of memcpy.
            // SAFETY: `offset` is aligned and in bounds; `dst` is the caller's own memory.
            unsafe { dst.cast::<u64>().write_unaligned(self.load_word(offset)) };
            return;
        }
        // SAFETY: The caller passes a range in bounds; `dst` is the caller's own memory.
        unsafe { copy(self.data_at(offset).as_ptr(), dst, len) };
    }

    #[inline(always)]
    unsafe fn write(&self, offset: usize, src: *const u8, len: usize) {
        if len == 8 && offset % 8 == 0 {
            // SAFETY: `offset` is aligned and in bounds; `src` is the caller's own memory.
            unsafe { self.store_word(offset, src.cast::<u64>().read_unaligned()) };
            return;
        }
        // SAFETY: The caller passes a range in bounds; `src` is the caller's own memory.
        unsafe { copy(src, self.data_at(offset).as_ptr(), len) };
    }
}

// SAFETY: The memory is not tied to a thread. The words are atomics, and the caller of `new` uses
// the value in one role, so that the data have one writer.
unsafe impl Send for Mapped {}
