// SPDX-License-Identifier: MIT OR Apache-2.0

//! A client of iostream by `iostream.h` alone.
//!
//! The tests use it beside the `iostream` crate, and the hostile program uses nothing else: a fault
//! that the crate shares with the kernel shows here. Not a line of the ring runs in it; only the
//! generated view of the header is common.
//!
//! - [`Session`] is one open of a node and its ioctls.
//! - [`Map`] is one mapping of a session.
//! - [`Ring`] is a queue with all its areas mapped, as words of shared memory.
//! - [`Input`] and [`Output`] are well-behaved ends of a queue; [`Stream`] is all of a stream.
//! - [`make_record`] and [`check_record`] are the entries of the built-in endpoint.
//! - [`Control`] tells `iostream_test.ko` what to do.
//! - [`Random`] and [`KernelLog`] are for programs that run tests.

mod control;
mod counters;
mod kernel_log;
mod map;
mod queue;
mod random;
mod record;
mod ring;
mod session;
pub mod stream;
mod word;

pub use control::{node_called, Control};
pub use kernel_log::KernelLog;
pub use map::{Area, Map, Prot};
pub use queue::{Entry, Input, Output};
pub use random::Random;
pub use record::{check_record, make_record, record_words};
pub use ring::{consumer, crossed, occupied, producer, Ring};
pub use session::{echo, ioctl, sink, source, wait_for, Session};
pub use stream::{Descriptor, Stream};
pub use word::Word;

/// The built-in endpoint.
pub const DEVICE: &str = "/dev/iostream";
/// From the kernel to the process.
pub const OUTPUT: u32 = iostream_ring::uapi::IOSTREAM_OUTPUT;
/// From the process to the kernel.
pub const INPUT: u32 = iostream_ring::uapi::IOSTREAM_INPUT;
/// Bytes of a page of this machine. Queues and buffers take whole pages.
pub fn page() -> u64 {
    page_len() as u64
}

/// [`page`], as the length of something in memory.
pub fn page_len() -> usize {
    rustix::param::page_size()
}
