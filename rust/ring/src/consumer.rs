// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! The consuming side.

mod array;
mod drain;

use core::marker::PhantomData;

use super::entry::{Entry, Header, ENTRY_ALIGN};
use super::sync::full_barrier;
use super::{crossed, geometry::cold_path, Error, Framed, Geometry, Layout, Memory};
pub use drain::Drained;

/// The consuming side of one ring.
///
/// [`peek`](Self::peek) finds and checks the next entry, and [`release`](Self::release) moves past
/// it. [`publish`](Self::publish) then makes all released entries free for the producer, and
/// [`must_wake`](Self::must_wake) tells whether the producer sleeps and waits for the room.
///
/// # Invariants
///
/// - `pos - lap`, the offset of the next entry in the data, is `pos` modulo their size.
/// - `peer - pos <= data_bytes`: the entries in `[pos, peer)` are complete.
/// - `current` is the checked entry at `pos`, if there is one.
pub struct Consumer<M, L = Framed> {
    memory: M,
    layout: PhantomData<L>,
    geometry: Geometry,
    /// Position of the next entry. Exact: no other code writes it.
    pos: u64,
    /// Position of the start of the data in the lap of `pos`; see `Producer`.
    lap: u64,
    /// The producer's position when it was last loaded; it may be further by now.
    peer: u64,
    /// Bytes before `pos` that `consumer_pos` in shared memory does not cover; see `Producer`.
    unpublished: u64,
    /// The published position at the last call of `must_wake`.
    looked: u64,
    current: Option<Entry>,
    /// The last invalid position of the peer.
    bad_pos: Option<u64>,
    /// The last invalid header, after its position.
    bad_header: Option<(u64, u64)>,
    corrupt: u64,
}

impl<M: Memory> Consumer<M> {
    /// [`Self::new_of`] for entries with headers.
    ///
    /// # Safety
    ///
    /// The contract of [`Self::new_of`].
    pub unsafe fn new(memory: M, geometry: Geometry) -> Self {
        // SAFETY: The caller upholds the contract of `new_of`.
        unsafe { Self::new_of(memory, geometry) }
    }

    /// [`Self::resume_of`] for entries with headers.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`]: a position in shared memory is invalid.
    ///
    /// # Safety
    ///
    /// The contract of [`Self::resume_of`].
    pub unsafe fn resume(memory: M, geometry: Geometry) -> Result<Self, Error> {
        // SAFETY: The caller upholds the contract of `resume_of`.
        unsafe { Self::resume_of(memory, geometry) }
    }
}

impl<M: Memory, L: Layout> Consumer<M, L> {
    /// The consuming side of an empty ring at position zero.
    ///
    /// # Safety
    ///
    /// `memory` is as large as `geometry` says, and all its words were zero when the ring was made.
    /// It has no other consumer, and had none before.
    pub unsafe fn new_of(memory: M, geometry: Geometry) -> Self {
        // INVARIANT: All positions are zero.
        Self {
            memory,
            layout: PhantomData,
            geometry,
            pos: 0,
            lap: 0,
            peer: 0,
            unpublished: 0,
            looked: 0,
            current: None,
            bad_pos: None,
            bad_header: None,
            corrupt: 0,
        }
    }

    /// The consuming side of a ring in use, after the previous consumer is gone.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`]: a position in shared memory is invalid.
    ///
    /// # Safety
    ///
    /// `memory` is as large as `geometry` says, and has no other consumer. The previous consumer
    /// left the words of the consumer's page, which the peer cannot write.
    pub unsafe fn resume_of(memory: M, geometry: Geometry) -> Result<Self, Error> {
        let pos = memory.consumer_pos().load_relaxed();
        if pos % L::ALIGN != 0 {
            return Err(Error::Corrupt);
        }
        // SAFETY: The caller ensures size and sole use; the positions are set below.
        let mut consumer = unsafe { Self::new_of(memory, geometry) };
        // INVARIANT: With `peer` at `pos`, no entry is known. This is the only division of a
        // consumer.
        consumer.pos = pos;
        let offset = pos.checked_rem(geometry.data_bytes()).unwrap_or(0);
        consumer.lap = pos.wrapping_sub(offset);
        consumer.peer = pos;
        consumer.refresh()?;
        // The previous consumer may have ended between publishing and waking, and the producer may
        // sleep at any position after the one that its own implies. A spurious wake-up does no
        // harm. A ring that was never full has no sleeper, hence `saturating`.
        consumer.looked = consumer.peer.saturating_sub(geometry.data_bytes());
        Ok(consumer)
    }

