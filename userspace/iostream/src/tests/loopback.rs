// SPDX-License-Identifier: MIT OR Apache-2.0

//! A queue inside one process: both of this crate's ends over a memfd, without a kernel.

#![allow(
    unsafe_code,
    reason = "the tests answer system calls in the kernel's place"
)]

use std::ffi::c_void;
use std::mem::offset_of;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use iostream_ring::uapi::{self, iostream_info, iostream_queue};
use iostream_ring::{Geometry, Layout, Mapped};
use rustix::io::Errno;
use rustix::ioctl::{IoctlOutput, Opcode};

use super::memfd::{map, map_twice, page, Memfd};
use crate::incoming::Incoming;
use crate::outgoing::Outgoing;
use crate::sys::calls::Calls;
use crate::sys::{ConsumerEnd, Device, OverwriteEnd, ProducerEnd, QueueKind, QueueMemory, Role};
use crate::{Consumer, OverwriteReader, Producer};

const QUEUE: Opcode = uapi::IOSTREAM_IOC_QUEUE as Opcode;
const NOTIFY: Opcode = uapi::IOSTREAM_IOC_NOTIFY as Opcode;
const RESET: Opcode = uapi::IOSTREAM_IOC_RESET as Opcode;

/// The kernel's side of one queue: its memory, and the notifications it got.
///
/// The memory is laid out as the kernel does it: info page, producer's page, consumer's page, data.
struct Kernel {
    memfd: Memfd,
    flags: u32,
    data_bytes: u64,
    max_entry_bytes: u32,
    input: AtomicU64,
    output: AtomicU64,
}

impl Kernel {
    fn new(flags: u32, data_bytes: u64, max_entry_bytes: u32) -> Self {
        let kernel = Self {
            memfd: Memfd::new(3 * page() + data_bytes as usize),
            flags,
            data_bytes,
            max_entry_bytes,
            input: AtomicU64::new(0),
            output: AtomicU64::new(0),
        };
        let (low, high) = (uapi::IOSTREAM_MAGIC_LOW, uapi::IOSTREAM_MAGIC_HIGH);
        kernel.store_halves(offset_of!(iostream_info, magic_low), low, high);
        let version = uapi::IOSTREAM_VERSION;
        kernel.store_halves(offset_of!(iostream_info, version), version, flags);
        let at = offset_of!(iostream_info, data_bytes);
        kernel.memfd.store(at, data_bytes);
        kernel.memfd.store(offset_of!(iostream_info, generation), 1);
        kernel
    }

    /// Stores two fields of 32 bits that share a word.
    fn store_halves(&self, offset: usize, first: u32, second: u32) {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&first.to_ne_bytes());
        bytes[4..].copy_from_slice(&second.to_ne_bytes());
        self.memfd.store(offset, u64::from_ne_bytes(bytes));
    }

    /// Describes the queue. Both of the crate's ends use it, so it lies in either direction.
    fn describe(&self, direction: u32) -> iostream_queue {
        let at = offset_of!(iostream_info, max_entry_bytes);
        self.store_halves(at, self.max_entry_bytes, direction);
        iostream_queue {
            direction,
            flags: self.flags,
            data_bytes: self.data_bytes,
            max_entry_bytes: self.max_entry_bytes,
            page_bytes: page() as u32,
            generation: self.memfd.load(offset_of!(iostream_info, generation)),
            info_offset: 0,
            producer_offset: page() as u64,
            consumer_offset: 2 * page() as u64,
            data_offset: 3 * page() as u64,
            ..Default::default()
        }
    }
}

