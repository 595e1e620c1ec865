// SPDX-License-Identifier: MIT OR Apache-2.0

//! Perf events, as linux/perf_event.h describes them.

use std::os::fd::{FromRawFd, OwnedFd};

use iostream_bench::Result;

/// `PERF_TYPE_SOFTWARE`, and two of its events.
const SOFTWARE: u32 = 1;
const CPU_CLOCK: u64 = 0;
const DUMMY: u64 = 9;
/// The bit of `comm`: each new name of a thread is recorded.
const COMM: u64 = 1 << 9;

/// The first version of `struct perf_event_attr`, which is enough.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    config1: u64,
}

/// An event of this thread that counts nothing, and records each new name of it.
pub fn names_of_this_thread() -> Result<OwnedFd> {
    let attributes = Attributes {
        config: DUMMY,
        flags: COMM,
        ..Attributes::default()
    };
    open(attributes, 0, -1)
}

/// An event whose timer interrupts a processor every `period_ns`, whatever runs there.
pub fn cpu_clock(processor: usize, period_ns: u64) -> Result<OwnedFd> {
    let attributes = Attributes {
        config: CPU_CLOCK,
        sample_period: period_ns,
        ..Attributes::default()
    };
    open(attributes, -1, i32::try_from(processor)?)
}

fn open(attributes: Attributes, process: i32, processor: i32) -> Result<OwnedFd> {
    let attributes = Attributes {
        kind: SOFTWARE,
        size: size_of::<Attributes>() as u32,
        ..attributes
    };
    // SAFETY: The attributes live as long as the call, which only reads them.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &attributes,
            process,
            processor,
            -1,
            0,
        )
    };
    if fd < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    // SAFETY: The call returned a descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
