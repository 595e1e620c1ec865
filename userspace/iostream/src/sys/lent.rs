// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which bytes of a mapping safe code may hold slices of.
//!
//! A slice that is held while the process forks must keep its bytes in the child. So each mapping
//! whose bytes are lent tells which: see [`inherited`](super::inherited).

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a mapping has lent.
pub(super) trait Lent: Send + Sync {
    /// Calls `visit` for each range of the mapping that slices may refer to, in bytes. A range may
    /// end beyond the mapping.
    fn for_each(&self, visit: &mut dyn FnMut(Range<usize>));
}

/// The one range of a queue's data that its end has lent. It may be lent no longer.
#[derive(Default)]
pub(super) struct LentRange {
    /// The first byte in the upper half, the length in the lower one: both are below 2^32.
    range: AtomicU64,
}

impl LentRange {
    /// Records that `[offset, offset + len)` is lent from now on, and nothing else.
    #[inline]
    pub(super) fn set(&self, offset: usize, len: usize) {
        let range = ((offset as u64) << 32) | len as u64;
        // Only a fork by this very thread can find a slice of the range.
        self.range.store(range, Ordering::Relaxed);
    }

    /// Records that all bytes are lent.
    #[inline]
    pub(super) fn set_all(&self) {
        self.set(0, u32::MAX as usize);
    }
}

impl Lent for LentRange {
    fn for_each(&self, visit: &mut dyn FnMut(Range<usize>)) {
        let range = self.range.load(Ordering::Relaxed);
        let (offset, len) = ((range >> 32) as usize, range as u32 as usize);
        if len > 0 {
            visit(offset..offset + len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_range_is_lent() {
        let lent = LentRange::default();
        let ranges = || {
            let mut ranges = Vec::new();
            lent.for_each(&mut |range| ranges.push((range.start, range.end)));
            ranges
        };
        assert_eq!(ranges(), []);
        lent.set(8, 16);
        assert_eq!(ranges(), [(8, 24)]);
        let large = u32::MAX as usize;
        lent.set(large - 7, large);
        assert_eq!(ranges(), [(large - 7, 2 * large - 7)]);
        lent.set(8, 0);
        assert_eq!(ranges(), []);
    }
}
