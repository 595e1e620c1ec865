// SPDX-License-Identifier: MIT OR Apache-2.0

//! The entries that both sides of a comparison move, and what has arrived of them.

use std::time::Duration;

use crate::Result;

/// The entries and how they move; the same for both sides of a comparison.
#[derive(Clone, Copy)]
pub struct Flow {
    pub entry_bytes: u64,
    pub ring_bytes: u64,
    /// Entries of a publication or wake-up.
    pub batch: u64,
    /// The producer's processor; the consumer's is 1.
    pub producer_cpu: usize,
    /// How our driver makes the entries.
    pub making: Making,
}

/// How our driver makes entries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Making {
    /// In batches, as a driver does it that has many at once.
    Batches,
    /// Each in a call of `Producer::enqueue`, under the driver's spinlock.
    Calls,
}

impl Flow {
    /// Eight-byte entries, a ring of 512 KiB, a wake-up every 500, two processors.
    pub const BASE: Self = Self {
        entry_bytes: 8,
        ring_bytes: 512 * 1024,
        batch: 500,
        producer_cpu: 0,
        making: Making::Batches,
    };
    pub const CONSUMER_CPU: usize = 1;

    /// Entries of a publication: at most those of a quarter of the ring, or a side that waits for
    /// the end of a batch would never wake.
    pub fn whole_batch(self) -> u64 {
        let quarter = self.ring_bytes / 4 / (self.entry_bytes + 8);
        self.batch.min(quarter).max(1)
    }

    pub fn one_processor(self) -> bool {
        self.producer_cpu == Self::CONSUMER_CPU
    }
}

/// What arrived.
#[derive(Clone, Copy, Default)]
pub struct Arrived {
    pub entries: u64,
    /// The sum of the first words.
    sum: u64,
    /// The sum of all further words.
    rest: u64,
}

impl Arrived {
    /// Reads an entry of eight bytes.
    #[inline(always)]
    pub fn add_word(&mut self, entry: &[u8]) {
        if let Ok(word) = entry.try_into() {
            self.sum = self.sum.wrapping_add(u64::from_ne_bytes(word));
            self.entries += 1;
        }
    }

    /// Reads every byte of an entry.
    #[inline(always)]
    pub fn add(&mut self, entry: &[u8]) {
        if let Some((first, rest)) = entry.split_first_chunk() {
            self.sum = self.sum.wrapping_add(u64::from_ne_bytes(*first));
            if !rest.is_empty() {
                self.add_rest(rest);
            }
        }
        self.entries += 1;
    }

    /// One load for each word, for every contender: an emulated processor is slow with vectors.
    #[inline(always)]
    fn add_rest(&mut self, rest: &[u8]) {
        // SAFETY: All bit patterns are valid integers.
        let (before, words, after) = unsafe { rest.align_to::<u64>() };
        assert!(before.is_empty() && after.is_empty(), "words are aligned");
        self.rest = words.iter().fold(self.rest, |sum, word| {
            // SAFETY: The reference is valid for reads.
            sum.wrapping_add(unsafe { std::ptr::from_ref(word).read_volatile() })
        });
    }

    /// Whether exactly the entries arrived that were sent.
    pub fn check(&self, count: u64, entry_bytes: u64) -> Result<()> {
        let sum = sum_of(count);
        // Word `i` of an entry is the entry's number plus `i`.
        let further = entry_bytes / 8 - 1;
        let places = (further * (further + 1) / 2).wrapping_mul(count);
        let good = self.entries == count
            && self.sum == sum
            && self.rest == sum.wrapping_mul(further).wrapping_add(places);
        if good {
            return Ok(());
        }
        Err(format!(
            "{} of {count} entries arrived, or not as sent",
            self.entries
        )
        .into())
    }
}

/// How often a consumer looks before it sleeps.
pub const SPIN: u32 = 2000;
/// Bytes of the shortest entries, which have a reader and a producer of their own: with the loop
/// over further words the compiler keeps the sum in memory.
pub const WORD_BYTES: u64 = 8;
/// Entries that a consumer takes before it publishes the room.
pub const CONSUMER_BATCH: u64 = 500;
/// Longer than anything takes: an entry that has not come by then will not come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The first word of an entry: its number, or the time at which it was made.
#[inline(always)]
pub fn number_of(entry: &[u8]) -> u64 {
    entry
        .first_chunk::<8>()
        .map_or(0, |first| u64::from_ne_bytes(*first))
}

/// The sum of the numbers of the first `count` entries.
pub fn sum_of(count: u64) -> u64 {
    (u128::from(count) * u128::from(count.saturating_sub(1)) / 2) as u64
}
