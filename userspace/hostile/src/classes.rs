// SPDX-License-Identifier: MIT OR Apache-2.0

//! The classes of attacks. A round is a batch of cases that a seed decides.

mod calls;
mod descriptors;
mod faults;
mod headers;
mod lifetime;
mod mappings;
mod notification;
mod positions;
mod races;

use iostream_raw::Random;
use rustix::io::{Errno, Result};

use crate::victim::Victim;

pub use lifetime::used_after_exec;

/// One round of a class.
pub struct Round<'a> {
    pub seed: u64,
    pub random: Random,
    /// Another session, which must not be affected.
    pub victim: &'a Victim,
    /// Cases tried so far.
    pub cases: u64,
}

/// One class.
pub struct Class {
    pub letter: char,
    pub name: &'static str,
    pub round: fn(&mut Round<'_>),
    /// Cases of a full run.
    pub cases: u64,
}

/// All classes, by letter.
pub const ALL: &[Class] = &[
    Class {
        letter: 'A',
        name: "positions",
        round: positions::round,
        cases: 500_000,
    },
    Class {
        letter: 'B',
        name: "headers",
        round: headers::round,
        cases: 400_000,
    },
    Class {
        letter: 'C',
        name: "descriptors",
        round: descriptors::round,
        cases: 60_000,
    },
    Class {
        letter: 'D',
        name: "mmap",
        round: mappings::round,
        cases: 40_000,
    },
    Class {
        letter: 'E',
        name: "ioctl",
        round: calls::round,
        cases: 250_000,
    },
    Class {
        letter: 'F',
        name: "lifetime",
        round: lifetime::round,
        cases: 4_000,
    },
    Class {
        letter: 'G',
        name: "notification",
        round: notification::round,
        cases: 20_000,
    },
    Class {
        letter: 'H',
        name: "faults",
        round: faults::round,
        cases: 30_000,
    },
    Class {
        letter: 'I',
        name: "races",
        round: races::round,
        cases: 105_000,
    },
];

impl Round<'_> {
    /// Fails if the result is an error that is not in `allowed`.
    #[track_caller]
    pub fn expect<T>(&self, result: Result<T>, allowed: &[Errno]) {
        if let Err(error) = result {
            assert!(allowed.contains(&error), "{error} is not expected");
        }
    }
}
