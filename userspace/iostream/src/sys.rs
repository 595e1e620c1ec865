// SPDX-License-Identifier: MIT OR Apache-2.0

//! System calls, mappings, and the ring on top of them: the only `unsafe` of this crate.
//!
//! What leaves this module is safe to use in every order, whatever stands in shared memory. The
//! kernel's module is trusted in three things: it maps a queue's areas where it says, it maps each
//! writable area once in a session, and it does not write an entry that a consumer has not
//! released, nor a buffer that this process has.

#![allow(
    unsafe_code,
    reason = "this is where system calls and shared memory become safe types"
)]

pub(crate) mod calls;
mod device;
mod ends;
mod info_page;
mod pool;
mod queue;
#[cfg(feature = "tokio")]
mod reactor;
mod region;
mod stream_calls;
mod stream_page;

pub(crate) use device::Device;
pub(crate) use ends::{ConsumerEnd, OverwriteEnd, ProducerEnd};
pub(crate) use info_page::InfoPage;
pub(crate) use pool::{Lease, Place, Pool};
pub(crate) use queue::{QueueKind, QueueMemory, Role};
#[cfg(feature = "tokio")]
pub(crate) use reactor::watch;
pub(crate) use stream_page::StreamPage;
