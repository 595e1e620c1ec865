// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! The lock-free single-producer single-consumer ring of iostream.
//!
//! Variable-sized entries, or entries of one length ([`Layout`]), in memory that two sides share which
//! need not trust each other. This source is compiled twice: into `iostream.ko`, as a module, and into
//! the user crate and its host tests, by cargo. It knows no kernel, makes no system call and allocates
//! nothing; what differs between its worlds is [`sync`] alone.
//!
//! # Who writes what
//!
//! ```text
//! producer's page   producer_pos, oldest_pos, wake_pos    the producer alone
//! consumer's page   consumer_pos, wake_pos                the consumer alone
//! data              headers and bytes of entries          the producer alone
//! ```
//!
//! # Trust
//!
//! Each side keeps its own position, the last position of its peer that it has checked, and the
//! geometry in private memory ([`Producer`], [`Consumer`]); what it stores in shared memory is
//! output, never read back. What it reads of its peer it reads once, checks, and then uses the
//! copy. Nothing that the peer stores can make a side touch memory outside the data area.
//!
//! # Positions
//!
//! A position counts bytes, is a multiple of [`Layout::ALIGN`], and runs free over 64 bits. The position
//! at which its lap began is kept beside it, and moves by comparison, so that sizes need not be powers
//! of two.

#![cfg_attr(not(iostream_kernel), no_std)]

mod consumer;
mod entry;
mod error;
mod geometry;
mod layout;
#[cfg(any(not(loom), iostream_kernel))]
mod mapped;
mod memory;
mod overwrite;
mod position;
mod producer;
mod slots;
#[cfg_attr(iostream_kernel, path = "sync_kernel.rs")]
#[cfg_attr(all(loom, not(iostream_kernel)), path = "sync_loom.rs")]
pub mod sync;
#[allow(
    clippy::undocumented_unsafe_blocks,
    missing_docs,
    non_camel_case_types,
    reason = "generated from rust/uapi/iostream.h, whose comments say what each is"
)]
pub mod uapi;
mod wake;

pub use consumer::{Consumer, Drained};
pub use entry::{occupied_bytes, Entry, Header};
pub use error::Error;
pub use geometry::{Geometry, GeometryError};
pub use layout::{Framed, Layout, Slots};
#[cfg(any(not(loom), iostream_kernel))]
pub use mapped::Mapped;
pub use memory::Memory;
pub use overwrite::{Gap, OverwriteReader, Read};
pub use position::is_before;
pub use producer::{Head, Producer};
pub use wake::crossed;
