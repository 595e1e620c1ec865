// SPDX-License-Identifier: GPL-2.0

//! The clocks that timestamps are taken from.

use kernel::time::{BootTime, ClockSource, Monotonic, RealTime, Tai};

use crate::ring::uapi;

/// The clock of a stream's timestamps. They are in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// `CLOCK_REALTIME`: the time of day, which can be set.
    RealTime = uapi::IOSTREAM_CLOCK_REALTIME as isize,
    /// `CLOCK_MONOTONIC`: never goes back, and stands still while the machine sleeps.
    #[default]
    Monotonic = uapi::IOSTREAM_CLOCK_MONOTONIC as isize,
    /// `CLOCK_BOOTTIME`: as monotonic, but also counts the time that the machine sleeps.
    BootTime = uapi::IOSTREAM_CLOCK_BOOTTIME as isize,
    /// `CLOCK_TAI`: the time of day without leap seconds.
    Tai = uapi::IOSTREAM_CLOCK_TAI as isize,
}

impl Clock {
    /// The time now, in nanoseconds. Any context but an NMI.
    #[inline]
    pub fn now_ns(self) -> u64 {
        let time = match self {
            Clock::RealTime => RealTime::ktime_get(),
            Clock::Monotonic => Monotonic::ktime_get(),
            Clock::BootTime => BootTime::ktime_get(),
            Clock::Tai => Tai::ktime_get(),
        };
        // No clock shows a time below zero.
        time as u64
    }

    /// The name of the clock in sysfs and fdinfo.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Clock::RealTime => "realtime",
            Clock::Monotonic => "monotonic",
            Clock::BootTime => "boottime",
            Clock::Tai => "tai",
        }
    }
}
