// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! The consuming side of a ring whose producer overwrites the oldest entries.
//!
//! The reader gives no slices: the producer does not wait, so an entry may be overwritten while it
//! is read. The reader copies the entry word by word, and then checks `oldest_pos` to see whether
//! the copy was in time. This is a sequence lock whose sequence is a position.

use super::entry::{occupied_bytes, Entry, Header, ENTRY_ALIGN, ENTRY_OVERHEAD};
use super::sync::{full_barrier, read_barrier};
use super::{is_before, Error, Geometry, Memory};

/// How many entries are copied in vain, because each is overwritten meanwhile, before a reader gives
/// up. Each is at least one entry of the producer's, so that only a ring that is far too small comes
/// to this.
const TRIES: usize = 64;

/// What was overwritten before it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gap {
    /// Bytes of overwritten entries, headers and padding included; 0 if there is no gap.
    pub bytes: u64,
}

/// An entry that was copied out, with what was lost before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// Bytes of the entry, which are at the front of the buffer.
    pub len: usize,
    /// What was overwritten between the previous entry and this one.
    pub gap: Gap,
    /// Entries that the driver declared lost before this one.
    pub lost_before: u16,
}

/// The consuming side of an overwriting ring.
///
/// # Invariants
///
/// `offset` is `pos` modulo the size of the data.
pub struct OverwriteReader<M> {
    memory: M,
    geometry: Geometry,
    pos: u64,
    offset: usize,
    gap: u64,
    bad: Option<u64>,
    corrupt: u64,
}

impl<M: Memory> OverwriteReader<M> {
    /// The consuming side, at the position where the previous reader stopped (zero at first).
    ///
    /// # Safety
    ///
    /// `memory` is as large as `geometry` says, and has no other consumer.
    pub unsafe fn new(memory: M, geometry: Geometry) -> Self {
        let pos = memory.consumer_pos().load_relaxed() & !(ENTRY_ALIGN - 1);
        Self {
            memory,
            geometry,
            pos,
            offset: pos.checked_rem(geometry.data_bytes()).unwrap_or(0) as usize,
            gap: 0,
            bad: None,
            corrupt: 0,
        }
    }

    /// The ring's size.
    pub const fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The ring's memory.
    pub const fn memory(&self) -> &M {
        &self.memory
    }

    /// Copies the oldest entry that is left to the front of `buffer`, and moves past it.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`], also if the producer is so fast that it has overwritten one entry after the
    /// other while it was copied. [`Error::TooSmall`]: the entry stays until it is overwritten.
    /// [`Error::Corrupt`].
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<Read, Error> {
        for _ in 0..TRIES {
            let head = self.look()?;
            if head == self.pos {
                return Err(Error::Empty);
            }
            // SAFETY: `offset` is a multiple of 8 below `data_bytes`.
            let header = Header::from_word(unsafe { self.memory.load_word(self.offset) });
            let occupied = occupied_bytes(header.len);
            let fits = header.len <= self.geometry.max_entry_bytes()
                && occupied <= head.wrapping_sub(self.pos);
            let entry = Entry {
                offset: self.offset + ENTRY_OVERHEAD as usize,
                header,
            };
            let room = entry.len() <= buffer.len();
            if fits && room {
                self.copy_words(entry, buffer);
            }
            // ORDERING: pairs with the write barrier in `Producer::give_up_oldest`: if any word
            // above came from a newer entry, the next load of `oldest_pos` is past this entry
            // (litmus: overwrite).
            read_barrier();
            if self.skip_overwritten() {
                continue;
            }
            if !fits {
                return Err(self.found_corrupt(header.to_word()));
            }
            if !room {
                return Err(Error::TooSmall { needed: header.len });
            }
            self.pos = self.pos.wrapping_add(occupied);
            self.offset += occupied as usize;
            if self.offset >= self.geometry.data_bytes() as usize {
                self.offset -= self.geometry.data_bytes() as usize;
            }
            // ORDERING: for poll, which is to see the entry's end no earlier than this reader; the
            // producer never waits for it (litmus: poll-positions).
            self.memory.consumer_pos().store_release(self.pos);
            self.bad = None;
            return Ok(Read {
                len: entry.len(),
                gap: Gap {
                    bytes: core::mem::take(&mut self.gap),
                },
                lost_before: entry.lost_before(),
            });
        }
        Err(Error::Empty)
    }

