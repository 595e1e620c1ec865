// SPDX-License-Identifier: GPL-2.0

//! iostream: entries and buffers between drivers and programs, through shared memory.
//!
//! This is the framework module. Drivers are modules of their own, written against [`Driver`],
//! [`Producer`] and [`Consumer`]; begin with [`driver`]. Programs see device nodes; what they see is
//! defined in `rust/uapi/iostream.h`.
//!
//! # Reading on
//!
//! ```text
//! driver      what a driver's author reads: Config, Ports, Registration, Driver
//! producer    the kernel's end of an output queue; batch: many entries at once
//! consumer    the kernel's end of an input queue
//! stream      buffers that travel through two queues: Stream, Buffer, Control
//! port        what ends, node and session share; sessions come and go behind it
//!             callbacks: how a driver is called; kicks: where the kernel's ends sleep
//! queue       one queue of one session: region, kernel's end, counters; config: how it is described;
//!             queue::ready: whether the process can go on, by watermark and timer
//! region      a queue's pages, and how they are mapped; pages: shared pages of any kind
//! notify      waking the process
//! node        device nodes; device: their file operations; session: one open
//! io, ioctl, mmap, sysfs    what the file operations do
//! endpoint    who serves /dev/iostream
//! atomic      the kernel's atomics, inlined
//! ring        the lock-free ring, shared with the user crate
//! ```
//!
//! # Lock order
//!
//! ```text
//! mm->mmap_lock is taken inside Queue::call_lock and Pool::part (copies to and from the process);
//!     nothing here is taken inside mmap_lock but atomics
//! Port::changing  >  Port::srcu, Port::state
//! Session::set_up, Queue::call_lock, Pool::part  >  Port::state  >  Records::state  >  Pool::joining
//! Port::srcu (read side, callbacks)  >  a driver's own locks
//! Watch::callback  >  a client module's own locks  >  Port::changing
//! endpoint Service::kind  >  nothing of ours but RCU
//! Pool::joining  >  DmaDevice::mappings
//! NAMES is innermost; so are Watermark::lock, Notices::waiting and Spare::state, in any context
//! ```
//!
//! `Port::state` is not held while a driver is called. Registrations wait for `Port::srcu` and
//! `Port::changing`, so they are not dropped inside a callback.

mod bindings;
mod channel;
mod client;
pub mod driver;
mod endpoint;
mod ends;
mod error;
mod file;
mod memory;
mod node;
mod pool;
mod port;
mod queue;
mod registration;
#[path = "../ring/src/lib.rs"]
pub mod ring;
mod sync;

pub use client::{buffer::ClientBuffer, Client};
pub use driver::{Driver, NoCallbacks, Opener};
pub use ends::{
    batch::Batch,
    buffer::Buffer,
    config::{Config, Ports},
    consumer::{Consumer, Peeked, View},
    producer::{Producer, Reservation},
    stream::Stream,
    stream_config::StreamConfig,
};
pub use error::Error;
pub use memory::dma::DmaSegment;
pub use pool::{spec::Mode, state::Stop};
pub use queue::config::{QueueConfig, Wake};
pub use registration::Registration;

/// What only drivers of streams need.
pub mod stream {
    pub use crate::ends::{
        access::{Access, Output, Shared},
        control::Control,
    };
    pub use crate::pool::record::BufferRecord;
}

/// Points of the code at which tests hold threads.
#[cfg(iostream_races)]
pub mod race {
    pub use crate::sync::race::{is_held, release, set, POINTS};
}

use kernel::prelude::*;

use ends::config::NodeConfig;
use file::publish::{Class, NodeHandle};
use sync::work::WorkQueue;

module! {
    type: Module,
    name: "iostream",
    authors: ["the iostream authors"],
    description: "Queues and streams between drivers and programs, through shared memory",
    license: "GPL",
    params: {
        max_queue_bytes: u64 {
            default: 67_108_864,
            description: "Largest capacity of one queue in bytes",
        },
        max_buffer_bytes: u64 {
            default: 67_108_864,
            description: "Largest data or control area of one stream buffer in bytes",
        },
        max_total_bytes: u64 {
            default: 1_073_741_824,
            description: "Most bytes that all queues and buffers together may take",
        },
        mode: u16 {
            default: 0o600,
            description: "Permission bits of /dev/iostream",
        },
    },
}

/// The module. Fields go in order: the node first, the work queue, which others use, last.
struct Module {
    _node: NodeHandle,
    _class: Class,
    _work: WorkQueue,
}

impl kernel::Module for Module {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let mode = *module_parameters::mode.value_ref();
        if mode & !0o777 != 0 {
            pr_err!("mode={:o} has bits beyond 0777\n", mode);
            return Err(EINVAL);
        }
        let work = WorkQueue::new()?;
        let class = Class::new()?;
        let node = NodeHandle::built_in(&NodeConfig {
            name: c"iostream",
            mode,
            gid: 0,
            parent: None,
        })?;
        Ok(Self {
            _node: node,
            _class: class,
            _work: work,
        })
    }
}