// SAFETY: `ioctl` writes what iostream.h says for QUEUE, and NOTIFY and RESET write nothing; `map`
// maps a memfd, at an address that is not in use.
unsafe impl Calls for Arc<Kernel> {
    unsafe fn ioctl(
        &self,
        _fd: BorrowedFd<'_>,
        request: Opcode,
        argument: *mut c_void,
    ) -> Result<IoctlOutput, Errno> {
        match request {
            QUEUE => {
                let queue = argument.cast::<iostream_queue>();
                // SAFETY: The caller passes the argument of this request.
                unsafe { *queue = self.describe((*queue).direction) };
            }
            NOTIFY => {
                let direction = argument as usize as u32 & !uapi::IOSTREAM_NOTIFY_FLUSH;
                let counter = match direction {
                    uapi::IOSTREAM_INPUT => &self.input,
                    _ => &self.output,
                };
                counter.fetch_add(1, Ordering::Relaxed);
            }
            RESET => {}
            _ => return Err(Errno::NOTTY),
        }
        Ok(0)
    }

    fn map(
        &self,
        _fd: BorrowedFd<'_>,
        offset: u64,
        bytes: usize,
        writable: bool,
    ) -> Result<NonNull<c_void>, Errno> {
        // Not the device's descriptor, which may be one that is there to be polled.
        let memfd = self.memfd.fd();
        let fd = memfd.as_fd();
        if offset == 3 * page() as u64 {
            return map_twice(fd, offset, bytes / 2, writable);
        }
        map(fd, offset, bytes, writable)
    }
}

/// A queue whose other side is this process. Its `poll` always says "ready", as that of a file
/// does.
pub(crate) struct Loopback {
    kernel: Arc<Kernel>,
    device: Arc<Device>,
}

impl Loopback {
    pub(crate) fn new(data_bytes: u64, overwrite: bool) -> Self {
        let flags = if overwrite {
            uapi::IOSTREAM_QUEUE_OVERWRITE
        } else {
            0
        };
        Self::over(Kernel::new(flags, data_bytes, data_bytes as u32 - 8))
    }

    /// A queue of entries without headers.
    pub(crate) fn of_slots<L: Layout>(data_bytes: u64) -> Self {
        let entry_bytes = L::FIXED.unwrap();
        Self::over(Kernel::new(
            uapi::IOSTREAM_QUEUE_SLOTS,
            data_bytes,
            entry_bytes,
        ))
    }

    fn over(kernel: Kernel) -> Self {
        let kernel = Arc::new(kernel);
        let device = Device::with_calls(kernel.memfd.fd(), Box::new(kernel.clone()));
        Self {
            kernel,
            device: Arc::new(device),
        }
    }

    /// The same queue, of which poll says what it says of `fd`.
    pub(crate) fn polled(self, fd: OwnedFd) -> Self {
        let device = Device::with_calls(fd, Box::new(self.kernel.clone()));
        Self {
            kernel: self.kernel,
            device: Arc::new(device),
        }
    }

    /// Both ends of a queue that loses nothing. Once.
    pub(crate) fn pair(&self) -> (Producer, Consumer) {
        let (producer, consumer) = self.ends(QueueKind::Lossless);
        (
            Producer::new(self.device.clone(), producer).unwrap(),
            Consumer::new(self.device.clone(), consumer).unwrap(),
        )
    }

    /// Both ends of a queue of entries without headers. Once.
    pub(crate) fn pair_of_slots<L: Layout>(&self) -> (Outgoing<L>, Incoming<L>) {
        let (producer, consumer) = self.ends(QueueKind::Slots);
        (
            Outgoing::new(self.device.clone(), producer).unwrap(),
            Incoming::new(self.device.clone(), consumer).unwrap(),
        )
    }

    fn ends<L: Layout>(&self, kind: QueueKind) -> (ProducerEnd<L>, ConsumerEnd<L>) {
        let map = |role| QueueMemory::map(&self.device, role, kind).unwrap();
        (
            ProducerEnd::new(map(Role::Producer)).unwrap(),
            ConsumerEnd::new(map(Role::Consumer)).unwrap(),
        )
    }

