// SPDX-License-Identifier: MIT OR Apache-2.0

//! The buffers of a stream: where they are mapped, and where each of them is.

use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use iostream_ring::uapi;
use rustix::io::Errno;

use super::lent::Lent;
use super::owner::Owner;
use super::region::Region;
use super::Device;
use crate::lock::lock;
use crate::Error;

/// Where a buffer is, as far as this process knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Place {
    /// With the driver, or queued on the way there or back. Nobody in this process may touch it.
    Driver,
    /// With the client, and unused.
    Unused,
    /// With the client, and in use: there is a [`Lease`] of it, or one was forgotten.
    InUse,
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

// SAFETY: A mapping is not tied to a thread, and the value is only an address: what uses the bytes
// has a lease.
unsafe impl Send for Start {}
// SAFETY: The value is only an address.
unsafe impl Sync for Start {}

struct Slot {
    place: AtomicU8,
    start: OnceLock<Start>,
}

/// The buffers of one mapping that are in use.
struct LentBuffers {
    slots: Arc<[Slot]>,
    /// The ids of the buffers in the mapping, in the order in which they lie there.
    ids: Range<u32>,
    stride: usize,
}

impl Lent for LentBuffers {
    fn for_each(&self, visit: &mut dyn FnMut(Range<usize>)) {
        for (i, id) in self.ids.clone().enumerate() {
            let place = &self.slots[id as usize].place;
            // Only a fork by the very thread that has the lease can find a slice of the buffer.
            if place.load(Ordering::Relaxed) == Place::InUse as u8 {
                visit(i * self.stride..(i + 1) * self.stride);
            }
        }
    }
}

/// The buffers mapped so far.
struct Mapped {
    regions: Vec<Region>,
    count: u32,
}

/// All buffers of a session.
///
/// # Invariants
///
/// - A slot's `start` is the start of `stride` bytes that stay mapped while the pool lives. They
///   are readable, and writable if `writable`. This process uses no other mapping of them.
/// - There is at most one [`Lease`] of a buffer, and only while its place is `InUse`.
/// - A buffer's place is `Driver` from before the kernel can see its descriptor until a descriptor
///   of it comes back. At other times the kernel, which is trusted in this, does not write it.
pub(crate) struct Pool {
    layout: Layout,
    writable: bool,
    slots: Arc<[Slot]>,
    mapped: Mutex<Mapped>,
    owner: Owner,
}

