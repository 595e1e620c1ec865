// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! The order of positions.

#![cfg(not(loom))]

use iostream_ring::is_before;

const HALF: u64 = 1 << 63;

#[test]
fn nothing_is_before_itself() {
    for pos in [0, 8, HALF, u64::MAX] {
        assert!(!is_before(pos, pos));
    }
}

#[test]
fn of_two_positions_one_is_before_the_other() {
    for pos in [0, 8, HALF - 8, HALF, u64::MAX - 7] {
        for ahead in [1, 8, 1 << 31, HALF - 1] {
            let later = pos.wrapping_add(ahead);
            assert!(is_before(pos, later), "{pos} {later}");
            assert!(!is_before(later, pos), "{later} {pos}");
        }
    }
}

#[test]
fn half_a_lap_away_is_not_before() {
    assert!(!is_before(0, HALF));
    assert!(!is_before(HALF, 0));
}
