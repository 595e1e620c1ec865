// SPDX-License-Identifier: GPL-2.0

//! iostream: moves entries and buffers between drivers and programs through shared memory.
//!
//! This is the framework module. Drivers are modules of their own. The author of a driver begins
//! with [`driver`], and uses [`Producer`] and [`Consumer`] for queues or [`Stream`] for buffers.
//! Programs see device nodes; `rust/uapi/iostream.h` defines what they see.
//!
//! # Map
//!
//! The folders are floors: each uses only those above it in this list. `doc/design.md` says more.
//!
//! ```text
//! error, bindings  the errors; the C that the kernel crate lacks
//! sync             atomics, wait queues, timers, work; kicks: where the kernel's ends sleep;
//!                  deferred: references that may be dropped in any context; registered: what ends
//!                  with a driver even if it leaks it
//! ring             the lock-free ring, which the user crate shares
//! memory           region: the pages of a queue; pages: shared pages of any kind; dma; limits;
//!                  account: what each user has
//! queue            one queue with its kernel end and its counters; publish: what follows a change
//!                  of position; ready: whether the process can continue; notify: waking it
//! pool             the buffers of one stream session, and who may use each
//! channel          the queues of one session with their pool; lane: a queue as a port publishes it
//! driver           the trait that a driver implements
//! port             what outlives a session; callbacks: how the driver is called
//! ends             what a driver's author holds: Producer, Batch, Consumer, Stream, Buffer, Config
//! endpoint         the kernel's side of /dev/iostream
//! node             a node and its name; session: one open of it
//! file             what the kernel calls: file operations, ioctl, mmap, sysfs; publishing a node
//! client           a module as the client of a stream
//! registration     a port, a driver and a node put together
//! ```
//!
//! # Lock order
//!
//! `a > b`: `b` may be taken while `a` is held.
//!
//! ```text
//! Session::reading, Session::writing  >  mm->mmap_lock, by copies to and from the process
//! mm->mmap_lock  >  nothing of ours, by mmap(2)
//! Port::revoking  >  Port::changing, Callbacks::srcu, Port::state, DmaDevice::mappings
//! Port::changing  >  Callbacks::srcu, Port::state, Pool::joining
//! Session::set_up, Session::reading, Session::writing, Port::opening  >  Port::state
//! Port::state  >  Records::state  >  Pool::joining  >  DmaDevice::mappings
//! Callbacks::srcu, while a callback runs  >  a driver's own locks
//! Watch::callback  >  a client module's own locks  >  Port::changing
//! Port::changing, Callbacks::srcu, Watch::callback of a stream  >  the same of a stream that its
//!     driver is a client of; these locks have classes of each stream
//! the lock of an endpoint's service  >  innermost spinlocks only
//! Source::ticking  >  innermost spinlocks
//! innermost: names::NAMES, registered::REGISTERED, DmaDevice::at_unbind
//! Pool::sending  >  Free::ids, Watermark::lock, the locks of those who are woken
//! innermost spinlocks: Watermark::lock, InputWatermark::lock, Notices::waiting, Spare::state,
//!     Free::ids, account::USERS, Sources::waiting
//! ```
//!
//! `Port::state` is not held while a driver is called. Dropping a registration waits for
//! `Callbacks::srcu` and `Port::changing`, so no callback may drop one.

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
pub use pool::{clock::Clock, spec::Mode, state::Stop};
pub use queue::config::{QueueConfig, Wake};
pub use registration::Registration;

/// The types that only drivers of streams need.
pub mod stream {
    pub use crate::ends::{
        access::{Access, Output, Shared},
        control::Control,
    };
    pub use crate::pool::record::BufferRecord;
}

/// The points in the code at which tests hold threads.
#[cfg(iostream_races)]
pub mod race {
    pub use crate::sync::race::{has_held, is_held, is_set, release, set, POINTS};
}

use kernel::prelude::*;

use endpoint::sources::SourceThread;
use ends::config::NodeConfig;
use file::publish::{Class, NodeHandle};
use sync::{registered::Modules, work::WorkQueues};

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
            description: "Most bytes that all queues and buffers of one user together may take",
        },
        mode: u16 {
            default: 0o600,
            description: "Permission bits of /dev/iostream",
        },
    },
}

/// The module. The fields are dropped in this order: the work queues are last, because the others
/// use them.
struct Module {
    _node: NodeHandle,
    _sources: SourceThread,
    _class: Class,
    _modules: Modules,
    _work: WorkQueues,
}

impl kernel::Module for Module {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let mode = *module_parameters::mode.value_ref();
        if mode & !0o777 != 0 {
            pr_err!("mode={:o} has bits beyond 0777\n", mode);
            return Err(EINVAL);
        }
        let work = WorkQueues::new()?;
        let modules = Modules::new()?;
        let class = Class::new()?;
        let sources = SourceThread::new()?;
        let node = NodeHandle::built_in(&NodeConfig {
            name: c"iostream",
            mode,
            gid: 0,
            parent: None,
        })?;
        Ok(Self {
            _node: node,
            _sources: sources,
            _class: class,
            _modules: modules,
            _work: work,
        })
    }
}
