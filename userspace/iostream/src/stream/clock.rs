// SPDX-License-Identifier: MIT OR Apache-2.0

//! The clocks of timestamps.

use std::fmt;

use iostream_ring::uapi;

use crate::{Error, Result};

/// The clock that the timestamps of a stream are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Clock {
    /// `CLOCK_REALTIME`: the time of day, which can be set.
    RealTime,
    /// `CLOCK_MONOTONIC`: never goes back, and stands still while the machine sleeps.
    Monotonic,
    /// `CLOCK_BOOTTIME`: as monotonic, but also counts the time that the machine sleeps.
    BootTime,
    /// `CLOCK_TAI`: the time of day without leap seconds.
    Tai,
}

impl Clock {
    pub(crate) fn from_raw(raw: u32) -> Result<Self> {
        match raw {
            uapi::IOSTREAM_CLOCK_REALTIME => Ok(Self::RealTime),
            uapi::IOSTREAM_CLOCK_MONOTONIC => Ok(Self::Monotonic),
            uapi::IOSTREAM_CLOCK_BOOTTIME => Ok(Self::BootTime),
            uapi::IOSTREAM_CLOCK_TAI => Ok(Self::Tai),
            _ => Err(Error::Mismatch("the device has an unknown clock")),
        }
    }

    /// The number of the clock for clock_gettime(2).
    pub const fn id(self) -> u32 {
        match self {
            Self::RealTime => uapi::IOSTREAM_CLOCK_REALTIME,
            Self::Monotonic => uapi::IOSTREAM_CLOCK_MONOTONIC,
            Self::BootTime => uapi::IOSTREAM_CLOCK_BOOTTIME,
            Self::Tai => uapi::IOSTREAM_CLOCK_TAI,
        }
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::RealTime => "realtime",
            Self::Monotonic => "monotonic",
            Self::BootTime => "boottime",
            Self::Tai => "tai",
        })
    }
}
