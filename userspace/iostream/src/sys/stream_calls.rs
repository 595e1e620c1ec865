// SPDX-License-Identifier: MIT OR Apache-2.0

//! The ioctls of streams.

use iostream_ring::uapi;
use rustix::io::Errno;
use rustix::ioctl::{IntegerSetter, NoArg, Opcode, Updater};

use super::Device;

const STREAM: Opcode = uapi::IOSTREAM_IOC_STREAM as Opcode;
const START: Opcode = uapi::IOSTREAM_IOC_START as Opcode;
const SUSPEND: Opcode = uapi::IOSTREAM_IOC_SUSPEND as Opcode;
const STOP: Opcode = uapi::IOSTREAM_IOC_STOP as Opcode;
const MODE: Opcode = uapi::IOSTREAM_IOC_MODE as Opcode;
const INPUT: Opcode = uapi::IOSTREAM_IOC_INPUT as Opcode;
const INPUT_SYNC: Opcode = uapi::IOSTREAM_IOC_INPUT_SYNC as Opcode;

/// The methods return the errno: only the caller knows the stream's state, and so what it means.
impl Device {
    /// `IOSTREAM_IOC_STREAM`.
    pub(crate) fn stream(&self) -> Result<uapi::iostream_stream, Errno> {
        let mut stream = uapi::iostream_stream::default();
        // SAFETY: It reads and writes one `iostream_stream`.
        unsafe { self.call(Updater::<STREAM, _>::new(&mut stream)) }?;
        Ok(stream)
    }

    /// `IOSTREAM_IOC_START`.
    pub(crate) fn start(&self) -> Result<(), Errno> {
        // SAFETY: It has no argument.
        unsafe { self.call(NoArg::<START>::new()) }
    }

    /// `IOSTREAM_IOC_SUSPEND`.
    pub(crate) fn suspend(&self) -> Result<(), Errno> {
        // SAFETY: It has no argument.
        unsafe { self.call(NoArg::<SUSPEND>::new()) }
    }

    /// `IOSTREAM_IOC_STOP`. Returns how many buffers it discarded: of output, of input.
    pub(crate) fn stop(&self, flags: u32, timeout_ns: u64) -> Result<(u64, u64), Errno> {
        let mut stop = uapi::iostream_stop {
            flags,
            timeout_ns,
            ..Default::default()
        };
        // SAFETY: It reads and writes one `iostream_stop`.
        unsafe { self.call(Updater::<STOP, _>::new(&mut stop)) }?;
        Ok((stop.discarded_output, stop.discarded_input))
    }

    /// `IOSTREAM_IOC_MODE`.
    pub(crate) fn set_mode(&self, mode: u32) -> Result<(), Errno> {
        // SAFETY: The argument is an integer.
        unsafe { self.call(IntegerSetter::<MODE>::new_usize(mode as usize)) }
    }

    /// `IOSTREAM_IOC_INPUT`.
    pub(crate) fn input(&self, token: u32) -> Result<(), Errno> {
        // SAFETY: The argument is an integer.
        unsafe { self.call(IntegerSetter::<INPUT>::new_usize(token as usize)) }
    }

    /// `IOSTREAM_IOC_INPUT_SYNC`.
    pub(crate) fn input_sync(&self, token: u32) -> Result<(), Errno> {
        // SAFETY: The argument is an integer.
        unsafe { self.call(IntegerSetter::<INPUT_SYNC>::new_usize(token as usize)) }
    }
}
