// SPDX-License-Identifier: GPL-2.0

//! Types that say whether a process can write the buffers of a stream.

/// Whether the process can write a stream's buffers: [`Output`] or [`Shared`].
pub trait Access: sealed::Sealed + Send + Sync + 'static {}

/// The process can only read the buffers, so the driver has slices of them.
pub struct Output(());

/// The process can write the buffers in some modes, so the driver copies.
pub struct Shared(());

impl Access for Output {}
impl Access for Shared {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Output {}
    impl Sealed for super::Shared {}
}
