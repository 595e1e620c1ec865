// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! The one wake-up rule, for both directions and both sides.
//!
//! A sleeper arms by publishing a position of its peer: "wake me when yours reaches this". The peer
//! publishes its position, issues a full barrier and asks [`crossed`]. The sleeper arms, issues a
//! full barrier and looks once more before it sleeps. With both barriers one of the two sees the
//! other: either the peer sees the armed position, or the sleeper sees the peer's. The idea is that
//! of virtio's event index (VIRTIO 1.2, 2.7.10), over positions of 64 bits.

/// Whether a peer that went from `old` to `new` crossed the armed position `wake`.
///
/// True for `old < wake <= new`, over positions that run free. A word that was never armed (zero,
/// or any position that lies behind) is not crossed.
#[inline(always)]
pub const fn crossed(wake: u64, old: u64, new: u64) -> bool {
    new.wrapping_sub(wake) < new.wrapping_sub(old)
}