    /// Both ends of a queue that overwrites. Once; the producer goes first.
    pub(crate) fn overwriting(&self) -> (OverwritingProducer, OverwriteReader) {
        let kind = QueueKind::Overwriting;
        let memory = QueueMemory::map(&self.device, Role::Consumer, kind).unwrap();
        let reader = OverwriteEnd::new(memory).unwrap();
        (
            OverwritingProducer::new(self.kernel.clone()),
            OverwriteReader::new(self.device.clone(), reader).unwrap(),
        )
    }

    /// What IOSTREAM_IOC_RESET does: generation raised, positions zeroed, generation raised again.
    pub(crate) fn reset(&self) {
        self.begin_reset();
        self.end_reset();
    }

    /// The first half of a reset.
    pub(crate) fn begin_reset(&self) {
        let memfd = &self.kernel.memfd;
        let at = offset_of!(iostream_info, generation);
        memfd.store(at, memfd.load(at) + 1);
    }

    /// The second half of a reset.
    pub(crate) fn end_reset(&self) {
        let memfd = &self.kernel.memfd;
        for at in (page()..3 * page()).step_by(8) {
            memfd.store(at, 0);
        }
        let at = offset_of!(iostream_info, generation);
        memfd.store(at, memfd.load(at) + 1);
    }

    /// Goes away, as a driver that is removed does.
    pub(crate) fn go(&self) {
        self.kernel.memfd.store(offset_of!(iostream_info, gone), 1);
    }

    /// Where the producer is.
    pub(crate) fn producer_pos(&self) -> u64 {
        self.kernel.memfd.load(page())
    }

    /// Stores what an honest producer never would.
    pub(crate) fn spoil_producer_pos(&self, value: u64) {
        self.kernel.memfd.store(page(), value);
    }

    /// Stores what an honest consumer never would.
    pub(crate) fn spoil_consumer_pos(&self, value: u64) {
        self.kernel.memfd.store(2 * page(), value);
    }

    /// Shows a watermark, as the kernel does once it is set.
    pub(crate) fn show_watermark(&self, bytes: u64) {
        let at = offset_of!(iostream_info, watermark_bytes);
        self.kernel.memfd.store(at, bytes);
    }

    /// Notifications so far: of the input direction, of the output direction.
    pub(crate) fn notified(&self) -> (u64, u64) {
        (
            self.kernel.input.load(Ordering::Relaxed),
            self.kernel.output.load(Ordering::Relaxed),
        )
    }

    pub(crate) fn calls(&self) -> u64 {
        self.device.calls()
    }
}

/// The producing side of a queue that overwrites. In production only the kernel has it.
pub(crate) struct OverwritingProducer {
    ring: iostream_ring::Producer<Mapped>,
    kernel: Arc<Kernel>,
    data: NonNull<c_void>,
}

impl OverwritingProducer {
    fn new(kernel: Arc<Kernel>) -> Self {
        let bytes = kernel.data_bytes;
        let offset = 3 * page() as u64;
        let data = map_twice(kernel.memfd.fd().as_fd(), offset, bytes as usize, true).unwrap();
        let geometry = Geometry::from_description(bytes, kernel.max_entry_bytes).unwrap();
        let (producer, consumer) = (kernel.memfd.start(page()), kernel.memfd.start(2 * page()));
        // SAFETY: All three areas stay mapped and writable while `kernel` and `data` are kept, and
        // there is one producer.
        let memory = unsafe { Mapped::new(producer, consumer, data.cast()) };
        // SAFETY: The memory is zeroed and is kept beside the ring; the other side overwrites, too.
        let ring = unsafe { iostream_ring::Producer::new(memory, geometry, true) };
        Self { ring, kernel, data }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.ring.push(bytes).unwrap();
        self.ring.publish();
    }
}

impl Drop for OverwritingProducer {
    fn drop(&mut self) {
        let bytes = 2 * self.kernel.data_bytes as usize;
        // SAFETY: Mapped in `new`, and the ring is not used any more.
        unsafe { rustix::mm::munmap(self.data.as_ptr(), bytes) }.unwrap();
    }
}
