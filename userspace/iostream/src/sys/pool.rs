// SPDX-License-Identifier: MIT OR Apache-2.0

//! The buffers of a stream: where they are mapped, and who has each.

use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use iostream_ring::uapi;
use rustix::io::Errno;

use super::region::Region;
use super::Device;
use crate::Error;

/// Who has a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Place {
    /// The driver: nobody here may touch it.
    Driver,
    /// This process, and nobody uses it.
    Free,
    /// This process: there is a [`Lease`] of it, or was one that was forgotten.
    Lent,
}

/// How the buffers lie in a device's mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    data_bytes: usize,
    control_bytes: usize,
    control_start: usize,
    stride: usize,
    offset: u64,
}

/// The start of a mapped buffer.
#[derive(Clone, Copy)]
struct Start(NonNull<u8>);

// SAFETY: A mapping is not tied to a thread; who may use the bytes is the lease's business.
unsafe impl Send for Start {}
// SAFETY: As above: the value itself is but an address.
unsafe impl Sync for Start {}

struct Slot {
    place: AtomicU8,
    start: OnceLock<Start>,
}

/// What is mapped so far.
struct Mapped {
    regions: Vec<Region>,
    count: u32,
}

/// All buffers of a session.
///
/// # Invariants
///
/// - A slot's `start` is that of `stride` bytes that stay mapped while the pool lives, readable, and
///   writable if `writable`; no other mapping of them in this process is used.
/// - There is a [`Lease`] of a buffer only while its place is `Lent`, and one at most.
/// - A buffer's place is `Driver` from before its descriptor is shown to the kernel until one of it
///   comes back: else the kernel, which is trusted in this, does not write it.
pub(crate) struct Pool {
    layout: Layout,
    writable: bool,
    slots: Box<[Slot]>,
    mapped: Mutex<Mapped>,
}

impl Pool {
    /// Maps all buffers of a session. The driver has them all.
    pub(crate) fn map(
        device: &Device,
        stream: &uapi::iostream_stream,
        writable: bool,
    ) -> Result<Self, Error> {
        let layout = Layout::new(stream, rustix::param::page_size())?;
        let slot = |_| Slot {
            place: AtomicU8::new(Place::Driver as u8),
            start: OnceLock::new(),
        };
        let pool = Self {
            layout,
            writable,
            slots: (0..stream.max_buffers).map(slot).collect(),
            mapped: Mutex::new(Mapped {
                regions: Vec::new(),
                count: 0,
            }),
        };
        pool.extend(device, stream)?;
        Ok(pool)
    }

    /// Maps the buffers that were added. Returns their ids.
    pub(crate) fn extend(
        &self,
        device: &Device,
        stream: &uapi::iostream_stream,
    ) -> Result<Range<u32>, Error> {
        let mut mapped = self.mapped.lock().unwrap_or_else(PoisonError::into_inner);
        let added = mapped.count..stream.buffers;
        if added.is_empty() {
            return Ok(added);
        }
        if Layout::new(stream, rustix::param::page_size())? != self.layout
            || stream.buffers as usize > self.slots.len()
        {
            return Err(Error::Mismatch("the device's buffers have changed"));
        }
        let Layout { stride, offset, .. } = self.layout;
        let too_large = Error::Mismatch("the buffers are more than this process can map");
        let bytes = stride
            .checked_mul(added.len())
            .ok_or_else(|| too_large.clone())?;
        let offset = (stride as u64)
            .checked_mul(u64::from(added.start))
            .and_then(|bytes| offset.checked_add(bytes))
            .ok_or(too_large)?;
        let region =
            Region::map(device, offset, bytes, self.writable).map_err(|errno| match errno {
                Errno::BUSY => Error::Busy(
                    "the buffers were taken before: they can be taken once in a session",
                ),
                errno => Error::of_call("mmap", errno),
            })?;
        let start = region.start::<u8>();
        for (i, id) in added.clone().enumerate() {
            // SAFETY: Within the region, which holds a stride for each.
            let start = Start(unsafe { start.add(i * stride) });
            // INVARIANT: Just mapped, and kept below; the kernel lets what is writable be mapped
            // once. Nobody sets it twice, since the lock is held and the count grows.
            let _ = self.slots[id as usize].start.set(start);
        }
        mapped.regions.push(region);
        mapped.count = stream.buffers;
        Ok(added)
    }

    /// Buffers that are mapped.
    pub(crate) fn count(&self) -> u32 {
        let mapped = self.mapped.lock().unwrap_or_else(PoisonError::into_inner);
        mapped.count
    }

    pub(crate) fn data_bytes(&self) -> usize {
        self.layout.data_bytes
    }

    pub(crate) fn control_bytes(&self) -> usize {
        self.layout.control_bytes
    }

    /// Whether there is such a buffer.
    pub(crate) fn has(&self, id: u32) -> bool {
        self.slot(id).is_some_and(|slot| slot.start.get().is_some())
    }

    /// Lends a buffer that is at `from`; `None` if it is not.
    #[inline]
    pub(crate) fn lend(self: &Arc<Self>, id: u32, from: Place) -> Option<Lease> {
        let slot = self.slot(id)?;
        let start = slot.start.get()?;
        // ORDERING: pairs with the release store in `Lease::drop`: who had the buffer before is done
        // with its bytes (litmus: claim).
        slot.place
            .compare_exchange(
                from as u8,
                Place::Lent as u8,
                Ordering::Acquire,
                Ordering::Relaxed,
            )
            .ok()?;
        // INVARIANT: The exchange succeeds for one caller.
        Some(Lease {
            pool: self.clone(),
            start: *start,
            id,
            then: Place::Free,
        })
    }

