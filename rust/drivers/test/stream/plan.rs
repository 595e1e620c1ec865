// SPDX-License-Identifier: GPL-2.0

//! The description of a stream in the command that publishes it.

use iostream::{
    stream::{Access, Output, Shared},
    Clock, Config, Mode, Ports, QueueConfig, Stream, StreamConfig,
};
use kernel::{prelude::*, str::CString, time::Delta};

use super::end::{AnyEnd, End, TestAccess};
use crate::commands::Words;

/// The stream that a command describes.
pub(crate) struct Plan {
    name: CString,
    /// Which side fills buffers, and whether the driver has slices of them.
    kind: Kind,
    buffers: u32,
    data_bytes: u32,
    control_bytes: u32,
    clock: Option<Clock>,
    queue_length: u32,
    format: Option<[u8; 4]>,
    description: Option<CString>,
    mode: Option<u16>,
    gid: u32,
    own_queue: bool,
    drain_ms: Option<u32>,
    pub(crate) clients: u32,
}

enum Kind {
    /// Always output mode, with slices.
    Output,
    /// By copy, at first in this mode.
    Shared(Mode),
}

impl Plan {
    /// Parses `NAME MODE BUFFERS DATA-BYTES [KEY=VALUE...]`.
    pub(crate) fn parse(words: &mut Words<'_>) -> Result<Self> {
        let name = words.name()?;
        let kind = match words.word()? {
            "output" => Kind::Output,
            "shared-output" => Kind::Shared(Mode::Output),
            "input" => Kind::Shared(Mode::Input),
            "input-output" => Kind::Shared(Mode::InputOutput),
            _ => return Err(EINVAL),
        };
        let mut plan = Self {
            name,
            kind,
            buffers: words.narrow()?,
            data_bytes: words.narrow()?,
            control_bytes: 0,
            clock: None,
            queue_length: 0,
            format: None,
            description: None,
            mode: None,
            gid: 0,
            own_queue: false,
            drain_ms: None,
            clients: 1,
        };
        while let Some(word) = words.optional() {
            let (key, value) = word.split_once('=').ok_or(EINVAL)?;
            let number = || value.parse::<u32>().map_err(|_| EINVAL);
            match key {
                "control" => plan.control_bytes = number()?,
                "queue" => plan.queue_length = number()?,
                "clock" => {
                    plan.clock = Some(match value {
                        "realtime" => Clock::RealTime,
                        "monotonic" => Clock::Monotonic,
                        "boottime" => Clock::BootTime,
                        "tai" => Clock::Tai,
                        _ => return Err(EINVAL),
                    });
                }
                "format" => {
                    plan.format = Some(value.as_bytes().try_into().map_err(|_| EINVAL)?);
                }
                "description" => plan.description = Some(CString::try_from_fmt(fmt!("{value}"))?),
                "mode" => plan.mode = Some(u16::from_str_radix(value, 8).map_err(|_| EINVAL)?),
                "gid" => plan.gid = number()?,
                "own-queue" => plan.own_queue = number()? != 0,
                "drain" => plan.drain_ms = Some(number()?),
                "clients" => plan.clients = number()?,
                _ => return Err(EINVAL),
            }
        }
        Ok(plan)
    }

    /// Makes the ports and the end of one client.
    pub(crate) fn make(&self) -> Result<(Ports<'_>, AnyEnd)> {
        self.make_called(&self.name)
    }

    /// Like [`Self::make`], for a node of another name.
    pub(crate) fn make_called<'a>(&self, name: &'a CStr) -> Result<(Ports<'a>, AnyEnd)> {
        let (buffers, bytes) = (self.buffers, self.data_bytes);
        match self.kind {
            Kind::Output => self.make_as::<Output>(name, StreamConfig::output(buffers, bytes)?),
            Kind::Shared(Mode::Input) => {
                self.make_as::<Shared>(name, StreamConfig::input(buffers, bytes)?)
            }
            Kind::Shared(mode) => {
                let config = StreamConfig::input_output(buffers, bytes)?.mode(mode);
                self.make_as::<Shared>(name, config)
            }
        }
    }

    fn make_as<'a, A: TestAccess + Access>(
        &self,
        name: &'a CStr,
        stream: StreamConfig<A>,
    ) -> Result<(Ports<'a>, AnyEnd)> {
        let mut stream = stream
            .control_bytes(self.control_bytes)?
            .queue_length(self.queue_length)?;
        if let Some(clock) = self.clock {
            stream = stream.clock(clock);
        }
        if let Some(tag) = self.format {
            stream = stream.format(tag);
        }
        if let Some(words) = &self.description {
            stream = stream.description(words)?;
        }
        let mut config = Config::new(name).gid(self.gid);
        if let Some(mode) = self.mode {
            config = config.mode(mode);
        }
        if let Some(ms) = self.drain_ms {
            config = config.drain_at_close(Delta::from_millis(ms.into()));
        }
        if self.own_queue {
            config = config.output(QueueConfig::with_capacity(4096)?);
        }
        let (ports, stream) = Stream::new(config, stream)?;
        Ok((ports, A::wrap(End::new(stream))))
    }
}
