// SPDX-License-Identifier: GPL-2.0

//! The file `races`: holds threads at points of the framework's code, so that a race takes the same
//! course each time.
//!
//! ```text
//! set POINT        holds the next thread that comes to the point
//! release POINT    lets it go on, and holds none from now on
//! ```
//!
//! Read it for a line `POINT=1` (a thread is held), `POINT=2` (one was held, and has gone on by
//! itself) or `POINT=0` for each point.

use iostream::race;
use kernel::{fmt, prelude::*};

use crate::commands::Words;

/// Runs one command.
pub(crate) fn run(text: &str) -> Result {
    let mut words = Words::new(text);
    match words.word()? {
        "set" => race::set(words.word()?),
        "release" => race::release(words.word()?),
        _ => Err(EINVAL),
    }
}

/// Says at which points a thread is held.
pub(crate) fn show(_: &(), out: &mut fmt::Formatter<'_>) -> fmt::Result {
    for point in race::POINTS {
        let held = match (race::is_held(point), race::has_held(point)) {
            (Ok(true), _) => 1,
            (_, Ok(true)) => 2,
            _ => 0,
        };
        writeln!(out, "{point}={held}")?;
    }
    Ok(())
}
