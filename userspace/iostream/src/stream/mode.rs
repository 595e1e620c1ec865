// SPDX-License-Identifier: MIT OR Apache-2.0

//! The modes of streams, as values and as types.

use std::fmt;

use iostream_ring::uapi;

use crate::{Error, Result};

/// The side that fills the buffers of a stream, as this process sees it.
///
/// It is displayed in the words of iostream.h, sysfs and `iostreamctl`: output, input and
/// input-output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamMode {
    /// The driver fills them, this process reads them.
    Read,
    /// This process fills them, the driver reads them.
    Write,
    /// Both sides read and write them.
    Duplex,
}

impl StreamMode {
    /// The value of iostream.h.
    pub(crate) const fn raw(self) -> u32 {
        match self {
            Self::Read => uapi::IOSTREAM_MODE_OUTPUT,
            Self::Write => uapi::IOSTREAM_MODE_INPUT,
            Self::Duplex => uapi::IOSTREAM_MODE_INPUT_OUTPUT,
        }
    }

    pub(crate) fn from_raw(raw: u32) -> Result<Self> {
        match raw {
            uapi::IOSTREAM_MODE_OUTPUT => Ok(Self::Read),
            uapi::IOSTREAM_MODE_INPUT => Ok(Self::Write),
            uapi::IOSTREAM_MODE_INPUT_OUTPUT => Ok(Self::Duplex),
            _ => Err(Error::Mismatch("the device has an unknown mode")),
        }
    }
}

impl fmt::Display for StreamMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Read => "output",
            Self::Write => "input",
            Self::Duplex => "input-output",
        })
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A mode, as the type of a [`Stream`](crate::Stream) and its [`Buffer`](crate::Buffer)s.
pub trait Mode: sealed::Sealed + Send + Sync + Unpin + 'static {
    /// The mode as a value.
    const MODE: StreamMode;
}

/// A mode in which this process receives data: [`Read`] and [`Duplex`].
pub trait Receives: Mode {}

/// A mode in which this process may write to its buffers: [`Write`] and [`Duplex`].
pub trait Writes: Mode {}

macro_rules! modes {
    ($($(#[$doc:meta])* $name:ident: $($role:ident)*;)*) => { $(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}

        impl sealed::Sealed for $name {}

        impl Mode for $name {
            const MODE: StreamMode = StreamMode::$name;
        }

        $(impl $role for $name {})*
    )* };
}

modes! {
    /// The driver fills buffers, this process reads them.
    Read: Receives;
    /// This process fills buffers, the driver reads them.
    Write: Writes;
    /// Both sides read and write the buffers that are with them.
    Duplex: Receives Writes;
}
