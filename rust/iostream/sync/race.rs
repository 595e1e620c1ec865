// SPDX-License-Identifier: GPL-2.0

//! Points in the code at which a test can hold a thread, to reproduce a race.
//!
//! Only builds for the bug-hunting kernel have them (`--cfg iostream_races`, see `Kbuild`). In all
//! others [`race_point!`] expands to nothing.

#[cfg(iostream_races)]
mod points;

#[cfg(iostream_races)]
pub use points::{has_held, is_held, is_set, release, set, POINTS};
#[cfg(iostream_races)]
pub(crate) use points::{index, pass};

/// Marks a place in the code as the race point of this name.
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
