// SPDX-License-Identifier: GPL-2.0

//! The DMA mappings of buffers: a device reads and writes their data areas.
//!
//! # Lifetime
//!
//! A buffer is mapped when it joins a session. It is unmapped when the session's memory is freed,
//! when the registration is dropped, or when the device is unbound, whichever comes first. By then
//! the driver's `stop` has returned, and the device is quiet. The pages live on like those of any
//! buffer.
//!
//! # Ownership
//!
//! While a buffer is free or held by the driver, its data belong to the device. While it is with
//! the client or queued, they belong to the processor. Each change between the two synchronises the
//! data: see the callers of [`Mapping::sync`] in `pool.rs`. A driver that accesses the data itself
//! has to synchronise as well.

pub(crate) mod binding;

use core::{mem::take, ptr::NonNull};

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
use crate::{
    bindings::{self, raw_device},
    sync::{race::race_point, registered::Registered},
};

/// A part of a buffer's data that is contiguous for its device.
#[derive(Clone, Copy, Debug)]
pub struct DmaSegment {
    /// The address at which the device finds it.
    pub address: DmaAddress,
    /// The length in bytes.
    pub len: usize,
}

/// The next user of the data.
#[derive(Clone, Copy)]
pub(crate) enum SyncFor {
    Device,
    Processor,
}

/// The scatter-gather table of one buffer. It is boxed because its [`Mapping`] points to it.
type Table = KBox<Opaque<c::sg_table>>;

/// All mappings for one device.
struct Mappings {
    device: ARef<Device>,
    /// The tables by the key of their [`Mapping`].
    tables: KVVec<Option<Table>>,
    /// The unused keys. Has capacity for all keys.
    free: KVVec<usize>,
}

/// What ends when the device is unbound.
#[derive(Default)]
struct AtUnbind {
    /// Set once the device is being unbound.
    is_unbound: bool,
    /// The registration whose driver uses the device.
    registered: Option<Arc<dyn Registered>>,
}

/// The device for which a stream's buffers are mapped, until the registration is dropped.
///
/// # Invariants
///
/// While `live` is set, and for an RCU grace period after it was cleared, the device `raw` is bound
/// to its driver and the table of every [`Mapping`] is mapped.
#[pin_data]
pub(crate) struct DmaDevice {
    raw: *mut c::device,
    direction: DataDirection,
    live: Atomic<u32>,
    #[pin]
    mappings: Mutex<Option<Mappings>>,
    #[pin]
    at_unbind: Mutex<AtUnbind>,
}

// SAFETY: A `struct device` may be used from any thread; the other fields are `Send`.
unsafe impl Send for DmaDevice {}
// SAFETY: The DMA API may be called for a device from several threads; `mappings` has a lock.
unsafe impl Sync for DmaDevice {}

impl DmaDevice {
    /// Prepares for mapping buffers for `device`.
    ///
    /// # Errors
    ///
    /// `EIO`: the device cannot address all memory; `ENOMEM`.
    fn new(device: &Device<Bound>, direction: DataDirection) -> Result<Arc<Self>> {
        let device: &Device = device;
        // SAFETY: `device` is a valid device, and bound.
        if unsafe { bindings::iostream_dma_limited(raw_device(device)) } {
            return Err(EIO);
        }
        // INVARIANT: The type of the argument shows that the device is bound. Nothing is mapped
        // yet.
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
                at_unbind <- new_mutex!(AtUnbind::default(), "iostream_unbind"),
            }),
            GFP_KERNEL,
        )
    }

    /// Ends `registered` when the device is unbound, unless [`Self::close`] comes first.
    ///
    /// # Errors
    ///
    /// `ENODEV`: the device is being unbound.
    pub(crate) fn end_at_unbind(&self, registered: Arc<dyn Registered>) -> Result {
        let mut at_unbind = self.at_unbind.lock();
        if at_unbind.is_unbound {
            return Err(ENODEV);
        }
        at_unbind.registered = Some(registered);
        Ok(())
    }

    /// The device is being unbound: ends the registration that uses it, which stops the device, and
    /// then unmaps all buffers. Sleeps.
    fn unbound(&self) {
        let registered = {
            let mut at_unbind = self.at_unbind.lock();
            at_unbind.is_unbound = true;
            at_unbind.registered.take()
        };
        race_point!("dma-unbound");
        if let Some(registered) = registered {
            registered.end_with_device();
        }
        self.close();
    }

    /// Unmaps all buffers, and refuses to map any from here on. Sleeps.
    pub(crate) fn close(&self) {
        let registered = take(&mut self.at_unbind.lock().registered);
        drop(registered);
        let mut mappings = self.mappings.lock();
        if mappings.is_none() {
            return;
        }
        self.live.store(0, Relaxed);
        race_point!("dma-closing");
        // ORDERING: the grace period pairs with the read-side section in `Mapping::sync`
        // (litmus: unmap).
        rcu::synchronize_rcu();
        race_point!("dma-closed");
        // The lock is still held: a buffer that is dropped meanwhile waits for it, and so keeps its
        // pages until they are unmapped.
        if let Some(mut gone) = mappings.take() {
            for table in gone.tables.iter_mut().filter_map(Option::take) {
                self.unmap(&gone.device, table);
            }
        }
    }

    /// Unmaps and frees a table.
    fn unmap(&self, device: &Device, table: Table) {
        // SAFETY: The table was mapped for this device. It was taken out of `tables` or never put
        // there, so nothing else uses it or will use it.
        unsafe {
            bindings::iostream_dma_unmap(raw_device(device), table.get(), self.direction.into())
        };
    }
}

