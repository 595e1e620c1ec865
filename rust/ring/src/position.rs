// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! The order of positions.

/// Whether position `a` lies before position `b`.
///
/// Positions run free over 64 bits, so the smaller number is not always the earlier one. Two
/// positions of a ring are never 2^63 bytes apart: `a` is before `b` if the way from `a` forward to
/// `b` is the shorter one. This also holds for a value that the peer wrote, which may be anything.
#[inline(always)]
pub const fn is_before(a: u64, b: u64) -> bool {
    let ahead = b.wrapping_sub(a);
    ahead != 0 && ahead <= u64::MAX / 2
}
