// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! The producing side.

mod ahead;
mod head;
mod overwriting;
mod push;

use core::marker::PhantomData;

use super::entry::Header;
use super::sync::full_barrier;
use super::{crossed, geometry::cold_path, uapi, Error, Framed, Geometry, Layout, Memory};
pub use head::Head;

/// The producing side of one ring.
///
/// An entry is made in three steps: [`reserve`](Self::reserve) room, fill it, and
/// [`commit`](Self::commit). [`publish`](Self::publish) then shows all committed entries to the
/// consumer, and [`must_wake`](Self::must_wake) tells whether the consumer sleeps and waits for
/// them.
///
/// # Invariants
///
/// - `pos - lap`, the offset of the next entry in the data, is `pos` modulo their size.
/// - `pos - peer <= data_bytes`: the consumer may still read `[peer, pos)` and nothing else.
/// - In overwriting mode `oldest` takes the place of `peer`.
/// - `pos <= end <= fetched`, and `end` is at most `data_bytes` after `peer`: entries up to `end`
///   fit and need no flag. While `lost` is not 0, `end` is `pos`.
/// - No reservation reaches beyond `fetched`.
/// - The `unpublished` bytes before `pos` are entries that are committed and not yet published.
pub struct Producer<M, L = Framed> {
    memory: M,
    layout: PhantomData<L>,
    geometry: Geometry,
    overwrite: bool,
    /// Position of the next entry. Exact: no other code writes it.
    pos: u64,
    /// Position of the start of the data in the lap of `pos`. It is kept instead of the offset, so
    /// that an entry stores one number that the next entry loads, and not two.
    lap: u64,
    /// The consumer's position when it was last loaded; it may be further by now.
    peer: u64,
    /// The position up to which entries are appended without a further check.
    end: u64,
    /// The position before which no cache line needs to be fetched any more.
    fetched: u64,
    /// Bytes before `pos` that `producer_pos` in shared memory does not cover. It is kept instead
    /// of that position, so that a producer that publishes each entry stores nothing here.
    unpublished: u64,
    /// The published position at the last call of `must_wake`.
    looked: u64,
    /// Overwriting mode: position of the oldest entry that is whole, and its offset in the data.
    oldest: u64,
    oldest_offset: usize,
    /// Entries declared lost that no header has reported yet.
    lost: u64,
    /// The last invalid position of the peer.
    bad: Option<u64>,
    corrupt: u64,
    overwritten: u64,
    high_water: u64,
}

impl<M: Memory> Producer<M> {
    /// [`Self::new_of`] for entries with headers.
    ///
    /// # Safety
    ///
    /// The contract of [`Self::new_of`].
    pub unsafe fn new(memory: M, geometry: Geometry, overwrite: bool) -> Self {
        // SAFETY: The caller upholds the contract of `new_of`.
        unsafe { Self::new_of(memory, geometry, overwrite) }
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

    /// Declares `entries` entries lost. The header of the next entry reports them; if there are more
    /// than 65535, those of the entries that follow report the rest.
    pub fn report_lost(&mut self, entries: u64) {
        self.lost = self.lost.saturating_add(entries);
        // INVARIANT: `end` is `pos` while `lost` is not 0.
        self.end = self.pos;
    }
}

impl<M: Memory, L: Layout> Producer<M, L> {
    /// The producing side of an empty ring at position zero.
    ///
    /// # Safety
    ///
    /// `memory` is as large as `geometry` says, all its words are zero, and it has no other
    /// producer. With `overwrite` the consumer is an [`OverwriteReader`].
    ///
    /// [`OverwriteReader`]: super::OverwriteReader
    pub unsafe fn new_of(memory: M, geometry: Geometry, overwrite: bool) -> Self {
        // INVARIANT: All positions are zero.
        Self {
            memory,
            layout: PhantomData,
            geometry,
            overwrite,
            pos: 0,
            lap: 0,
            peer: 0,
            // The consumer has not read the first lap.
            end: geometry.data_bytes(),
            fetched: geometry.data_bytes(),
            unpublished: 0,
            looked: 0,
            oldest: 0,
            oldest_offset: 0,
            lost: 0,
            bad: None,
            corrupt: 0,
            overwritten: 0,
            high_water: 0,
        }
    }

