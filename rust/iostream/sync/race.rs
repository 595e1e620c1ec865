// SPDX-License-Identifier: GPL-2.0

//! Points in the code at which a test can hold a thread, so that a race takes the same course each
//! time.
//!
//! Only a module for the bug-hunting kernel has them (`--cfg iostream_races`, see `Kbuild`).
//! Elsewhere [`race_point!`] is nothing.

#[cfg(iostream_races)]
mod points;

#[cfg(iostream_races)]
pub(crate) use points::{index, pass};
#[cfg(iostream_races)]
pub use points::{is_held, release, set, POINTS};

/// Marks a place in the code as the point of this name.
macro_rules! race_point {
    ($name:literal) => {{
        #[cfg(iostream_races)]
        {
            const POINT: usize = $crate::sync::race::index($name);
            $crate::sync::race::pass(POINT);
        }
    }};
}
pub(crate) use race_point;
