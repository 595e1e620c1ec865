// SPDX-License-Identifier: GPL-2.0

//! Who can write the buffers of a stream, as types.

/// Whether the process can write a stream's buffers.
pub trait Access: sealed::Sealed + Send + Sync + 'static {}

/// The process can only read: the driver has slices.
pub struct Output(());

/// The process can write, in some modes: the driver copies.
pub struct Shared(());

impl Access for Output {}
impl Access for Shared {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Output {}
    impl Sealed for super::Shared {}
}
