// SPDX-License-Identifier: MIT OR Apache-2.0

//! Positions in a queue, which run free over 64 bits.

/// Whether `pos` comes before `other`.
///
/// Positions wrap around: of two, the one that is less than half the circle ahead comes later.
#[inline]
pub(crate) const fn is_before(pos: u64, other: u64) -> bool {
    let ahead = other.wrapping_sub(pos);
    ahead != 0 && ahead <= u64::MAX / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_circle_has_no_end() {
        assert!(is_before(1, 2) && !is_before(2, 1) && !is_before(1, 1));
        assert!(is_before(u64::MAX, 0) && !is_before(0, u64::MAX));
    }
}