    /// The producing side of a ring in use, after the previous producer is gone.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`]: a position in shared memory is invalid.
    ///
    /// # Safety
    ///
    /// `memory` is as large as `geometry` says, and has no other producer. The previous producer
    /// left the words of the producer's page, which the peer cannot write.
    pub unsafe fn resume_of(memory: M, geometry: Geometry) -> Result<Self, Error> {
        let pos = memory.producer_pos().load_relaxed();
        // ORDERING: pairs with the release store in `Consumer::publish` (litmus: reuse).
        let peer = memory.consumer_pos().load_acquire();
        if pos % L::ALIGN != 0
            || peer % L::ALIGN != 0
            || pos.wrapping_sub(peer) > geometry.data_bytes()
        {
            return Err(Error::Corrupt);
        }
        // SAFETY: The caller ensures size and sole use; the positions are set below.
        let mut producer = unsafe { Self::new_of(memory, geometry, false) };
        // INVARIANT: The positions were checked above. This is the only division of a producer.
        producer.pos = pos;
        let offset = pos.checked_rem(geometry.data_bytes()).unwrap_or(0);
        producer.lap = pos.wrapping_sub(offset);
        producer.peer = peer;
        producer.end = peer.wrapping_add(geometry.data_bytes());
        producer.fetched = producer.end;
        // The previous producer may have ended between publishing and waking, and the consumer may
        // sleep at any position after its own. A spurious wake-up does no harm.
        producer.looked = peer;
        Ok(producer)
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

    /// Makes room for an entry of `len` bytes, and returns the offset of its bytes in the data.
    ///
    /// The `len` bytes there belong to the caller until it calls [`Self::commit`]. It need not call
    /// it: a forgotten reservation changes nothing, except that in overwriting mode the oldest
    /// entries may have been given up for it.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`], [`Error::Full`], [`Error::Corrupt`].
    #[inline(always)]
    pub fn reserve(&mut self, len: u32) -> Result<usize, Error> {
        let need = L::occupied(len);
        if self.end.wrapping_sub(self.pos) < need {
            self.make_room(need)?;
        }
        Ok(self.offset().wrapping_add(L::OVERHEAD as usize))
    }

    /// Turns a reservation into an entry of `len` bytes, at most as many as were reserved.
    ///
    /// The consumer sees the entry after the next [`Self::publish`].
    ///
    /// # Errors
    ///
    /// [`Error::Full`]: so much room was not reserved; nothing changes.
    #[inline(always)]
    pub fn commit(&mut self, len: u32) -> Result<(), Error> {
        let header = if self.end.wrapping_sub(self.pos) >= L::occupied(len) {
            Header::of(len).to_word()
        } else {
            self.header_slow(len)?
        };
        self.append(self.pos, self.offset(), len, header);
        Ok(())
    }

    /// The offset of the next entry in the data.
    #[inline(always)]
    pub(super) fn offset(&self) -> usize {
        self.pos.wrapping_sub(self.lap) as usize
    }

    /// Appends the entry whose bytes are written, with its header, at `self.pos` and
    /// `self.offset()`. These are arguments because an argument stays in a register, and a field is
    /// loaded again after each access to shared memory.
    #[inline(always)]
    fn append(&mut self, pos: u64, offset: usize, len: u32, header: u64) {
        let need = L::occupied(len);
        self.write_header(offset, header);
        self.pos = pos.wrapping_add(need);
        self.unpublished = self.unpublished.wrapping_add(need);
        self.advance(offset, need);
    }

    /// Writes the header of the entry at `offset`, which is `self.offset()`.
    #[inline(always)]
    fn write_header(&self, offset: usize, header: u64) {
        if L::FIXED.is_none() {
            // SAFETY: `offset` is a multiple of 8 below `data_bytes`; this is the producer.
            unsafe { self.memory.store_word(offset, header) };
        }
    }

    /// Moves `lap` on if the next entry is in the next lap.
    #[inline(always)]
    fn advance(&mut self, offset: usize, need: u64) {
        let size = self.geometry.data_bytes() as usize;
        // INVARIANT: `need <= data_bytes`.
        if offset.wrapping_add(need as usize) >= size {
            cold_path();
            self.lap = self.lap.wrapping_add(size as u64);
        }
    }

    /// Moves past `bytes` of whole entries that were written into known room.
    #[inline(always)]
    pub(super) fn skip(&mut self, bytes: u64) {
        let offset = self.offset();
        self.pos = self.pos.wrapping_add(bytes);
        self.unpublished = self.unpublished.wrapping_add(bytes);
        self.advance(offset, bytes);
        if self.end.wrapping_sub(self.pos) > self.geometry.data_bytes() {
            // INVARIANT: `pos` has moved past `end`, and `pos <= end` must hold.
            self.end = self.pos;
            self.mark_fetched(self.pos);
        }
    }

    /// Shows all committed entries to the consumer.
    #[inline(always)]
    pub fn publish(&mut self) {
        let pos = self.pos;
        self.unpublished = 0;
        // ORDERING: pairs with the acquire load in `Consumer::refresh`: headers and bytes before
        // the position that covers them (litmus: publish, variable-length).
        self.memory.producer_pos().store_release(pos);
    }

    /// Whether the consumer sleeps and armed a position that was crossed since the last call.
    ///
    /// Issues a full barrier. Call it after [`Self::publish`], once for a whole batch.
    #[inline(always)]
    pub fn must_wake(&mut self) -> bool {
        // ORDERING: pairs with the full barrier in `Consumer::arm`: either this side sees the armed
        // position, or the consumer sees the published one (litmus: wake-consumer).
        full_barrier();
        self.crossed_armed()
    }

    /// Like [`Self::must_wake`], without the full barrier: the caller issued one after publishing.
    #[inline(always)]
    pub fn crossed_armed(&mut self) -> bool {
        let wake = self.memory.consumer_wake_pos().load_relaxed();
        let old = self.looked;
        self.looked = self.published_pos();
        crossed(wake, old, self.looked)
    }

    /// Like [`Self::must_wake`], after an enqueue that found the ring full. Also true if the
    /// consumer waits for a position that is still ahead, so that the two sides never both sleep.
    pub fn must_wake_full(&mut self) -> bool {
        let crossed = self.must_wake();
        let wake = self.memory.consumer_wake_pos().load_relaxed();
        let ahead = wake.wrapping_sub(self.published_pos());
        // Each time, though a producer that keeps trying wakes a consumer that is on its way: one that
        // armed the same position again cannot be told from it, and must not sleep on a full ring.
        crossed || (ahead != 0 && ahead <= self.geometry.data_bytes())
    }

    /// Arms for the moment when `need` bytes, overhead included, are free, and looks once more.
    ///
    /// Returns whether they are free already; then the caller must not sleep.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`], [`Error::Corrupt`].
    pub fn arm_room(&mut self, need: u64) -> Result<bool, Error> {
        let size = self.geometry.data_bytes();
        if need > size {
            return Err(Error::TooLarge {
                max: L::max_entry_bytes(&self.geometry),
            });
        }
        // There is room for `need` bytes once the consumer is at `pos + need - size`.
        let wake = self.pos.wrapping_add(need).wrapping_sub(size);
        self.memory.producer_wake_pos().store_relaxed(wake);
        // ORDERING: pairs with the full barrier in `Consumer::must_wake` (litmus: wake-producer).
        full_barrier();
        self.refresh()?;
        Ok(self.known_room() >= need)
    }

    /// Free bytes, overhead included, after a fresh look at the consumer's position.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`].
    pub fn room(&mut self) -> Result<u64, Error> {
        self.refresh()?;
        Ok(self.known_room())
    }

    /// Whether `count` entries of `len` bytes fit now.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`].
    pub fn can_push(&mut self, len: u32, count: u64) -> Result<bool, Error> {
        match count.checked_mul(L::occupied(len)) {
            None => Ok(false),
            Some(_) if len > L::max_entry_bytes(&self.geometry) => Ok(count == 0),
            Some(need) if self.overwrite => Ok(need <= self.geometry.data_bytes()),
            Some(need) => Ok(need <= self.room()?),
        }
    }

    /// The position after the last committed entry: what [`Self::publish`] will show.
    #[inline(always)]
    pub const fn committed_pos(&self) -> u64 {
        self.pos
    }

    /// The position after the last published entry.
    #[inline(always)]
    pub const fn published_pos(&self) -> u64 {
        self.pos.wrapping_sub(self.unpublished)
    }

    /// Invalid positions of the consumer; each event counts once.
    pub const fn corrupt_events(&self) -> u64 {
        self.corrupt
    }

    /// The most bytes, overhead included, that were in the ring at any call of this function. Loads
    /// the consumer's position if there may be more now.
    #[inline(always)]
    pub fn high_water_bytes(&mut self) -> u64 {
        if self.known_bytes() > self.high_water {
            self.raise_high_water();
        }
        self.high_water
    }

    /// The position before which all bytes may be written again.
    #[inline(always)]
    fn floor(&self) -> u64 {
        if self.overwrite {
            self.oldest
        } else {
            self.peer
        }
    }

    /// Free bytes that this side knows of; there may be more.
    pub(super) fn known_room(&self) -> u64 {
        // No underflow: `pos - floor <= data_bytes` by the invariant.
        self.geometry
            .data_bytes()
            .wrapping_sub(self.pos.wrapping_sub(self.floor()))
    }

    /// Bytes that are published and not known to be released; there may be fewer.
    #[inline(always)]
    fn known_bytes(&self) -> u64 {
        self.published_pos().wrapping_sub(self.floor())
    }

    /// Makes room for an entry that ends after `end`, and returns its header.
    #[cold]
    fn header_after_refresh(&mut self, len: u32) -> Result<u64, Error> {
        let need = L::occupied(len);
        self.make_room(need)?;
        if self.end.wrapping_sub(self.pos) >= need {
            return Ok(Header::of(len).to_word());
        }
        self.header_slow(len)
    }

    /// Returns the header of an entry that ends after `end`, if there is known room for it.
    #[cold]
    fn header_slow(&mut self, len: u32) -> Result<u64, Error> {
        let need = L::occupied(len);
        if self.known_room() < need {
            return Err(Error::Full);
        }
        let lost = u16::try_from(self.lost).unwrap_or(u16::MAX);
        self.lost = self.lost.wrapping_sub(lost.into());
        self.set_end(need);
        if lost == 0 {
            return Ok(Header::of(len).to_word());
        }
        if self.lost != 0 {
            // The entries that follow report the rest. INVARIANT: `pos` moves there with the entry.
            self.end = self.pos.wrapping_add(need);
        }
        let header = Header {
            flags: uapi::IOSTREAM_ENTRY_GAP as u16,
            lost,
            ..Header::of(len)
        };
        Ok(header.to_word())
    }

    #[cold]
    fn raise_high_water(&mut self) {
        // The known position of the peer may be old, so load it before counting so many bytes as
        // used. A corrupt peer is reported where it matters, not here.
        if !self.overwrite {
            let _ = self.refresh();
        }
        self.high_water = self.high_water.max(self.known_bytes());
    }

    #[cold]
    fn make_room(&mut self, need: u64) -> Result<(), Error> {
        if need > self.geometry.data_bytes() {
            return Err(Error::TooLarge {
                max: L::max_entry_bytes(&self.geometry),
            });
        }
        if self.overwrite {
            self.give_up_oldest(need);
            return Ok(());
        }
        if self.known_room() < need {
            self.refresh()?;
        }
        if self.known_room() < need {
            return Err(Error::Full);
        }
        self.set_end(need);
        Ok(())
    }

    /// Loads the consumer's position once, checks it, and stores it in `peer`.
    fn refresh(&mut self) -> Result<(), Error> {
        if self.overwrite {
            return Ok(());
        }
        // ORDERING: pairs with the release store in `Consumer::publish`: the consumer is done with
        // the bytes before they are written again (litmus: reuse, wrap).
        let peer = self.memory.consumer_pos().load_acquire();
        // It moves only forward, in whole entries, and never past what was published.
        if peer % L::ALIGN != 0
            || peer.wrapping_sub(self.peer) > self.published_pos().wrapping_sub(self.peer)
        {
            if self.bad != Some(peer) {
                self.bad = Some(peer);
                self.corrupt += 1;
            }
            return Err(Error::Corrupt);
        }
        self.bad = None;
        // INVARIANT: `pos - peer` only shrinks, so the room up to `end` is still free.
        self.peer = peer;
        Ok(())
    }
}