/// The mapping of one buffer's data. It lasts until this is dropped or the [`DmaDevice`] is closed.
///
/// # Invariants
///
/// `table` points to the table of `key`, which is mapped as long as `device` is live.
pub(crate) struct Mapping {
    device: Arc<DmaDevice>,
    key: usize,
    table: NonNull<c::sg_table>,
    segments: KVVec<DmaSegment>,
}

// SAFETY: A table may be used from any thread, as long as it is mapped.
unsafe impl Send for Mapping {}
// SAFETY: The DMA API only reads the table in `sync`; no method changes the other fields.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `bytes` of `pages` for a device.
    ///
    /// # Errors
    ///
    /// `ENODEV`: the driver is gone; `EIO`: the device cannot address the memory; `ENOMEM`.
    pub(crate) fn new(device: &Arc<DmaDevice>, pages: &SharedPages, bytes: usize) -> Result<Self> {
        race_point!("dma-maps");
        let mut guard = device.mappings.lock();
        let mappings = (*guard).as_mut().ok_or(ENODEV)?;
        let key = match mappings.free.pop() {
            Some(key) => key,
            None => {
                let key = mappings.tables.len();
                // Room for all keys, so that returning a key cannot fail.
                mappings.free.reserve(key + 1, GFP_KERNEL)?;
                mappings.tables.push(None, GFP_KERNEL)?;
                key
            }
        };
        match Self::map(device, mappings, pages, bytes) {
            Ok((table, segments)) => {
                let raw = table.get();
                mappings.tables[key] = Some(table);
                race_point!("dma-mapped");
                Ok(Self {
                    device: device.clone(),
                    key,
                    // INVARIANT: The boxed table stays at its address until `key` is returned.
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

    /// Makes and maps a table, and lists its segments.
    fn map(
        device: &DmaDevice,
        mappings: &Mappings,
        pages: &SharedPages,
        bytes: usize,
    ) -> Result<(Table, KVVec<DmaSegment>)> {
        let table = KBox::new(Opaque::<c::sg_table>::zeroed(), GFP_KERNEL_ACCOUNT)?;
        let list = pages
            .as_raw()
            .get(..bytes.div_ceil(PAGE_SIZE))
            .ok_or(EINVAL)?;
        // SAFETY: `mappings` exists, so the device is live and therefore bound. `list` holds as
        // many valid pages as its length says, and the owner of `pages` keeps them while they are
        // mapped.
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
        // SAFETY: The table was filled and mapped right above.
        let segments = segments(unsafe { SGTable::from_raw(table.get()) });
        match segments {
            Ok(segments) => Ok((table, segments)),
            Err(error) => {
                device.unmap(&mappings.device, table);
                Err(error)
            }
        }
    }

    /// The data as the device sees them; none once the driver is gone.
    pub(crate) fn segments(&self) -> &[DmaSegment] {
        if self.device.live.load(Relaxed) == 0 {
            return &[];
        }
        &self.segments
    }

    /// Synchronises the data for their next user. Any context.
    pub(crate) fn sync(&self, next: SyncFor) {
        let _rcu = rcu::read_lock();
        // ORDERING: pairs with the grace period in `DmaDevice::close`, which waits for the end of
        // this section (litmus: unmap).
        if self.device.live.load(Relaxed) == 0 {
            return;
        }
        race_point!("dma-syncs");
        let (device, table) = (self.device.raw, self.table.as_ptr());
        let direction = self.device.direction.into();
        // SAFETY: `live` was set, and this RCU read-side section delays the grace period in
        // `close`. So by the invariants the device is bound and the table is mapped.
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
        race_point!("dma-unmaps");
        let mut guard = self.device.mappings.lock();
        // Without mappings the device was closed, and `close` has unmapped the table.
        let Some(mappings) = (*guard).as_mut() else {
            return;
        };
        if let Some(table) = mappings.tables[self.key].take() {
            self.device.unmap(&mappings.device, table);
        }
        let _ = mappings.free.push_within_capacity(self.key);
    }
}

/// Lists the segments of a mapped table.
fn segments(table: &SGTable) -> Result<KVVec<DmaSegment>> {
    let mut segments = KVVec::new();
    for entry in table.iter() {
        let segment = DmaSegment {
            address: entry.dma_address(),
            len: entry.dma_len() as usize,
        };
        segments.push(segment, GFP_KERNEL_ACCOUNT)?;
    }
    Ok(segments)
}