    /// Arms for the next entry, and looks once more.
    ///
    /// Returns whether an entry waits already; then the caller must not sleep.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`].
    pub fn arm(&mut self) -> Result<bool, Error> {
        self.arm_watermark(ENTRY_ALIGN)
    }

    /// Arms for the moment when `bytes` wait, overhead included, and looks once more. For a reader
    /// with a watermark.
    ///
    /// Returns whether so much waits already; then the caller must not sleep.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`].
    pub fn arm_watermark(&mut self, bytes: u64) -> Result<bool, Error> {
        let bytes = bytes.clamp(ENTRY_ALIGN, self.geometry.data_bytes());
        let wake = self.pos.wrapping_add(bytes);
        self.memory.consumer_wake_pos().store_relaxed(wake);
        // ORDERING: pairs with the full barrier in `Producer::must_wake` (litmus: wake-consumer).
        full_barrier();
        Ok(self.look()?.wrapping_sub(self.pos) >= bytes)
    }

    /// Bytes that wait, headers and padding included.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`].
    pub fn available(&mut self) -> Result<u64, Error> {
        Ok(self.look()?.wrapping_sub(self.pos))
    }

    /// The position of the next entry.
    pub const fn pos(&self) -> u64 {
        self.pos
    }

    /// Invalid positions or headers of the producer; each event counts once.
    pub const fn corrupt_events(&self) -> u64 {
        self.corrupt
    }

    /// Steps over what is overwritten, and returns the producer's position.
    fn look(&mut self) -> Result<u64, Error> {
        self.skip_overwritten();
        // ORDERING: pairs with the release store in `Producer::publish`
        // (litmus: publish, overwrite).
        let mut head = self.memory.producer_pos().load_acquire();
        // The first load of `oldest_pos` may be old; what is more than a lap behind is overwritten.
        while head.wrapping_sub(self.pos) > self.geometry.data_bytes() {
            if !self.skip_overwritten() {
                return Err(self.found_corrupt(head));
            }
            head = self.memory.producer_pos().load_acquire();
        }
        if head % ENTRY_ALIGN != 0 {
            return Err(self.found_corrupt(head));
        }
        Ok(head)
    }

    /// Moves past what the producer has given up. Returns whether there was anything.
    fn skip_overwritten(&mut self) -> bool {
        // ORDERING: pairs with the release store in `Producer::give_up_oldest`: the next load of
        // `producer_pos` is never before this `oldest_pos` (litmus: overwrite-positions).
        let oldest = self.memory.oldest_pos().load_acquire();
        if !is_before(self.pos, oldest) || oldest % ENTRY_ALIGN != 0 {
            return false;
        }
        self.gap = self.gap.saturating_add(oldest.wrapping_sub(self.pos));
        self.pos = oldest;
        self.offset = (oldest % self.geometry.data_bytes()) as usize;
        true
    }

    fn copy_words(&self, entry: Entry, buffer: &mut [u8]) {
        let (words, _) = buffer.split_at_mut(entry.len());
        for (i, chunk) in words.chunks_mut(8).enumerate() {
            // SAFETY: The entry with its padding ends at most `data_bytes` after its header.
            let word = unsafe { self.memory.load_word(entry.offset + i * 8) };
            chunk.copy_from_slice(&word.to_ne_bytes()[..chunk.len()]);
        }
    }

    #[cold]
    fn found_corrupt(&mut self, value: u64) -> Error {
        if self.bad != Some(value) {
            self.bad = Some(value);
            self.corrupt += 1;
        }
        Error::Corrupt
    }
}