    /// Makes a buffer of the driver's this process's own, unused. Returns whether it was the driver's.
    pub(crate) fn free(self: &Arc<Self>, id: u32) -> bool {
        // The lease that is dropped leaves it free.
        self.lend(id, Place::Driver).is_some()
    }

    fn slot(&self, id: u32) -> Option<&Slot> {
        self.slots.get(usize::try_from(id).ok()?)
    }
}

impl Layout {
    /// Refuses what cannot be right.
    fn new(stream: &uapi::iostream_stream, page_bytes: usize) -> Result<Self, Error> {
        let page = page_bytes as u64;
        let control_end = stream
            .control_start
            .checked_add(stream.control_bytes.into());
        let fits = u64::from(stream.data_bytes) <= stream.control_start
            && control_end.is_some_and(|end| end <= stream.buffer_stride);
        let whole_pages = stream.buffer_stride % page == 0 && stream.buffers_offset % page == 0;
        if stream.data_bytes == 0 || !fits || !whole_pages || stream.buffers > stream.max_buffers {
            return Err(Error::Mismatch(
                "the device tells of buffers that cannot be",
            ));
        }
        let bytes = |n: u64| {
            usize::try_from(n).map_err(|_| Error::Mismatch("a buffer is larger than a process"))
        };
        Ok(Self {
            data_bytes: bytes(stream.data_bytes.into())?,
            control_bytes: bytes(stream.control_bytes.into())?,
            control_start: bytes(stream.control_start)?,
            stride: bytes(stream.buffer_stride)?,
            offset: stream.buffers_offset,
        })
    }
}

/// The use of one buffer, by whoever has this value. Dropped, the buffer is free; forgotten, it
/// stays lent for ever.
///
/// # Invariants
///
/// As the pool's: there is no other of the same buffer, and the driver does not have it.
pub(crate) struct Lease {
    pool: Arc<Pool>,
    start: Start,
    id: u32,
    then: Place,
}

impl Lease {
    #[inline]
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// The whole data area.
    #[inline]
    pub(crate) fn data(&self) -> &[u8] {
        // SAFETY: By the pool's invariant the data area is mapped and readable; pages were zeroed,
        // so it is initialised. Nobody writes it while the lease lives but through `&mut self`.
        unsafe { std::slice::from_raw_parts(self.start.0.as_ptr(), self.pool.layout.data_bytes) }
    }

    /// The whole data area, to be written; nothing where the process may only read.
    #[inline]
    pub(crate) fn data_mut(&mut self) -> &mut [u8] {
        if !self.pool.writable {
            return &mut [];
        }
        // SAFETY: As in `data`, and writable; `&mut self` makes it the only slice.
        unsafe {
            std::slice::from_raw_parts_mut(self.start.0.as_ptr(), self.pool.layout.data_bytes)
        }
    }

    /// The whole control area.
    #[inline]
    pub(crate) fn control(&self) -> &[u8] {
        let Layout {
            control_start,
            control_bytes,
            ..
        } = self.pool.layout;
        // SAFETY: As in `data`: the layout's control area ends within the stride.
        unsafe {
            std::slice::from_raw_parts(self.start.0.add(control_start).as_ptr(), control_bytes)
        }
    }

    /// The whole control area, to be written; nothing where the process may only read.
    #[inline]
    pub(crate) fn control_mut(&mut self) -> &mut [u8] {
        if !self.pool.writable {
            return &mut [];
        }
        let Layout {
            control_start,
            control_bytes,
            ..
        } = self.pool.layout;
        // SAFETY: As in `data_mut` and `control`; the two areas do not overlap.
        unsafe {
            std::slice::from_raw_parts_mut(self.start.0.add(control_start).as_ptr(), control_bytes)
        }
    }

    /// Ends the lease: from here on the driver has the buffer.
    #[inline]
    pub(crate) fn give_to_driver(mut self) {
        self.then = Place::Driver;
    }
}

impl Drop for Lease {
    #[inline]
    fn drop(&mut self) {
        if let Some(slot) = self.pool.slot(self.id) {
            // ORDERING: pairs with the acquire exchange in `Pool::lend` (litmus: claim).
            slot.place.store(self.then as u8, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::stream_loopback::no_stream;

    fn description() -> uapi::iostream_stream {
        uapi::iostream_stream {
            buffers: 2,
            max_buffers: 4,
            data_bytes: 4000,
            control_bytes: 64,
            control_start: 4032,
            buffer_stride: 4096,
            buffers_offset: 8192,
            ..no_stream()
        }
    }

    #[test]
    fn a_right_description_is_taken() {
        let layout = Layout::new(&description(), 4096).unwrap();
        assert_eq!((layout.data_bytes, layout.control_bytes), (4000, 64));
    }

    #[test]
    fn wrong_descriptions_are_refused() {
        let wrong: [fn(&mut uapi::iostream_stream); 9] = [
            |s| s.data_bytes = 0,
            |s| s.data_bytes = 4033,
            |s| s.data_bytes = u32::MAX,
            |s| s.control_bytes = 65,
            |s| s.control_start = u64::MAX,
            |s| s.buffer_stride = 4097,
            |s| s.buffer_stride = 0,
            |s| s.buffers_offset = 8193,
            |s| s.buffers = 5,
        ];
        for (i, spoil) in wrong.iter().enumerate() {
            let mut stream = description();
            spoil(&mut stream);
            let result = Layout::new(&stream, 4096);
            assert!(matches!(result, Err(Error::Mismatch(_))), "case {i}");
        }
    }
}
