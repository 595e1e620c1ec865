// SPDX-License-Identifier: GPL-2.0

//! The state of a stream, and how it is stopped.

use crate::ring::uapi;

/// Whether a stream is stopped, runs, or is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Stopped = uapi::IOSTREAM_STATE_STOPPED as isize,
    Running = uapi::IOSTREAM_STATE_RUNNING as isize,
    Suspended = uapi::IOSTREAM_STATE_SUSPENDED as isize,
}

impl State {
    /// The state that a number of `iostream.h` stands for.
    pub(crate) const fn from_word(word: u32) -> Self {
        match word {
            uapi::IOSTREAM_STATE_RUNNING => State::Running,
            uapi::IOSTREAM_STATE_SUSPENDED => State::Suspended,
            _ => State::Stopped,
        }
    }

    /// The name of the state in sysfs and fdinfo.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            State::Stopped => "stopped",
            State::Running => "running",
            State::Suspended => "suspended",
        }
    }
}

/// How a stream is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// What is queued is discarded.
    Discard,
    /// The stream stops after the driver has taken everything that the client sent before. What
    /// the client sends while the stream is being stopped is discarded, and counted. What the
    /// driver sent stays queued for the client.
    Drain,
}
