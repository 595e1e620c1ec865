// SPDX-License-Identifier: MIT OR Apache-2.0

//! `IOSTREAM_IOC_COUNTERS`, for each kind of counters.

use iostream_ring::uapi::{self, iostream_counters};
use rustix::io::Errno;
use rustix::ioctl::{Opcode, Updater};

use super::Device;
use crate::{Direction, Error};

const COUNTERS: Opcode = uapi::IOSTREAM_IOC_COUNTERS as Opcode;

impl Device {
    /// The counters of a queue.
    pub(crate) fn queue_counters(
        &self,
        direction: Direction,
    ) -> Result<uapi::iostream_queue_counters, Error> {
        let which = match direction {
            Direction::Output => uapi::IOSTREAM_COUNTERS_OUTPUT,
            Direction::Input => uapi::IOSTREAM_COUNTERS_INPUT,
        };
        // SAFETY: The struct has integers only.
        unsafe { self.counters(which) }
            .map_err(|errno| Error::of_queue_call("IOSTREAM_IOC_COUNTERS", errno, direction))
    }

    /// The counters of a stream. Returns the errno: the caller knows what it means.
    pub(crate) fn stream_counters(&self) -> Result<uapi::iostream_stream_counters, Errno> {
        // SAFETY: The struct has integers only.
        unsafe { self.counters(uapi::IOSTREAM_COUNTERS_STREAM) }
    }

    /// The counters of the endpoint of `/dev/iostream`.
    pub(crate) fn endpoint_counters(&self) -> Result<uapi::iostream_endpoint_counters, Error> {
        // SAFETY: The struct has integers only.
        unsafe { self.counters(uapi::IOSTREAM_COUNTERS_ENDPOINT) }
            .map_err(|errno| Error::of_device_call("IOSTREAM_IOC_COUNTERS", errno))
    }

    /// # Safety
    ///
    /// All bit patterns of `T` are valid.
    unsafe fn counters<T: Default>(&self, which: u32) -> Result<T, Errno> {
        let mut counters = T::default();
        let mut request = iostream_counters {
            which,
            buffer_bytes: size_of::<T>() as u32,
            buffer: (&raw mut counters).expose_provenance() as u64,
            ..Default::default()
        };
        // SAFETY: It reads and writes one `iostream_counters`, and fills the bytes of `counters`,
        // for which any bit pattern is valid by this function's contract.
        unsafe { self.call(Updater::<COUNTERS, _>::new(&mut request)) }?;
        Ok(counters)
    }
}
