// SPDX-License-Identifier: MIT OR Apache-2.0

//! A queue inside one process, for tests: both ends of this crate over a memfd, without a kernel.

use std::mem::offset_of;
use std::os::fd::AsFd;
use std::ptr::{null_mut, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use iostream_ring::sync::Word;
use iostream_ring::{uapi, Geometry, Layout};
use rustix::fs::{ftruncate, memfd_create, MemfdFlags};
use rustix::io::Errno;
use rustix::mm::{mmap, mmap_anonymous, MapFlags, ProtFlags};

use super::region::Region;
use super::{ConsumerEnd, Device, InfoPage, OverwriteEnd, ProducerEnd, QueueMemory, Role};
use crate::{Consumer, Direction, OverwriteReader, Producer};

/// The calls that would have gone to the kernel.
#[derive(Default)]
pub(crate) struct Seen {
    input: AtomicU64,
    output: AtomicU64,
    resets: AtomicU64,
    /// What IOSTREAM_IOC_STREAM would tell, if there is a stream.
    stream: Mutex<Option<uapi::iostream_stream>>,
    /// The other calls of streams, with their arguments.
    calls: Mutex<Vec<(&'static str, u32)>>,
}

impl Seen {
    pub(super) fn notify(&self, direction: Direction) {
        let counter = match direction {
            Direction::Input => &self.input,
            Direction::Output => &self.output,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn reset(&self) {
        self.resets.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stream(&self) -> Result<uapi::iostream_stream, Errno> {
        self.stream.lock().unwrap().ok_or(Errno::NOTTY)
    }

    pub(super) fn set_stream(&self, stream: uapi::iostream_stream) {
        *self.stream.lock().unwrap() = Some(stream);
    }

    pub(super) fn call(&self, name: &'static str, argument: u32) -> Result<(), Errno> {
        self.calls.lock().unwrap().push((name, argument));
        Ok(())
    }

    pub(super) fn take_calls(&self) -> Vec<(&'static str, u32)> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

/// The shared memory of one queue. Its `poll` always says "ready", as that of a file does.
pub(crate) struct Loopback {
    device: Arc<Device>,
    geometry: Geometry,
    info: Region,
    words: Region,
    overwrite: bool,
    slots: Option<u32>,
}

/// The producing side of an overwriting queue, which in life is in the kernel.
pub(crate) type RawProducer = iostream_ring::Producer<iostream_ring::Mapped>;

impl Loopback {
    pub(crate) fn new(data_bytes: u64, overwrite: bool) -> Self {
        let fd = memfd_create("iostream-test", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&fd, 3 * page() as u64 + data_bytes).unwrap();
        let mut device = Device::new(fd);
        device.loopback = Some(Seen::default());
        let info = Region::map(&device, 0, page(), true).unwrap();
        let words = Region::map(&device, page() as u64, 2 * page(), true).unwrap();
        let loopback = Self {
            geometry: Geometry::from_description(data_bytes, data_bytes as u32 - 8).unwrap(),
            device: Arc::new(device),
            info,
            words,
            overwrite,
            slots: None,
        };
        store(
            &loopback.info,
            offset_of!(uapi::iostream_info, generation),
            1,
        );
        loopback
    }

    /// As [`Self::new`], of entries without headers.
    pub(crate) fn of_slots<L: Layout>(data_bytes: u64) -> Self {
        Self {
            slots: L::FIXED,
            ..Self::new(data_bytes, false)
        }
    }

    /// Both ends of a queue that loses nothing. Once.
    pub(crate) fn pair<L: Layout>(&self) -> (Producer<L>, Consumer<L>) {
        let producer = ProducerEnd::new(self.memory(Role::Producer)).unwrap();
        let consumer = ConsumerEnd::new(self.memory(Role::Consumer)).unwrap();
        (
            Producer::new(self.device.clone(), producer).unwrap(),
            Consumer::new(self.device.clone(), consumer).unwrap(),
        )
    }

    /// Both ends of a queue that overwrites. Once; the producer goes first.
    pub(crate) fn overwriting(&self) -> (OverwritingProducer, OverwriteReader) {
        let memory = self.memory(Role::Producer);
        // SAFETY: The memory is zeroed and is kept beside the ring; the other side overwrites, too.
        let ring = unsafe { RawProducer::new(memory.mapped(), self.geometry, true) };
        let reader = OverwriteEnd::new(self.memory(Role::Consumer)).unwrap();
        (
            OverwritingProducer {
                ring,
                _memory: memory,
            },
            OverwriteReader::new(self.device.clone(), reader),
        )
    }

    /// What IOSTREAM_IOC_RESET does: positions zero, generation raised.
    pub(crate) fn reset(&self) {
        for at in (0..2 * page()).step_by(8) {
            store(&self.words, at, 0);
        }
        let at = offset_of!(uapi::iostream_info, generation);
        store(&self.info, at, load(&self.info, at) + 1);
    }

    /// What the driver's going does.
    pub(crate) fn go(&self) {
        store(&self.info, offset_of!(uapi::iostream_info, gone), 1);
    }

    /// Where the producer is.
    pub(crate) fn producer_pos(&self) -> u64 {
        load(&self.words, 0)
    }

    /// Stores what an honest producer never would.
    pub(crate) fn spoil_producer_pos(&self, value: u64) {
        store(&self.words, 0, value);
    }

    /// Notifications so far: of the input direction, of the output direction.
    pub(crate) fn notified(&self) -> (u64, u64) {
        let seen = self.device.loopback.as_ref().unwrap();
        (
            seen.input.load(Ordering::Relaxed),
            seen.output.load(Ordering::Relaxed),
        )
    }

    pub(crate) fn calls(&self) -> u64 {
        self.device.calls()
    }

    fn memory(&self, role: Role) -> QueueMemory {
        let map = |page_index: usize| {
            Region::map(&self.device, (page_index * page()) as u64, page(), true).unwrap()
        };
        // SAFETY: All areas are of one memfd, laid out for this geometry, and mapped with more
        // rights than the role needs; `pair` and `overwriting` are called once.
        unsafe {
            QueueMemory::from_regions(
                InfoPage::new(map(0)),
                [map(1), map(2), self.map_data_twice()],
                self.geometry,
                (self.overwrite, self.slots),
                role,
            )
        }
    }

    fn map_data_twice(&self) -> Region {
        let bytes = self.geometry.data_bytes() as usize;
        let rights = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: No address is asked for; the two halves then replace what was just mapped.
        unsafe {
            let none = ProtFlags::empty();
            let start = mmap_anonymous(null_mut(), 2 * bytes, none, MapFlags::PRIVATE).unwrap();
            for half in [start, start.byte_add(bytes)] {
                mmap(
                    half,
                    bytes,
                    rights,
                    MapFlags::SHARED | MapFlags::FIXED,
                    self.device.as_fd(),
                    3 * page() as u64,
                )
                .unwrap();
            }
            Region::from_raw(NonNull::new(start).unwrap(), 2 * bytes)
        }
    }
}

/// A ring's producer together with its memory.
pub(crate) struct OverwritingProducer {
    ring: RawProducer,
    _memory: QueueMemory,
}

impl OverwritingProducer {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.ring.push(bytes).unwrap();
        self.ring.publish();
    }
}

pub(super) fn page() -> usize {
    rustix::param::page_size()
}

fn word(region: &Region, offset: usize) -> &Word {
    // SAFETY: The tests' offsets are multiples of 8 within the regions, which hold words.
    unsafe { region.start::<u8>().byte_add(offset).cast().as_ref() }
}

pub(super) fn store(region: &Region, offset: usize, value: u64) {
    word(region, offset).store_release(value);
}

fn load(region: &Region, offset: usize) -> u64 {
    word(region, offset).load_acquire()
}
