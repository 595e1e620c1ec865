// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! The errors of a ring.

/// Why an operation on a ring did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// No entry waits.
    Empty,
    /// The entry does not fit until the consumer releases others.
    Full,
    /// The entry can never fit.
    TooLarge {
        /// The longest entry of this ring in bytes, header not counted.
        max: u32,
    },
    /// The buffer is shorter than the entry, which stays where it is.
    TooSmall {
        /// Bytes that the next entry needs.
        needed: u32,
    },
    /// The peer stored an invalid position or header.
    Corrupt,
}
