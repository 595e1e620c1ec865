// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Sizes of rings: which are rounded, which are refused, and with which error.

#![cfg(not(loom))]

use iostream_ring::{occupied_bytes, Geometry, GeometryError};

const PAGE: u64 = 4096;
const LIMIT: u64 = 1 << 20;

fn with_capacity(bytes: u64) -> Result<Geometry, GeometryError> {
    Geometry::with_capacity(bytes, PAGE, LIMIT)
}

#[test]
fn capacity_is_rounded_up_to_pages() {
    for (asked, got) in [
        (1, PAGE),
        (PAGE - 1, PAGE),
        (PAGE, PAGE),
        (PAGE + 1, 2 * PAGE),
        (LIMIT, LIMIT),
    ] {
        let geometry = with_capacity(asked).unwrap();
        assert_eq!(geometry.data_bytes(), got);
        assert_eq!(u64::from(geometry.max_entry_bytes()), got - 8);
    }
}

#[test]
fn capacity_is_refused_with_the_reason() {
    let above = Err(GeometryError::AboveLimit { limit: LIMIT });
    assert_eq!(with_capacity(0), Err(GeometryError::Zero));
    assert_eq!(with_capacity(LIMIT + 1), above);
    assert_eq!(with_capacity(u64::MAX - PAGE), above);
    assert_eq!(with_capacity(u64::MAX - PAGE + 1), above);
    assert_eq!(
        with_capacity(u64::MAX - PAGE + 2),
        Err(GeometryError::Overflow)
    );
    assert_eq!(with_capacity(u64::MAX), Err(GeometryError::Overflow));
}

#[test]
fn no_limit_allows_more_than_the_largest_ring() {
    let largest = Geometry::with_capacity(Geometry::LARGEST_BYTES, PAGE, u64::MAX).unwrap();
    assert_eq!(largest.max_entry_bytes(), (1 << 31) - 8);
    assert_eq!(
        Geometry::with_capacity(Geometry::LARGEST_BYTES + 1, PAGE, u64::MAX),
        Err(GeometryError::AboveLimit {
            limit: Geometry::LARGEST_BYTES
        })
    );
}

#[test]
fn entries_count_their_overhead() {
    for (entries, bytes) in [
        (1, 0),
        (1, 4088),
        (512, 0),
        (256, 1),
        (256, 8),
        (7, 4089),
        (100, 33),
    ] {
        let geometry = Geometry::with_entries(entries, bytes, PAGE, LIMIT).unwrap();
        let needed = entries * occupied_bytes(bytes);
        assert!(geometry.data_bytes() >= needed);
        assert!(geometry.data_bytes() - needed < PAGE);
        assert!(geometry.max_entry_bytes() >= bytes);
    }
}

#[test]
fn entries_are_refused_with_the_reason() {
    let with = |entries, bytes| Geometry::with_entries(entries, bytes, PAGE, LIMIT);
    assert_eq!(with(0, 8), Err(GeometryError::Zero));
    assert_eq!(with(u64::MAX, 0), Err(GeometryError::Overflow));
    assert_eq!(with(1 << 32, u32::MAX), Err(GeometryError::Overflow));
    assert_eq!(with(u64::MAX / 8, 0), Err(GeometryError::Overflow));
    let above = Err(GeometryError::AboveLimit { limit: LIMIT });
    assert_eq!(with(1, u32::MAX), above);
    assert_eq!(with(LIMIT / 8 + 1, 0), above);
}

#[test]
fn descriptions_that_cannot_be_are_refused() {
    let from = Geometry::from_description;
    for (data, max) in [
        (0, 0),
        (4, 0),
        (12, 0),
        (4097, 8),
        (8, 1),
        (64, 57),
        (4096, 4089),
        (64, 0),
        (4096, 4080),
        (4096, u32::MAX),
        (Geometry::LARGEST_BYTES + 8, 8),
        (u64::MAX - 7, 8),
    ] {
        assert_eq!(from(data, max), None, "{data}, {max}");
    }
    for (data, max) in [(8, 0), (64, 56), (4096, 4088), (1 << 31, (1 << 31) - 8)] {
        let geometry = from(data, max).unwrap();
        assert_eq!(
            (geometry.data_bytes(), geometry.max_entry_bytes()),
            (data, max)
        );
    }
}

#[test]
fn slots_that_cannot_be_are_refused() {
    let from = Geometry::from_slots;
    for (data, slot) in [
        (0, 0),
        (0, 64),
        (4096, 0),
        (4096, 48),
        (4096, 4104),
        (4096, u32::MAX),
        // Whole slots, but no whole words.
        (12, 4),
        (4, 4),
        (Geometry::LARGEST_BYTES + 8, 8),
        (Geometry::LARGEST_BYTES * 2, 64),
        (u64::MAX - 7, 8),
    ] {
        assert_eq!(from(data, slot), None, "{data}, {slot}");
    }
    for (data, slot) in [(8, 8), (8, 4), (64, 64), (192, 48), (1 << 31, 64)] {
        assert_eq!(from(data, slot).unwrap().data_bytes(), data);
    }
}