    /// The ring's size.
    #[inline(always)]
    pub const fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The ring's memory.
    #[inline(always)]
    pub const fn memory(&self) -> &M {
        &self.memory
    }

    /// Finds the next entry and checks it. The entry stays in the ring.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`], [`Error::Corrupt`].
    #[inline(always)]
    pub fn peek(&mut self) -> Result<Entry, Error> {
        if let Some(entry) = self.current {
            return Ok(entry);
        }
        if let Some(len) = L::FIXED {
            return self.peek_fixed(len);
        }
        if self.pos == self.peer {
            self.refresh()?;
            if self.pos == self.peer {
                return Err(Error::Empty);
            }
        }
        let offset = self.offset();
        // SAFETY: `offset` is a multiple of 8 below `data_bytes`.
        let word = unsafe { self.memory.load_word(offset) };
        let header = Header::from_word(word);
        // From here on only the copy is used: the peer may change the word.
        let known = self.peer.wrapping_sub(self.pos);
        if L::occupied(header.len) > known {
            let bad = (self.pos, word);
            return Err(found_corrupt(&mut self.bad_header, &mut self.corrupt, bad));
        }
        // INVARIANT: The check above shows that the entry ends at or before `peer`.
        let entry = Entry {
            offset: offset + L::OVERHEAD as usize,
            header,
        };
        self.current = Some(entry);
        Ok(entry)
    }

    /// Like [`Self::peek`], for entries that all have `len` bytes: all before `peer` are whole.
    #[inline(always)]
    fn peek_fixed(&mut self, len: u32) -> Result<Entry, Error> {
        if self.pos == self.peer && self.pos == self.refresh()? {
            return Err(Error::Empty);
        }
        // INVARIANT: Positions are multiples of `len`, so only whole entries lie between two.
        Ok(Entry {
            offset: self.offset(),
            header: Header::of(len),
        })
    }

    /// Moves past the entry that [`Self::peek`] found; without headers, past the next known entry,
    /// even if it was not peeked. Returns whether there was one.
    ///
    /// The producer may write there after the next [`Self::publish`].
    #[inline(always)]
    pub fn release(&mut self) -> bool {
        let found = self.take_current();
        if let Some(occupied) = found {
            self.advance(occupied);
        }
        found.is_some()
    }

    /// [`Self::release`] and [`Self::publish`] in one call.
    #[inline(always)]
    pub fn release_and_publish(&mut self) -> bool {
        let found = self.take_current();
        match found {
            Some(occupied) => self.advance_and_publish(occupied),
            None => self.publish(),
        }
        found.is_some()
    }

    /// Takes the entry to be released, and returns the bytes that it occupies.
    #[inline(always)]
    fn take_current(&mut self) -> Option<u64> {
        if L::FIXED.is_some() {
            return (self.pos != self.peer).then_some(L::ALIGN);
        }
        // INVARIANT: `peek` checked the entry.
        Some(L::occupied(self.current.take()?.header.len))
    }

    /// Bytes before `peer` that are not released.
    #[inline(always)]
    pub(super) fn known(&self) -> u64 {
        self.peer.wrapping_sub(self.pos)
    }

    /// The offset of the next entry in the data.
    #[inline(always)]
    pub(super) fn offset(&self) -> usize {
        self.pos.wrapping_sub(self.lap) as usize
    }

    /// Moves past an entry that was checked to end at or before `peer`.
    #[inline(always)]
    pub(super) fn advance(&mut self, occupied: u64) {
        let size = self.geometry.data_bytes() as usize;
        let offset = self.offset().wrapping_add(occupied as usize);
        // INVARIANT: `occupied <= peer - pos <= data_bytes`.
        if offset >= size {
            cold_path();
            self.lap = self.lap.wrapping_add(size as u64);
        }
        self.pos = self.pos.wrapping_add(occupied);
        self.unpublished = self.unpublished.wrapping_add(occupied);
    }

