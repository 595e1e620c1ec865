// SPDX-License-Identifier: MIT OR Apache-2.0

//! System calls, mappings, and the ring on top of them: the only `unsafe` of this crate.
//!
//! What this module exports is safe to use in any order, whatever shared memory contains. The
//! kernel module is trusted in four things: it maps a queue's areas where it says, it maps each
//! writable area once in a session, it refuses a reset by another process while this one has the
//! queue's words mapped, and it writes neither an entry that a consumer has not released nor a
//! buffer that is with this process.

#![allow(
    unsafe_code,
    reason = "this is where system calls and shared memory become safe types"
)]

pub(crate) mod calls;
mod consumer_end;
mod counter_calls;
mod device;
mod end;
mod info_page;
mod inherited;
mod lent;
mod overwrite_end;
mod owner;
mod pool;
mod producer_end;
mod queue;
#[cfg(feature = "tokio")]
mod reactor;
mod region;
mod stream_calls;
mod stream_page;

pub(crate) use consumer_end::ConsumerEnd;
pub(crate) use device::{Device, Ready};
pub(crate) use end::End;
pub(crate) use info_page::InfoPage;
pub(crate) use overwrite_end::OverwriteEnd;
pub(crate) use owner::Owner;
pub(crate) use pool::{Lease, Place, Pool};
pub(crate) use producer_end::ProducerEnd;
pub(crate) use queue::{QueueKind, QueueMemory, Role};
#[cfg(feature = "tokio")]
pub(crate) use reactor::{watch, Watched};
pub(crate) use stream_page::StreamPage;
