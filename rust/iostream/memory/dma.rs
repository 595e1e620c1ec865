// SPDX-License-Identifier: GPL-2.0

//! Buffers that a device reads and writes: their data areas, mapped for it.
//!
//! # When
//!
//! A buffer is mapped when it joins a session, and unmapped when the session's memory goes, or when
//! the registration is dropped, whatever comes first: a driver that drops it before its device is
//! unbound leaves nothing mapped. By then the driver's `stop` has returned, so the device is quiet.
//! The pages live on, as those of any buffer.
//!
//! # Who may touch the memory
//!
//! While the driver has a buffer, free or as a [`Buffer`](crate::ends::stream::Buffer), its data are the device's;
//! while the client has it, the processor's. So every change of owner synchronises: see the callers
//! of [`Mapping::sync`] in `pool.rs`. A driver that looks at the data itself synchronises, too.

use core::ptr::NonNull;

use kernel::{
    bindings as c,
    device::{Bound, Device},
    dma::{DataDirection, DmaAddress},
    error::to_result,
    page::PAGE_SIZE,
    prelude::*,
    scatterlist::SGTable,
    sync::{
        aref::ARef,
        atomic::{Atomic, Relaxed},
        new_mutex, rcu, Arc, Mutex,
    },
    types::Opaque,
};

use super::pages::SharedPages;
use crate::bindings::{self, raw_device};

/// A run of a buffer's data as its device sees it.
#[derive(Clone, Copy, Debug)]
pub struct DmaSegment {
    /// Where it begins, for the device.
    pub address: DmaAddress,
    /// Its length in bytes.
    pub len: usize,
}

/// Who is to use the memory next.
#[derive(Clone, Copy)]
pub(crate) enum SyncFor {
    Device,
    Processor,
}

/// What the kernel knows of one buffer's mapping. Boxed: others point at it.
type Table = KBox<Opaque<c::sg_table>>;

/// All mappings for one device.
struct Mappings {
    device: ARef<Device>,
    tables: KVVec<Option<Table>>,
    /// Keys of `tables` that are free; has room for all of them.
    free: KVVec<usize>,
}

/// The device that a stream's buffers are mapped for, until the registration is dropped.
///
/// # Invariants
///
/// While `live`, and for a grace period after it, `raw` is a device that is bound to its driver and
/// every table of a [`Mapping`] is mapped.
#[pin_data]
pub(crate) struct DmaDevice {
    raw: *mut c::device,
    direction: DataDirection,
    live: Atomic<u32>,
    #[pin]
    mappings: Mutex<Option<Mappings>>,
}

// SAFETY: The device has locks of its own.
unsafe impl Send for DmaDevice {}
// SAFETY: As above.
unsafe impl Sync for DmaDevice {}

impl DmaDevice {
    /// A device to map buffers for.
    ///
    /// # Errors
    ///
    /// `EIO`: the device does not reach all memory; `ENOMEM`.
    pub(crate) fn new(device: &Device<Bound>, direction: DataDirection) -> Result<Arc<Self>> {
        let device: &Device = device;
        // SAFETY: The device is there, and bound.
        if unsafe { bindings::iostream_dma_limited(raw_device(device)) } {
            return Err(EIO);
        }
        // INVARIANT: The caller shows that it is bound; nothing is mapped yet.
        Arc::pin_init(
            pin_init!(Self {
                raw: raw_device(device),
                direction,
                live: Atomic::new(1),
                mappings <- new_mutex!(Some(Mappings {
                    device: device.into(),
                    tables: KVVec::new(),
                    free: KVVec::new(),
                }), "iostream_dma"),
            }),
            GFP_KERNEL,
        )
    }

    /// Unmaps all there is, and maps nothing from here on. Sleeps.
    pub(crate) fn close(&self) {
        let mut mappings = self.mappings.lock();
        if mappings.is_none() {
            return;
        }
        self.live.store(0, Relaxed);
        // ORDERING: the grace period pairs with the section in `Mapping::sync` (litmus: retire).
        rcu::synchronize_rcu();
        // Under the lock: a buffer that goes meanwhile keeps its pages until it is unmapped.
        if let Some(mut gone) = mappings.take() {
            for table in gone.tables.iter_mut().filter_map(Option::take) {
                self.unmap(&gone.device, table);
            }
        }
    }

    fn unmap(&self, device: &Device, table: Table) {
        // SAFETY: The table was mapped for this device, and nobody uses it any more.
        unsafe {
            bindings::iostream_dma_unmap(raw_device(device), table.get(), self.direction.into())
        };
    }
}

