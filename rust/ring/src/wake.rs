// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! The one wake-up rule, for both directions and both sides.
//!
//! Before a side sleeps it arms: it stores the position of its peer at which it wants to be woken,
//! issues a full barrier, and looks at the ring once more. The peer stores its own position, issues
//! a full barrier, and asks [`crossed`]. The two barriers make sure that one side sees the other:
//! either the peer sees the armed position, or the sleeper sees the peer's new position. This is
//! the event index of virtio (VIRTIO 1.2, 2.7.10) over positions of 64 bits.

/// Whether a peer that went from `old` to `new` crossed the armed position `wake`.
///
/// True for `old < wake <= new`, where positions run free. A word that was never armed (zero, or
/// any position that lies behind) is not crossed.
#[inline(always)]
pub const fn crossed(wake: u64, old: u64, new: u64) -> bool {
    new.wrapping_sub(wake) < new.wrapping_sub(old)
}