    /// [`Self::advance`] and [`Self::publish`] in one call.
    ///
    /// `pos` is stored after the publication. The compiler assumes that the publication may change
    /// `self`, so in a loop each turn would otherwise wait to load what the last one stored.
    #[inline(always)]
    pub(super) fn advance_and_publish(&mut self, occupied: u64) {
        let size = self.geometry.data_bytes() as usize;
        let (next, offset) = (self.pos.wrapping_add(occupied), self.offset());
        if self.unpublished != 0 {
            self.unpublished = 0;
        }
        // ORDERING: pairs as in `publish` (litmus: reuse, wrap).
        self.memory.consumer_pos().store_release(next);
        // INVARIANT: `occupied <= peer - pos <= data_bytes`, as in `advance`.
        if offset.wrapping_add(occupied as usize) >= size {
            cold_path();
            self.lap = self.lap.wrapping_add(size as u64);
        }
        self.pos = next;
    }

    /// Copies the next entry to the front of `buffer`, releases it, and returns it.
    ///
    /// The producer may write there after the next [`Self::publish`].
    ///
    /// # Errors
    ///
    /// [`Error::Empty`]. [`Error::TooSmall`]: the entry stays. [`Error::Corrupt`].
    #[inline(always)]
    pub fn pop(&mut self, buffer: &mut [u8]) -> Result<Entry, Error> {
        let entry = self.peek()?;
        if entry.len() > buffer.len() {
            return Err(Error::TooSmall {
                needed: entry.header.len,
            });
        }
        // SAFETY: `peek` checked the bounds of the entry, and the buffer is long enough.
        unsafe {
            self.memory
                .read(entry.offset, buffer.as_mut_ptr(), entry.len())
        };
        self.release();
        Ok(entry)
    }

    /// Makes all released entries free for the producer.
    #[inline(always)]
    pub fn publish(&mut self) {
        let pos = self.pos;
        self.unpublished = 0;
        // ORDERING: pairs with the acquire load in `Producer::refresh`: all reads of the entries
        // come before the position that frees them (litmus: reuse, wrap).
        self.memory.consumer_pos().store_release(pos);
        // The same value again. The compiler assumes that the publication may change `self`, so in
        // a loop each turn would otherwise wait to load what the last one stored.
        self.pos = pos;
    }

    /// Whether the producer sleeps and armed a position that was crossed since the last call.
    ///
    /// Issues a full barrier. Call it after [`Self::publish`], once for a whole batch.
    #[inline(always)]
    pub fn must_wake(&mut self) -> bool {
        // ORDERING: pairs with the full barrier in `Producer::arm_room`: either this side sees the
        // armed position, or the producer sees the published one (litmus: wake-producer).
        full_barrier();
        self.crossed_armed()
    }

    /// Like [`Self::must_wake`], without the full barrier: the caller issued one after publishing.
    #[inline(always)]
    pub fn crossed_armed(&mut self) -> bool {
        let wake = self.memory.producer_wake_pos().load_relaxed();
        let old = self.looked;
        self.looked = self.published_pos();
        crossed(wake, old, self.looked)
    }

    /// Arms for the next entry, and looks once more.
    ///
    /// Returns whether an entry waits already; then the caller must not sleep.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`].
    pub fn arm(&mut self) -> Result<bool, Error> {
        if self.pos != self.peer {
            return Ok(true);
        }
        // The shortest entry moves the producer by `ENTRY_ALIGN`.
        let wake = self.pos.wrapping_add(ENTRY_ALIGN);
        self.memory.consumer_wake_pos().store_relaxed(wake);
        // ORDERING: pairs with the full barrier in `Producer::must_wake` (litmus: wake-consumer).
        full_barrier();
        self.refresh()?;
        Ok(self.pos != self.peer)
    }

