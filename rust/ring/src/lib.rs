// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! The lock-free single-producer single-consumer ring of iostream.
//!
//! The ring holds entries of variable size, or entries of one length ([`Layout`]), in memory that
//! is shared by two sides. The sides need not trust each other. This source is compiled twice: as a
//! module of `iostream.ko`, and by cargo for the user crate and the host tests. It uses no kernel
//! API, makes no system call and allocates nothing. Only [`sync`] differs between the two.
//!
//! # Who writes what
//!
//! ```text
//! area              contents                              written by
//! producer's page   producer_pos, oldest_pos, wake_pos    the producer
//! consumer's page   consumer_pos, wake_pos                the consumer
//! data              headers and bytes of entries          the producer
//! ```
//!
//! # Trust
//!
//! Each side ([`Producer`], [`Consumer`]) keeps three things in private memory: its own position,
//! the last position of its peer that it has checked, and the geometry. What it stores in shared
//! memory is output, and is never read back. It loads a value of its peer once, checks the copy,
//! and then uses the copy. Nothing that the peer stores can make a side touch memory outside the
//! data area.
//!
//! # Positions
//!
//! A position counts bytes, is a multiple of [`Layout::ALIGN`], and runs free over 64 bits
//! ([`is_before`] compares two). Each side also keeps the position at which its lap began, and
//! moves it by comparison, so that sizes need not be powers of two.

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
