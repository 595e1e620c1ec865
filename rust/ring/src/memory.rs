// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Access to the words and the data of a ring.

use super::sync::Word;

/// The shared memory of one ring.
///
/// # Safety
///
/// Each method returns the same word each time. The data appear twice in a row: the data methods are
/// sound for every `offset + len <= 2 * data_bytes` of the geometry that the ring is used with.
pub unsafe trait Memory {
    /// `iostream_producer.producer_pos`.
    fn producer_pos(&self) -> &Word;
    /// `iostream_producer.oldest_pos`.
    fn oldest_pos(&self) -> &Word;
    /// `iostream_producer.wake_pos`: the consumer's position that the producer waits for.
    fn producer_wake_pos(&self) -> &Word;
    /// `iostream_consumer.consumer_pos`.
    fn consumer_pos(&self) -> &Word;
    /// `iostream_consumer.wake_pos`: the producer's position that the consumer waits for.
    fn consumer_wake_pos(&self) -> &Word;

    /// Loads the eight bytes at `offset`, a multiple of 8, with one access.
    ///
    /// # Safety
    ///
    /// `offset + 8 <= 2 * data_bytes`.
    unsafe fn load_word(&self, offset: usize) -> u64;

    /// Stores the eight bytes at `offset`, a multiple of 8, with one access.
    ///
    /// # Safety
    ///
    /// `offset + 8 <= 2 * data_bytes`, and the caller is the producer.
    unsafe fn store_word(&self, offset: usize, value: u64);

    /// Asks for the cache line at `offset`, which is about to be written. A hint: only the speed
    /// changes.
    #[inline(always)]
    fn prefetch(&self, _offset: usize) {}

    /// Copies `len` bytes out of the data.
    ///
    /// # Safety
    ///
    /// `offset + len <= 2 * data_bytes`; `dst` is valid for writes of `len` bytes.
    unsafe fn read(&self, offset: usize, dst: *mut u8, len: usize);

    /// Copies `len` bytes into the data.
    ///
    /// # Safety
    ///
    /// `offset + len <= 2 * data_bytes`; `src` is valid for reads of `len` bytes; the caller is the
    /// producer.
    unsafe fn write(&self, offset: usize, src: *const u8, len: usize);
}
