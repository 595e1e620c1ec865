// SPDX-License-Identifier: MIT OR Apache-2.0

//! The reading end of an output queue, whether it overwrites or not.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use iostream::{Consumer, Direction, Error, OverwriteReader, Session};
use rustix::event::PollFlags;

use crate::failure::{Failure, OnDevice, Result as Outcome};
use crate::stop::Stop;

/// How many entries are taken before the kernel learns of it.
const BATCH: usize = 64;

/// An entry that was received.
pub struct Arrived<'a> {
    /// The bytes of the entry.
    pub bytes: &'a [u8],
    /// How many entries the driver declared lost before this one.
    pub lost: u64,
    /// How many bytes were overwritten before this entry.
    pub gap_bytes: u64,
}

/// The reading end of an output queue.
pub enum Receiver {
    /// The queue loses nothing.
    Plain(Consumer),
    /// The queue overwrites. The buffer holds its longest entry.
    Overwriting(OverwriteReader, Vec<u8>),
}

impl Receiver {
    /// Takes the reading end of a session.
    pub fn new(session: &Session, spin: Option<u32>) -> iostream::Result<Self> {
        if session.queue_info(Direction::Output)?.overwrite {
            let mut reader = session.overwrite_reader()?;
            if let Some(spin) = spin {
                reader.set_spin(spin);
            }
            let buffer = vec![0; reader.max_entry_bytes()];
            return Ok(Self::Overwriting(reader, buffer));
        }
        let mut consumer = session.consumer()?;
        if let Some(spin) = spin {
            consumer.set_spin(spin);
        }
        Ok(Self::Plain(consumer))
    }

    /// Sets the watermark of the queue.
    pub fn set_watermark(&mut self, bytes: u64, latency: Duration) -> iostream::Result<()> {
        match self {
            Self::Plain(consumer) => consumer.set_watermark(bytes, latency),
            Self::Overwriting(reader, _) => reader.set_watermark(bytes, latency),
        }
    }

    /// Waits until an entry is in the queue, or until the watermark is reached if there is one.
    ///
    /// Returns whether [`Waiting::ended`] is readable. Fails if nobody reads `output` any more.
    pub fn wait(
        &mut self,
        waiting: &Waiting<'_>,
        output: Option<BorrowedFd<'_>>,
        timeout: Option<Duration>,
    ) -> Outcome<bool> {
        let looked = match self {
            Self::Plain(consumer) => consumer.wait(Some(Duration::ZERO)),
            Self::Overwriting(reader, _) => reader.wait(Some(Duration::ZERO)),
        };
        match looked {
            Err(Error::TimedOut) => waiting.sleep(self.as_fd(), output, timeout),
            looked => looked.map(|()| false).on(waiting.device),
        }
    }

    /// Passes some of the entries that wait to `f`, until it returns `false` or fails. Returns
    /// whether `f` wants more.
    pub fn take<E: From<Error>>(
        &mut self,
        mut f: impl FnMut(Arrived<'_>) -> Result<bool, E>,
    ) -> Result<bool, E> {
        match self {
            Self::Plain(consumer) => {
                let mut batch = consumer.batch();
                for _ in 0..BATCH {
                    let Some(entry) = batch.next()? else {
                        break;
                    };
                    let more = f(Arrived {
                        lost: entry.lost_before().into(),
                        gap_bytes: 0,
                        bytes: &entry,
                    })?;
                    if !more {
                        return Ok(false);
                    }
                }
                batch.finish()?;
                Ok(true)
            }
            Self::Overwriting(reader, buffer) => {
                for _ in 0..BATCH {
                    let read = match reader.read_into(buffer) {
                        Ok(read) => read,
                        Err(Error::Empty) => break,
                        Err(error) => return Err(error.into()),
                    };
                    let more = f(Arrived {
                        lost: read.lost_before.into(),
                        gap_bytes: read.gap_bytes,
                        bytes: &buffer[..read.len],
                    })?;
                    if !more {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Plain(consumer) => consumer.as_fd(),
            Self::Overwriting(reader, _) => reader.as_fd(),
        }
    }
}

/// What ends a wait for data, besides the data.
pub struct Waiting<'a> {
    /// The device.
    pub device: &'a Path,
    /// A signal, or another thread's failure.
    pub stop: &'a Stop,
    /// Becomes readable once no more data are made.
    pub ended: Option<BorrowedFd<'a>>,
}

impl Waiting<'_> {
    /// Sleeps until the device or `ended` is readable, or until the time is over. Returns whether
    /// `ended` is. Fails if nobody reads `output` any more.
    pub fn sleep(
        &self,
        device: BorrowedFd<'_>,
        output: Option<BorrowedFd<'_>>,
        timeout: Option<Duration>,
    ) -> Outcome<bool> {
        // poll(2) reports the end of the other side without being asked. A descriptor that is there
        // twice is harmless.
        let nothing = (device, PollFlags::empty());
        let what = [
            (device, PollFlags::IN),
            self.ended.map_or(nothing, |ended| (ended, PollFlags::IN)),
            output.map_or(nothing, |output| (output, PollFlags::empty())),
        ];
        let [_, ended, seen] = self.stop.wait(what, timeout)?;
        if output.is_some() && seen.contains(PollFlags::ERR) {
            return Err(Failure::BrokenPipe);
        }
        Ok(self.ended.is_some() && !ended.is_empty())
    }
}