    /// Arms for one entry more than this side knows of, and looks once more. A full ring also
    /// wakes. For a consumer that leaves entries in the ring.
    ///
    /// Returns whether another entry came meanwhile, or the producer waits for room already; then
    /// the caller must not sleep.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`].
    pub fn arm_next(&mut self) -> Result<bool, Error> {
        let known = self.peer;
        let wake = known.wrapping_add(ENTRY_ALIGN);
        self.memory.consumer_wake_pos().store_relaxed(wake);
        // ORDERING: pairs with the full barrier in `Producer::must_wake` (litmus: wake-consumer),
        // and with those of a producer that found the ring full, armed, and then looked for a
        // sleeper (litmus: wake-full).
        full_barrier();
        self.refresh()?;
        Ok(self.peer != known || self.producer_waits())
    }

    /// Arms for the moment when `bytes` wait, overhead included, and looks once more. A full ring
    /// also wakes. For a consumer with a watermark; it must have published all that it released.
    ///
    /// Returns whether so much waits, or the producer waits for room already; then the caller must
    /// not sleep.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`].
    pub fn arm_watermark(&mut self, bytes: u64) -> Result<bool, Error> {
        // More than the ring holds would never come.
        let bytes = bytes.clamp(ENTRY_ALIGN, self.geometry.data_bytes());
        let wake = self.pos.wrapping_add(bytes);
        self.memory.consumer_wake_pos().store_relaxed(wake);
        // ORDERING: pairs as in `arm_next` (litmus: wake-consumer, wake-full).
        full_barrier();
        self.refresh()?;
        let waiting = self.peer.wrapping_sub(self.pos);
        Ok(waiting >= bytes || self.producer_waits())
    }

    /// Whether the producer waits for room that is not published yet. Call it after a full barrier.
    fn producer_waits(&self) -> bool {
        let wake = self.memory.producer_wake_pos().load_relaxed();
        let ahead = wake.wrapping_sub(self.published_pos());
        ahead != 0 && ahead <= self.geometry.data_bytes()
    }

    /// Loads the producer's position, and returns the bytes that wait, headers and padding
    /// included.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`].
    pub fn available(&mut self) -> Result<u64, Error> {
        self.refresh()?;
        Ok(self.peer.wrapping_sub(self.pos))
    }

    /// The position after the last released entry: what [`Self::publish`] will show.
    #[inline(always)]
    pub const fn released_pos(&self) -> u64 {
        self.pos
    }

    /// The position before which all entries are released and published.
    #[inline(always)]
    pub const fn published_pos(&self) -> u64 {
        self.pos.wrapping_sub(self.unpublished)
    }

    /// Invalid positions or headers of the producer; each event counts once.
    pub const fn corrupt_events(&self) -> u64 {
        self.corrupt
    }

    /// Bytes, overhead included, between the published position and the producer's position when it
    /// was last loaded.
    #[inline(always)]
    pub const fn known_bytes(&self) -> u64 {
        self.peer.wrapping_sub(self.published_pos())
    }

    /// Loads the producer's position once, checks it, stores it in `peer`, and returns it.
    #[inline]
    fn refresh(&mut self) -> Result<u64, Error> {
        // ORDERING: pairs with the release store in `Producer::publish`: headers and bytes before
        // the position are complete (litmus: publish, variable-length).
        let peer = self.memory.producer_pos().load_acquire();
        let size = self.geometry.data_bytes();
        // It moves only forward, in whole entries, and at most one lap ahead of what was released
        // and published.
        let limit = self.published_pos().wrapping_add(size);
        let known = self.peer;
        if peer % L::ALIGN != 0 || peer.wrapping_sub(known) > limit.wrapping_sub(known) {
            return Err(found_corrupt(&mut self.bad_pos, &mut self.corrupt, peer));
        }
        self.bad_pos = None;
        // INVARIANT: `pos <= peer <= published + data_bytes <= pos + data_bytes`.
        self.peer = peer;
        Ok(peer)
    }
}

/// Counts an invalid value, unless it is the one that was counted last.
#[cold]
fn found_corrupt<T: Copy + PartialEq>(bad: &mut Option<T>, corrupt: &mut u64, value: T) -> Error {
    if *bad != Some(value) {
        *bad = Some(value);
        *corrupt += 1;
    }
    Error::Corrupt
}