/// One buffer's data, mapped until dropped or until the device's driver is gone.
///
/// # Invariants
///
/// `table` is the table of `key`, mapped as long as `device` is live.
pub(crate) struct Mapping {
    device: Arc<DmaDevice>,
    key: usize,
    table: NonNull<c::sg_table>,
    segments: KVVec<DmaSegment>,
}

// SAFETY: The table is used as `DmaDevice` says, from any thread.
unsafe impl Send for Mapping {}
// SAFETY: As above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `bytes` of `pages`.
    ///
    /// # Errors
    ///
    /// `ENODEV`: the driver is gone; `EIO`: the device does not reach the memory; `ENOMEM`.
    pub(crate) fn new(device: &Arc<DmaDevice>, pages: &SharedPages, bytes: usize) -> Result<Self> {
        let mut guard = device.mappings.lock();
        let mappings = (*guard).as_mut().ok_or(ENODEV)?;
        let key = match mappings.free.pop() {
            Some(key) => key,
            None => {
                let key = mappings.tables.len();
                // So that giving a key back never fails.
                mappings.free.reserve(key + 1, GFP_KERNEL)?;
                mappings.tables.push(None, GFP_KERNEL)?;
                key
            }
        };
        match Self::map(device, mappings, pages, bytes) {
            Ok((table, segments)) => {
                let raw = table.get();
                mappings.tables[key] = Some(table);
                Ok(Self {
                    device: device.clone(),
                    key,
                    // INVARIANT: It stays there until `key` is given back.
                    // SAFETY: A box is not null.
                    table: unsafe { NonNull::new_unchecked(raw) },
                    segments,
                })
            }
            Err(error) => {
                let _ = mappings.free.push_within_capacity(key);
                Err(error)
            }
        }
    }

    fn map(
        device: &DmaDevice,
        mappings: &Mappings,
        pages: &SharedPages,
        bytes: usize,
    ) -> Result<(Table, KVVec<DmaSegment>)> {
        let table = KBox::new(Opaque::<c::sg_table>::zeroed(), GFP_KERNEL)?;
        let list = pages
            .as_raw()
            .get(..bytes.div_ceil(PAGE_SIZE))
            .ok_or(EINVAL)?;
        // SAFETY: The device is bound, since its driver is not gone; the pages are as many, and
        // outlive the mapping.
        to_result(unsafe {
            bindings::iostream_dma_map(
                device.raw,
                table.get(),
                list.as_ptr().cast_mut(),
                list.len() as u32,
                bytes,
                device.direction.into(),
            )
        })?;
        // SAFETY: It was filled and mapped right above.
        let segments = segments(unsafe { SGTable::from_raw(table.get()) });
        match segments {
            Ok(segments) => Ok((table, segments)),
            Err(error) => {
                device.unmap(&mappings.device, table);
                Err(error)
            }
        }
    }

    /// Where the data are for the device: nowhere once its driver is gone.
    pub(crate) fn segments(&self) -> &[DmaSegment] {
        match self.device.live.load(Relaxed) {
            0 => &[],
            _ => &self.segments,
        }
    }

    /// Makes the data ready for who uses them next. Any context.
    pub(crate) fn sync(&self, next: SyncFor) {
        let _rcu = rcu::read_lock();
        // ORDERING: pairs with the grace period in `DmaDevice::close`, which waits for this section
        // (litmus: retire).
        if self.device.live.load(Relaxed) == 0 {
            return;
        }
        let (device, table) = (self.device.raw, self.table.as_ptr());
        let direction = self.device.direction.into();
        // SAFETY: Both are there and mapped, since the device is live and this is a section.
        unsafe {
            match next {
                SyncFor::Device => bindings::iostream_dma_sync_for_device(device, table, direction),
                SyncFor::Processor => bindings::iostream_dma_sync_for_cpu(device, table, direction),
            }
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let mut guard = self.device.mappings.lock();
        // Else all was unmapped already.
        let Some(mappings) = (*guard).as_mut() else {
            return;
        };
        if let Some(table) = mappings.tables[self.key].take() {
            self.device.unmap(&mappings.device, table);
        }
        let _ = mappings.free.push_within_capacity(self.key);
    }
}

fn segments(table: &SGTable) -> Result<KVVec<DmaSegment>> {
    let mut segments = KVVec::new();
    for entry in table.iter() {
        let segment = DmaSegment {
            address: entry.dma_address(),
            len: entry.dma_len() as usize,
        };
        segments.push(segment, GFP_KERNEL)?;
    }
    Ok(segments)
}