impl Pool {
    /// Maps all buffers of a session. All of them start with the driver.
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
        let owner = Owner::this_process().map_err(|errno| Error::of_call("madvise", errno))?;
        let pool = Self {
            owner,
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

    /// Maps the buffers that the driver has added. Returns their ids.
    pub(crate) fn extend(
        &self,
        device: &Device,
        stream: &uapi::iostream_stream,
    ) -> Result<Range<u32>, Error> {
        let mut mapped = lock(&self.mapped);
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
        let bytes = stride.checked_mul(added.len()).ok_or(too_large)?;
        let offset = (stride as u64)
            .checked_mul(u64::from(added.start))
            .and_then(|bytes| offset.checked_add(bytes))
            .ok_or(too_large)?;
        let lent = LentBuffers {
            slots: self.slots.clone(),
            ids: added.clone(),
            stride,
        };
        let lent = Some(Arc::new(lent) as Arc<_>);
        let region = Region::map_lending(device, offset, bytes, self.writable, lent);
        let region = region.map_err(|errno| match errno {
            Errno::BUSY => {
                Error::Busy("the buffers were taken before: they can be taken once in a session")
            }
            errno => Error::of_device_call("mmap", errno),
        })?;
        let start = region.start::<u8>();
        for (i, id) in added.clone().enumerate() {
            // SAFETY: Within the region, which has `stride` bytes for each added buffer.
            let start = Start(unsafe { start.add(i * stride) });
            // INVARIANT: Just mapped, and kept below. The kernel allows one writable mapping.
            // Nobody sets a start twice: the lock is held, and the count grows.
            let _ = self.slots[id as usize].start.set(start);
        }
        mapped.regions.push(region);
        mapped.count = stream.buffers;
        Ok(added)
    }

    /// Fails in a child of the process that mapped the buffers.
    #[inline]
    pub(crate) fn check_owner(&self) -> Result<(), Error> {
        if self.owner.is_this_process() {
            Ok(())
        } else {
            Err(Error::Forked)
        }
    }

    /// How many buffers are mapped.
    pub(crate) fn count(&self) -> u32 {
        // Not behind the lock, which another thread may have held during a fork.
        let mapped = self
            .slots
            .iter()
            .take_while(|slot| slot.start.get().is_some());
        mapped.count() as u32
    }

    pub(crate) fn data_bytes(&self) -> usize {
        self.layout.data_bytes
    }

    pub(crate) fn control_bytes(&self) -> usize {
        self.layout.control_bytes
    }

    /// Whether a buffer with this id is mapped.
    pub(crate) fn has(&self, id: u32) -> bool {
        self.slot(id).is_some_and(|slot| slot.start.get().is_some())
    }

    /// Starts the use of a buffer whose place is `from`. Returns `None` if it is elsewhere.
    #[inline]
    pub(crate) fn lend(self: &Arc<Self>, id: u32, from: Place) -> Option<Lease> {
        let slot = self.slot(id)?;
        let start = slot.start.get()?;
        // ORDERING: pairs with the release store in `Lease::drop`: the previous lease no longer
        // uses the bytes (litmus: claim).
        slot.place
            .compare_exchange(
                from as u8,
                Place::InUse as u8,
                Ordering::Acquire,
                Ordering::Relaxed,
            )
            .ok()?;
        // INVARIANT: The exchange succeeds for one caller alone.
        Some(Lease {
            pool: self.clone(),
            start: *start,
            id,
            then: Place::Unused,
        })
    }

    /// Takes a buffer from the driver without using it. Returns whether it was with the driver.
    pub(crate) fn take_unused(self: &Arc<Self>, id: u32) -> bool {
        // The lease is dropped immediately, which leaves the buffer unused.
        self.lend(id, Place::Driver).is_some()
    }

    fn slot(&self, id: u32) -> Option<&Slot> {
        self.slots.get(usize::try_from(id).ok()?)
    }
}

impl Layout {
    /// Checks the device's description.
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
                "the device describes its buffers wrongly: they overlap, or are not whole pages",
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

/// The right to use one buffer.
///
/// When the lease is dropped, the buffer becomes unused. If it is forgotten, the buffer stays in
/// use for the rest of the session.
///
/// # Invariants
///
/// The buffer's place is `InUse`, and there is no other lease of it.
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
        // SAFETY: By the pool's invariant the data area is mapped and readable. Its pages were
        // zeroed, so it is initialised. While the lease lives, only `&mut self` gives write access.
        unsafe { std::slice::from_raw_parts(self.start.0.as_ptr(), self.pool.layout.data_bytes) }
    }

    /// The whole data area, to be written; empty if this process may only read it.
    #[inline]
    pub(crate) fn data_mut(&mut self) -> &mut [u8] {
        if !self.pool.writable {
            return &mut [];
        }
        // SAFETY: By the pool's invariant the data area is mapped, initialised and writable, and
        // `&mut self` makes this the only slice of it.
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
        // SAFETY: By the pool's invariant the control area, which ends within the stride, is mapped
        // and readable. While the lease lives, only `&mut self` gives write access.
        unsafe {
            std::slice::from_raw_parts(self.start.0.add(control_start).as_ptr(), control_bytes)
        }
    }

    /// The whole control area, to be written; empty if this process may only read it.
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
        // SAFETY: By the pool's invariant the control area is mapped, initialised and writable. It
        // does not overlap the data area, and `&mut self` makes this the only slice of it.
        unsafe {
            std::slice::from_raw_parts_mut(self.start.0.add(control_start).as_ptr(), control_bytes)
        }
    }

    /// Ends the lease: from here on the buffer is with the driver.
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
